"""A business in which anything happens in any order: the books are in order, and a second run is empty."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from domain.application.accounts import ChangeAccount
from domain.application.licensing import (
    CancelLicense,
    ChangeLicense,
    CommitLicense,
    GrantDiscount,
    ReactivateLicense,
    ResumeLicense,
    SuspendLicense,
    WithdrawCancellation,
    WithdrawChange,
    WithdrawDiscount,
)
from domain.errors import Refusal
from domain.grid import Cadence
from domain.package_version import Component, Counted, Counting, Declared, PackageVersion, Proration
from domain.price import Flat, Graduated, PerUnit, Tier, Volume
from jobs import bill
from jobs.verify import verify
from tests.builders import JANUARY, READINGS, books, open_account, publish, start, take_in, write_csv

PACKAGES = ("small", "large", "yearly")
MONTHS = 14


def euros(price):
    return {"EUR": price}


def a_package(name: str, rank: int, cadence: Cadence, **policy) -> PackageVersion:
    tiers = (Tier(5, Decimal("3.33")), Tier(20, Decimal("2.22")), Tier(None, Decimal("1.11")))
    components = (
        Component("base", "Base", euros(Flat(Decimal("19.99") * rank)), cadence=cadence),
        Component("setup", "Set-up", euros(Flat(Decimal("50"))), charge="one_time", reversible=False),
        Component("seats", "Seats", euros(Volume(tiers)), quantity=Declared(1)),
        Component("users", "Users", euros(Graduated(tiers)), quantity=Counted("users"), mode="in_arrears"),
        Component("mail", "Mail", euros(PerUnit(Decimal("0.003"))), "usage", Counted("mail"), mode="in_arrears"),
        Component("floor", "Minimum", euros(Flat(Decimal("60"))), charge="minimum", mode="in_arrears"),
    )
    countings = (Counting("users", "peak"), Counting("mail", "sum"))
    return PackageVersion(
        name, 1, name.title(), date(2019, 1, 1), components, countings=countings, rank=rank, trial_days=20,
        term_months=12 if name == "yearly" else 0, proration=Proration(**policy),
    )  # fmt: skip


def open_business(tally: Tally, choose: random.Random) -> list[str]:
    publish(
        tally,
        a_package("small", 1, Cadence(months=1)),
        a_package("large", 2, Cadence(months=3), match_on="period", month_days=30),
        a_package("yearly", 3, Cadence(months=12), cycle_day_from="license", leading="full"),
    )
    for reseller in range(3):
        open_account(tally, f"r{reseller}", billing_day=choose.randint(1, 31))
    licenses = []
    for n in range(12):
        top = f"r{n % 3}"
        open_account(tally, f"c{n}", parent=top, payer=top if n % 2 else "", billing_day=choose.choice([1, 15, 31]))
        kind, on = choose.choice(["production"] * 4 + ["trial", "nfr"]), JANUARY + timedelta(days=choose.randint(0, 60))
        seats = {"seats": choose.randint(0, 30)}
        start(tally, f"l{n}", f"c{n}", choose.choice(PACKAGES), on, quantities=seats, type=kind)
        licenses.append(f"l{n}")
    return licenses


def something(choose: random.Random, license: str, today: date, number: int) -> object:
    """A command that may or may not be allowed, perhaps backdated."""
    on = today - timedelta(days=choose.choice([0, 0, 0, 5, 40]))
    kinds: list[Callable[[], object]] = [
        lambda: ChangeLicense(license, on, choose.choice(PACKAGES), 0, {"seats": choose.randint(0, 30)}, "production",
                              choose.choice(["policy", "now", "renewal", on])),
        lambda: ChangeLicense(license, on, "", 0, {"seats": choose.randint(0, 30)}, None, on),
        lambda: WithdrawChange(license, f"c{choose.randint(1, 4)}", on),
        lambda: SuspendLicense(license, choose.choice(["manual", "unpaid"]), on),
        lambda: ResumeLicense(license, choose.choice(["manual", "unpaid"]), on),
        lambda: CancelLicense(license, on, choose.choice([None, on + timedelta(days=30)])),
        lambda: WithdrawCancellation(license, on),
        lambda: ReactivateLicense(license, on),
        lambda: CommitLicense(license, "users", choose.randint(0, 40), on, on + timedelta(days=100)),
        lambda: GrantDiscount(license, f"d{number}", on, Decimal(25), None, "", choose.randint(0, 4)),
        lambda: GrantDiscount(license, f"e{number}", on, None, Decimal(5), "base", choose.randint(0, 4)),
        lambda: WithdrawDiscount(license, f"d{choose.randint(0, number)}", on),
        lambda: ChangeAccount(f"c{license[1:]}", on, billing_day=choose.randint(1, 31)),
        lambda: ChangeAccount(f"c{license[1:]}", on, tax_percent=Decimal(choose.choice([7, 19]))),
        lambda: ChangeAccount(f"c{license[1:]}", on, payer=choose.choice(["self", f"r{int(license[1:]) % 3}"])),
    ]  # fmt: skip
    return choose.choice(kinds)()


def counts(choose: random.Random, licenses: list[str], month: date, late: bool) -> list[str]:
    rows = []
    for license in licenses:
        for day in choose.sample(range(1, 29), 3):
            on = month.replace(day=day)
            for counter, most in (("users", 40), ("mail", 4000)):
                if late or choose.random() < 0.9:
                    name = f"{license}-{counter}-{on}-{late}-{month}"
                    rows.append(f"{license},{counter},{on},{choose.randint(0, most)},{name}")
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_the_books_are_in_order_whatever_happened(tally, tmp_path, seed):
    choose = random.Random(seed)
    licenses = open_business(tally, choose)
    allowed = refused = 0
    for step in range(MONTHS):
        month = date(2025 + step // 12, step % 12 + 1, 1)
        today = month + timedelta(days=choose.randint(0, 27))
        for number in range(12):
            try:
                tally.billing.execute(something(choose, choose.choice(licenses), today, step * 12 + number))  # type: ignore[arg-type]
                allowed += 1
            except Refusal:
                refused += 1
        take_in(tally, write_csv(tmp_path / "c.csv", READINGS, counts(choose, licenses, month, late=False)))
        if step > 2:
            earlier = date(2025 + (step - 2) // 12, (step - 2) % 12 + 1, 1)
            late = counts(choose, choose.sample(licenses, 4), earlier, late=True)
            take_in(tally, write_csv(tmp_path / "l.csv", READINGS, late))
        if choose.random() < 0.8:
            run_billing(tally, today, today)
    end = date(2026, 4, 1)
    run = run_billing(tally, end, end)
    with tally.pool.connection() as connection:
        assert [one for one in bill.exceptions(connection, run.run) if one[1] == "failed"] == []
    once = books(tally)
    run_billing(tally, end, end)
    assert books(tally) == once
    assert [(check.name, check.found) for check in verify(tally.pool) if check.found] == []
    assert allowed > 40
    assert refused > 20
    with tally.pool.connection() as connection:
        kinds = connection.execute(
            "SELECT DISTINCT convert_from(body, 'UTF8')::json->>'kind' FROM billed_line ORDER BY 1"
        ).fetchall()
    assert kinds == [("charge",), ("reversal",)]
