"""How fast the billing run is beside the same month billed along the eventsourcing library's documented path.

The floor gets each license and its counts from the repository, prices them with the same pure function, saves an
invoice, and follows it into a register of one row each by the library's ProjectionRunner, as our run follows its own;
one process, because every save locks the library's one table.
"""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction
from uuid import UUID, uuid5

from eventsourcing.projection import ProjectionRunner

from bench.billing_run import measured
from bench.figure import Figure
from bench.ground import Ground, apart, checkpoint
from bench.library import Counts, Invoice, License, Register, Registering, Shop, environment
from bench.population import TIERS, quantities
from domain.money import rounded
from domain.price import amount

LICENSES = 600
LARGER = 100_000
"""Licenses of the run that is compared; the largest run where there is none of that size."""
MONTH = "2025-01"
VAT = Decimal(19)


def figures(ground: Ground) -> list[Figure]:
    """The billing run of 100,000, against repository, aggregate, save and projection for each license."""
    value = measured(ground, LARGER if LARGER in ground.licenses else ground.licenses[-1]).rate
    with ground.database("documented") as dsn:
        floor = LICENSES / apart(_billed, dsn)
    return [Figure.beside("billing_run_vs_documented_path", value, "licenses/s", floor)]


def _billed(dsn: str) -> float:
    """Seconds to bill some hundred licenses, until the last of them is in the register."""
    shop = Shop(environment(dsn))
    shop.save(*(aggregate for n in range(LICENSES) for aggregate in _sold(n)))
    checkpoint(dsn)
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


def _sold(n: int) -> tuple[License, Counts]:
    license = License(f"l{n}", uuid5(UUID(int=0), str(n)), "bench", "2025-01-01", "EUR")
    return license, Counts(license.id, MONTH, quantities(n))


def _bill(shop: Shop, license_id: UUID, number: str) -> None:
    """One license as the documentation would do it."""
    license: License = shop.repository.get(license_id)
    counts: Counts = shop.repository.get(Counts.create_id(license.id, MONTH))
    peak = max(counts.quantities)
    exact = amount(TIERS, Fraction(peak), license.currency)
    net = rounded(exact.numerator, exact.denominator)
    taxed = net * Fraction(VAT) / 100
    tax = rounded(taxed.numerator, taxed.denominator)
    shop.save(Invoice(number, license.id, license.account, license.currency, peak, VAT, net, tax))
