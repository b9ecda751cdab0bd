"""Usage that is billed as it is used: however often is billed, it comes to what its periods come to in arrears."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import license as events
from domain.events.account import PayerChanged
from domain.grid import MONTHLY, QUARTERLY, YEARLY
from domain.package_version import Component, Counted, Counting, PackageVersion, Proration
from domain.price import Allowance, Block, Graduated, PerUnit, Tier, Volume
from tests.books import Books

START, END = date(2024, 1, 10), date(2025, 3, 1)
SPAN = (START.toordinal(), END.toordinal() - 1)
TIERS = (Tier(10, Decimal("2.00"), Decimal("5.00")), Tier(None, Decimal("0.50"), Decimal("1.00")))
prices = st.sampled_from(
    [PerUnit(Decimal("0.35")), Graduated(TIERS), Volume(TIERS), Block(7, Decimal("3.0")), Allowance(12, Decimal("1.5"))]
)
used = st.dictionaries(st.integers(*SPAN), st.integers(0, 9), max_size=40)


def sold(
    price: Any, mode: Any, cadence: Any = YEARLY, measure: Any = "sum", correction: Any = "reverse_and_rebill"
) -> Books:
    """A license that pays for calls, by days of its own."""
    component = Component("c1", "calls", {"EUR": price}, "usage", Counted("calls"), cadence, mode)
    policy = Proration(usage_correction=correction, cycle_day_from="license")
    version = PackageVersion(
        "p", 1, "P", date(2020, 1, 1), (component,), countings=(Counting("calls", measure),), proration=policy
    )
    return Books({("p", 1): version}, start=START)


def known_by(counts: dict[int, int], day: date) -> dict[int, int]:
    return {on: quantity for on, quantity in counts.items() if on < day.toordinal()}


def net(books: Books) -> int:
    return sum(line.amount for _, _, line in books.lines)


@settings(max_examples=200)
@given(
    prices, used, st.sampled_from([MONTHLY, QUARTERLY, YEARLY]), st.sampled_from(["sum", "peak", "last", "average"]),
    st.lists(st.dates(START, END), max_size=6), st.none() | st.dates(START, END),
)  # fmt: skip
def test_many_runs_come_to_what_one_in_arrears_comes_to(price, counts, cadence, measure, stops, end):
    books, arrears = (sold(price, mode, cadence, measure) for mode in ("as_used", "in_arrears"))
    if end:
        for one in (books, arrears):
            one.record("license", events.LicenseCancelled(notice_on=START, end_on=end))
    over = end or date(2026, 1, 10)
    for stop in (*sorted(stops), over):
        books.counts = known_by(counts, stop)
        books.run(stop)
        assert books.run(stop) == []
        assert net(books) >= 0
    arrears.counts = counts
    arrears.run(over)
    assert net(books) == net(arrears)


@settings(max_examples=100)
@given(prices, used, st.lists(st.dates(START, END), max_size=6))
def test_what_is_only_corrected_upward_never_gives_back_while_a_level_falls(price, counts, stops):
    """The peak of what was billed stays billed, whatever is read later."""
    if isinstance(price, Volume):  # more units may cost less
        price = Graduated(TIERS)
    books = sold(price, "as_used", measure="last", correction="up_only")
    billed = 0
    for stop in sorted(stops):
        books.counts = known_by(counts, stop)
        books.run(stop)
        assert net(books) >= billed
        billed = net(books)


def test_overage_of_a_years_allowance_is_billed_every_month():
    books = sold(Allowance(100, Decimal("0.10")), "as_used")
    issued = []
    for month, calls in ((2, 60), (3, 60), (4, 0), (5, 30)):
        books.counts[date(2024, month, 1).toordinal()] = calls
        issued.append(sum(line.amount for line in books.run(date(2024, month, 10))))
    assert issued == [0, 200, 0, 300]


def test_nothing_is_missed_before_its_period_is_over():
    books = sold(PerUnit(Decimal("1.00")), "as_used")
    assert books.owed(date(2024, 6, 1))[1] == []
    assert [lack.counter for lack in books.owed(date(2025, 1, 10))[1]] == ["calls"]


def test_units_that_came_in_a_period_are_paid_at_once_for_the_days_that_are_left_of_it():
    """By day: ten from the start, two more on the eleventh of a month of thirty-one days."""
    books = sold(PerUnit(Decimal("31.00")), "as_used", MONTHLY, "last", "up_only")
    version = books.packages["p", 1]
    (component,) = version.components
    by_day = msgspec.structs.replace(component, quantity=Counted("calls", by_day=True))
    books.packages = {("p", 1): msgspec.structs.replace(version, components=(by_day,))}
    first, last = START.toordinal(), date(2024, 2, 9).toordinal()
    books.counts = dict.fromkeys(range(first, first + 10), 10)
    assert sum(line.amount for line in books.run(date(2024, 1, 19))) == 10 * 3100
    books.counts |= dict.fromkeys(range(first + 10, last + 1), 12)
    assert sum(line.amount for line in books.run(date(2024, 1, 20))) == 2 * 2100


@given(st.sampled_from(["as_used", "in_arrears"]), st.dates(START, date(2024, 12, 1)))
def test_another_counter_of_the_package_does_not_cut_a_period_in_two(mode, moved):
    """A year's allowance is given once, though the license moves to a version that counts something else too."""
    books = sold(Allowance(100, Decimal("0.10")), mode)
    version = books.packages["p", 1]
    second = msgspec.structs.replace(version, version=2, countings=(Counting("more", "last"), *version.countings))
    books.packages = {("p", 1): version, ("p", 2): second}
    books.counts = dict.fromkeys(range(SPAN[0], SPAN[0] + 300), 1)
    change = events.LicenseChanged(
        change="c", effective_on=moved, package="p", version=2, type="production", quantities={"c1": 5, "c2": 2},
        direction="other",
    )  # fmt: skip
    books.record("license", change)
    books.run(date(2025, 1, 10))
    assert net(books) == 200 * 10


def amounts(books: Books, on: date) -> list[int]:
    return [line.amount for line in books.run(on)]


def read(books: Books, *told: tuple[date, int]) -> Books:
    books.counts |= {on.toordinal(): quantity for on, quantity in told}
    return books


def test_what_changes_no_money_issues_nothing():
    free = read(sold(Allowance(100, Decimal("0.10")), "as_used"), (date(2024, 1, 12), 60))
    assert amounts(free, date(2024, 2, 1)) == [0]
    assert amounts(read(free, (date(2024, 2, 5), 30)), date(2024, 3, 1)) == []
    assert amounts(free, date(2025, 1, 10)) == []
    packs = read(sold(Block(10, Decimal("9.00")), "as_used"), (date(2024, 1, 12), 1))
    assert amounts(packs, date(2024, 2, 1)) == [900]
    assert amounts(read(packs, (date(2024, 2, 5), 8)), date(2024, 3, 1)) == []
    assert amounts(packs, date(2025, 1, 10)) == []


def moved(books: Books, on: date, correction: Any, **changed: Any) -> None:
    """The license goes to a version with another policy for corrections."""
    version = books.packages["p", 1]
    (component,) = version.components
    policy = msgspec.structs.replace(version.proration, usage_correction=correction)
    later = msgspec.structs.replace(
        version, version=2, components=(msgspec.structs.replace(component, **changed),), proration=policy
    )
    books.packages = {("p", 1): version, ("p", 2): later}
    change = events.LicenseChanged(
        change="c", effective_on=on, package="p", version=2, type="production", quantities={}, direction="other"
    )
    books.record("license", change)


@pytest.mark.parametrize("mode", ["as_used", "in_arrears"])
@pytest.mark.parametrize("correction", ["never", "up_only", "reverse_and_rebill"])
def test_what_was_used_is_not_billed_twice_when_a_change_that_is_told_late_cuts_its_period(mode, correction):
    """A policy for counts that are corrected is none for terms that change, and change back."""
    books = read(sold(PerUnit(Decimal("1.00")), mode, MONTHLY, "sum", correction), (date(2024, 1, 12), 5))
    books.run(date(2024, 2, 10))
    moved(books, date(2024, 1, 11), correction, prices={"EUR": PerUnit(Decimal("2.00"))})
    books.run(date(2024, 2, 10))
    assert net(books) == 1000
    books.record("license", events.ChangeWithdrawn(change="c"))
    books.run(date(2024, 2, 10))
    assert net(books) == 500


@pytest.mark.parametrize("mode", ["as_used", "in_arrears"])
@pytest.mark.parametrize("correction", ["never", "up_only", "reverse_and_rebill"])
def test_two_payers_or_packages_that_are_told_late_do_not_both_pay_for_what_was_used(mode, correction):
    books = sold(PerUnit(Decimal("1.00")), mode, MONTHLY, "sum", correction)
    read(books, (date(2024, 1, 10), 3), (date(2024, 1, 12), 5), (date(2024, 1, 20), 2))
    books.packages = {**books.packages, ("q", 1): msgspec.structs.replace(books.packages["p", 1], package="q")}
    books.run(date(2024, 2, 10))
    other = events.LicenseChanged(
        change="c", effective_on=date(2024, 1, 12), package="q", version=1, type="production", quantities={},
        direction="other",
    )  # fmt: skip
    books.record("license", other)
    books.run(date(2024, 2, 10))
    assert net(books) == 1000
    books.record("account", PayerChanged(payer=UUID(int=9), effective_on=date(2024, 1, 14)))
    assert sum(line.amount for line in books.difference(date(2024, 2, 10)).lines) == 0


@pytest.mark.parametrize("mode", ["as_used", "in_arrears"])
@pytest.mark.parametrize("correction", ["never", "up_only", "reverse_and_rebill"])
def test_a_late_count_is_corrected_by_what_the_version_of_its_own_period_says(mode, correction):
    """The license goes to another version where one period ends and the next begins."""
    books = read(sold(PerUnit(Decimal("1.00")), mode, MONTHLY), (date(2024, 1, 12), 5))
    moved(books, date(2024, 2, 10), correction, mode="in_arrears")
    books.run(date(2024, 2, 10))
    read(books, (date(2024, 1, 20), 7), (date(2024, 2, 11), 3)).run(date(2024, 3, 10))
    assert net(books) == 1500
