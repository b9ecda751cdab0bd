"""Begun periods, days that no month of thirty has, and changes inside them: nothing fails, and pieces add up."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.charge import Charge
from domain.events import license as events
from domain.grid import MONTHLY, QUARTERLY, YEARLY, Cadence
from domain.package_version import Component, Counted, Counting, Declared, PackageVersion, Proration
from domain.price import Flat, PerUnit
from tests.books import Books

END = date(2025, 3, 1)
DAILY = Cadence(days=1)
days = st.dates(date(2024, 1, 1), date(2025, 2, 28)) | st.sampled_from(
    [date(2024, month, 31) + timedelta(days=n) for month in (1, 3, 5, 7, 8, 10, 12) for n in (-1, 0, 1)]
)
partial = st.sampled_from(["prorate", "full", "free"])
policies = st.builds(
    Proration,
    month_days=st.sampled_from([0, 30, 30]),
    leading=partial,
    trailing=partial,
    leading_base=st.sampled_from(["aligned", "shifted"]),
    match_on=st.sampled_from(["days", "period"]),
    cycle_day_from=st.sampled_from(["account", "license", "calendar"]),
    grid_on_change=st.just("continue"),
)


@st.composite
def components(draw: Any) -> tuple[Component, ...]:
    cadence = draw(st.sampled_from([MONTHLY, MONTHLY, QUARTERLY, YEARLY, DAILY, Cadence(days=7)]))
    mode = draw(st.sampled_from(["in_advance", "in_arrears"]))
    flat = Component("c1", "fee", {"EUR": Flat(Decimal("29.99"))}, cadence=cadence, mode=mode)
    seats = Component("c2", "seats", {"EUR": PerUnit(Decimal("3.33"))}, quantity=Declared(), cadence=cadence, mode=mode)
    return flat, seats


def sold(components: tuple[Component, ...], policy: Proration, start: date, billing_day: int = 1) -> Books:
    """A license of a package with a second version: it charges alike, and only gives resellers another number free."""
    version = PackageVersion("p", 1, "P", date(2020, 1, 1), components, proration=policy)
    users = (Counting("users", "last"),)
    if any(isinstance(one.quantity, Counted) for one in components):
        version = msgspec.structs.replace(version, countings=users)
    second = msgspec.structs.replace(version, version=2, nfr_included=1)
    return Books({("p", 1): version, ("p", 2): second}, billing_day, start=start)


def cut(books: Books, on: date) -> None:
    """To the second version, at the quantities sold: what is charged stays the same, in two pieces."""
    change = events.LicenseChanged(
        change="cut", effective_on=on, package="p", version=2, type="production", quantities={"c1": 5, "c2": 2},
        direction="other",
    )  # fmt: skip
    books.record("license", change)


def ended(books: Books, on: date) -> None:
    books.record("license", events.LicenseCancelled(notice_on=books.start, end_on=max(on, books.start)))


def net(lines: list[Any]) -> int:
    return sum(line.amount for line in lines)


@settings(max_examples=300)
@given(components(), policies, days, st.integers(1, 31), days, days)
def test_a_period_in_two_pieces_comes_to_what_it_comes_to_whole(components, policy, start, billing_day, at, end):
    whole, pieces = (sold(components, policy, start, billing_day) for _ in range(2))
    cut(pieces, max(at, start))
    for books in (whole, pieces):
        ended(books, end)
    assert net(pieces.run(END)) == net(whole.run(END))
    assert pieces.run(END) == []


@settings(max_examples=200)
@given(policies, days, st.integers(1, 31), days, st.none() | days, st.sampled_from([MONTHLY, DAILY, Cadence(days=7)]))
def test_usage_by_day_minimums_and_amounts_off_are_billed_whatever_days_they_begin_and_end_on(
    policy, start, billing_day, came, end, cadence
):
    by_day = Component(
        "c1", "users", {"EUR": PerUnit(Decimal("3.33"))}, "usage", Counted("users", by_day=True), cadence
    )  # fmt: skip
    least = Component("c3", "least", {"EUR": Flat(Decimal("20.00"))}, "minimum", cadence=cadence)
    books = sold((by_day, least), policy, start, billing_day)
    books.counts = {start.toordinal(): 1, max(came, start).toordinal(): 4}
    off = events.DiscountGranted(
        discount="d", component="c1", percent=None, amount=Decimal("5.00"), from_on=start, periods=0
    )  # fmt: skip
    books.record("license", off)
    if end:
        ended(books, end)
    lines = books.run(END)
    assert net(lines) >= 0
    assert books.run(END) == []


@settings(max_examples=100)
@given(components(), policies, days, st.integers(1, 31), days)
def test_a_begun_first_period_that_is_charged_in_full_is_the_full_price(components, policy, start, billing_day, at):
    policy = msgspec.structs.replace(policy, leading="full")
    books = sold(components, policy, start, billing_day)
    cut(books, max(at, start))
    first = [charge for charge in books.owed(END)[0] if charge.rating.start < _border(books, charge)]
    assert {_component(charge) for charge in first} == {"p/c1", "p/c2"}
    assert sum(charge.rating.amount(charge.rating.start, charge.rating.end) for charge in first) == 2999 + 666


def _component(charge: Charge) -> str:
    return charge.stream.component


def _border(books: Books, charge: Charge) -> int:
    """The end of the period that service begins in."""
    terms = next(one for one in books.terms() if one.stream == charge.stream)
    return terms.grid.period(books.start.toordinal())[1]


@pytest.mark.parametrize("policy", [Proration(month_days=30, leading="full"), Proration(month_days=30)])
def test_who_begins_on_the_thirty_first_pays_it_in_full_or_not_at_all(policy):
    fee = Component("c1", "fee", {"EUR": Flat(Decimal("30.00"))})
    lines = sold((fee,), policy, date(2024, 1, 31)).run(date(2024, 2, 1))
    assert [line.amount for line in lines] == [3000 if policy.leading == "full" else 0, 3000]


def test_a_day_that_is_a_period_of_its_own_is_paid_though_months_have_thirty_days():
    fee = Component("c1", "fee", {"EUR": Flat(Decimal("1.00"))}, cadence=DAILY)
    books = sold((fee,), Proration(month_days=30), date(2024, 1, 30))
    assert [line.amount for line in books.run(date(2024, 2, 1))] == [100, 100, 100]


def test_a_change_in_a_begun_period_charged_in_full_divides_its_price_whenever_it_is_billed():
    """16 January to 1 February are 16 days: ten at 5 seats, six at 2 after the change."""
    seats = Component("c1", "seats", {"EUR": PerUnit(Decimal("16.00"))}, quantity=Declared())
    change = events.LicenseChanged(
        change="c", effective_on=date(2024, 1, 26), package="p", version=1, type="production", quantities={"c1": 2},
        direction="other",
    )  # fmt: skip
    once, twice = (sold((seats,), Proration(leading="full"), date(2024, 1, 16)) for _ in range(2))
    assert net(twice.run(date(2024, 1, 16))) == 8000
    for books in (once, twice):
        books.record("license", change)
        books.run(date(2024, 1, 26))
    assert net([line for _, _, line in once.lines]) == net([line for _, _, line in twice.lines]) == 5000 + 1200


@settings(max_examples=200)
@given(components(), policies, days, st.integers(1, 31), days, days, st.lists(days, max_size=3))
def test_many_runs_come_to_one_whatever_is_begun(components, policy, start, billing_day, at, end, stops):
    """Only by period is a last period owed in full that was billed in advance: by days the rest of it is given back."""
    if policy.trailing == "full":
        policy = msgspec.structs.replace(policy, match_on="period")
    once, often = (sold(components, policy, start, billing_day) for _ in range(2))
    for stop in stops:
        often.run(stop)
    cut(often, max(at, start))
    ended(often, end)
    cut(once, max(at, start))
    ended(once, end)
    for books in (once, often):
        books.run(END)
    assert net([line for _, _, line in often.lines]) == net([line for _, _, line in once.lines])
