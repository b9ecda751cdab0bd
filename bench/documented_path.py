"""How fast the billing run is beside the same month billed along the eventsourcing library's documented path.

The floor gets each license, its account and its counts from the repository, prices each stretch of the month with the
same pure functions, saves an invoice whose head and lines say what ours say, and follows it into rows of the invoice
and its lines by the library's ProjectionRunner, as our run follows its own; one process, because every save locks the
library's one table. It guards nothing: neither gapless numbers nor days that are billed already, and it keeps no
coverage.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from eventsourcing.projection import ProjectionRunner

from bench.billing_run import measured
from bench.figure import Figure
from bench.ground import Ground, apart, settle
from bench.library import Account, Counts, Invoice, License, Register, Registering, Shop, environment
from bench.population import FEBRUARY, JANUARY, MORE, TIERS, UPGRADED_ON, quantities
from domain.charge import part
from domain.money import allocate, rounded
from domain.price import amount

LICENSES = 1_500
LARGER = 100_000
"""Licenses of the run that is compared; the largest run where there is none of that size."""
MONTH = "2025-01"
VAT = Decimal(19)
PRICES = {"bench": TIERS, "bench-more": MORE}


def figures(ground: Ground) -> list[Figure]:
    """The billing run of 100,000, against repository, aggregate, save and projection for each license."""
    run = measured(ground, LARGER if LARGER in ground.licenses else ground.licenses[-1])
    rounds = [(one.rate, _floor(ground)) for one in run.rounds]
    return [Figure.of_rounds("billing_run_vs_documented_path", "licenses/s", rounds)]


def _floor(ground: Ground) -> float:
    with ground.database("documented") as dsn:
        return LICENSES / apart(_billed, dsn)


def _billed(dsn: str) -> float:
    """Seconds to bill some hundred licenses, until the last of them is in the register."""
    shop = Shop(environment(dsn))
    for n in range(LICENSES):
        shop.save(*_sold(n))
    settle(dsn)
    with ProjectionRunner(
        application_class=Shop, projection_class=Registering, view_class=Register, env=environment(dsn)
    ) as runner:
        begun = time.perf_counter()
        for n in range(LICENSES):
            _bill(shop, License.create_id(f"l{n}"), f"INV-2025-{n:06}")
        runner.wait(shop.recorder.max_notification_id(), timeout=120)
        seconds = runner.view.last - begun
    shop.close()
    return seconds


def _sold(n: int) -> tuple[Account, License, Counts]:
    account = Account(f"a{n}", f"Account {n}", "EUR", VAT, 0)
    license = License(f"l{n}", account.id, "bench", JANUARY.isoformat(), "EUR")
    if n % 10 == 0:
        license.upgrade("bench-more", UPGRADED_ON.isoformat())
    return account, license, Counts(license.id, MONTH, quantities(n))


def _bill(shop: Shop, license_id: UUID, number: str) -> None:
    """One license as the documentation would do it."""
    license: License = shop.repository.get(license_id)
    account: Account = shop.repository.get(license.account)
    counts: Counts = shop.repository.get(Counts.create_id(license.id, MONTH))
    lines = list(_lines(license, account, max(counts.quantities)))
    net = sum(line["amount"] for line in lines)
    taxed = net * Fraction(account.tax_percent) / 100
    shares = allocate(rounded(taxed.numerator, taxed.denominator), [line["amount"] for line in lines])
    for line, tax in zip(lines, shares, strict=True):
        line["tax"] = tax
    total = {"percent": account.tax_percent, "net": net, "tax": sum(shares)}
    due_on = FEBRUARY + timedelta(days=account.terms_days)
    shop.save(
        Invoice(
            number, "INV", account.id, account.party, license.currency, FEBRUARY.isoformat(), due_on.isoformat(),
            FEBRUARY.isoformat(), lines, [total], net, total["tax"], net + total["tax"], "run 1",
        )
    )  # fmt: skip


def _lines(license: License, account: Account, peak: int) -> Iterator[dict[str, Any]]:
    """A line for each stretch of the month, with what a later correction or question would need."""
    month = (JANUARY.isoformat(), FEBRUARY.isoformat())
    untils = [start for _, start in license.stretches[1:]] + [month[1]]
    for number, ((package, start), until) in enumerate(zip(license.stretches, untils, strict=True), start=1):
        price = amount(PRICES[package], Fraction(peak), license.currency)
        days = [date.fromisoformat(day).toordinal() for day in (start, until, *month)]
        yield {
            "number": number, "license": license.id, "component": f"{package}/users", "text": "Users", "start": start,
            "until": until, "amount": part(price, days[2], days[3], 0, days[0], days[1]), "tax": 0,
            "tax_percent": account.tax_percent,
            "price": str(price), "base_start": month[0], "base_until": month[1], "quantity": str(peak),
            "package": package, "version": 1, "rule": "Graduated per 1m, in_arrears",
            "reasons": [[license.id, number], [Counts.create_id(license.id, MONTH), 1]],
        }  # fmt: skip
