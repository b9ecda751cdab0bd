"""Usage that is billed as it is used: however often is billed, it comes to what its periods come to in arrears."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import license as events
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
