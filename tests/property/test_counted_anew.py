"""Periods that are counted anew at each change, of which a begun one is a part of one cadence back from its end.

The reckoning knows nothing of terms, pieces or grids: it walks the days of a life, cuts them where something changes,
and divides each stretch by the calendar. Source: ADR-0042.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events.account import BillingDayChanged
from domain.package_version import Component
from tests.books import START, Books
from tests.property.histories import days, facts, packages
from tests.property.test_convergence import END, _money_of_closed, lived, readings, targets
from tests.property.test_oracle import Oracle, price_of

DAY = timedelta(days=1)
anew = packages(grid_on_change="always", month_days=0, leading_base="shifted")
by_period = packages("period", grid_on_change="always", leading_base="shifted")
moves = st.lists(st.builds(BillingDayChanged, billing_day=st.integers(1, 31), effective_on=days), max_size=3)


def told(packages: Any, happened: Any, moves: Any, counts: dict[int, int], billing_day: int) -> Books:
    """A license whose whole life is known before anything is billed."""
    books = Books(packages, billing_day)
    books.counts = {START.toordinal() + at: quantity for at, quantity in counts.items()}
    for whose, body in (*happened, *(("account", move) for move in moves)):
        books.record(whose, body)
    return books


class Reckoning:
    """What one license owes by the end, stretch by stretch."""

    def __init__(self, books: Books) -> None:
        self.oracle, self.books = Oracle(books, books.billing_day), books
        moved = (fact.body for fact in books.account_facts if isinstance(fact.body, BillingDayChanged))
        self.moves = [(move.effective_on, number, move.billing_day) for number, move in enumerate(moved, start=1)]
        # A year that is billed in advance on the last day ends a year later.
        served = filter(self.oracle.serves, (START + DAY * n for n in range((END - START).days + 367)))
        self.life = [(day, self.oracle.change(day), self._move(day)) for day in served]

    def owed(self) -> dict[tuple[str, date, date], int]:
        found: dict[tuple[str, date, date], int] = {}
        for name, component in self._sold():
            for start, end, billing_day in self._stretches(name, component):
                for piece, period in self._pieces(component, start, end, billing_day):
                    amount = self._amount(component, piece, period)
                    if amount is not None:
                        found[f"{name}/{component.id}", *piece] = amount
        return found

    def _sold(self) -> list[tuple[str, Component]]:
        names = sorted({held.package for _, held, _ in self.life})
        return [(name, component) for name in names for component in self.books.packages[name, 1].components]

    def _move(self, on: date) -> tuple[int, int]:
        """The move of the billing day that holds on a day, and the billing day."""
        held = [move for move in self.moves if move[0] <= on]
        return max(held)[1:] if held else (0, self.books.billing_day)

    def _stretches(self, package: str, component: Component) -> Iterator[tuple[date, date, int]]:
        """Days on which nothing changes: of a month, what it is billed by; else whatever happens."""
        begun: tuple[date, Any, int] | None = None
        before = START - DAY
        for day, held, (number, billing_day) in self.life:
            same = (held.quantities[component.id], billing_day)
            what = same if component.cadence.months == 1 else (id(held), number)
            state = what if held.package == package else None
            if begun and (before != day - DAY or state != begun[1]):
                yield begun[0], before + DAY, begun[2]
                begun = None
            if state and not begun:
                begun = (day, state, billing_day)
            before = day
        if begun:
            yield begun[0], before + DAY, begun[2]

    def _pieces(self, component: Component, start: date, end: date, billing_day: int) -> Iterator[Any]:
        """The stretch cut by its periods, as far as they fall due by the end; each with its whole period."""
        at = self._border(component, start, billing_day, 0)
        n = 0
        if at > start:
            n, at = -1, self._border(component, start, billing_day, -1)
        while at < end:
            n += 1
            following = self._border(component, start, billing_day, n)
            piece = max(at, start), min(following, end)
            due = piece[0] <= END if component.mode == "in_advance" else piece[1] <= END
            if piece[0] < piece[1] and due:
                yield piece, (at, following)
            at = following

    def _border(self, component: Component, start: date, billing_day: int, n: int) -> date:
        if component.cadence.days:
            return start + timedelta(days=component.cadence.days * n)
        return _in_month(start.year * 12 + start.month - 1 + n * component.cadence.months, billing_day)

    def _amount(self, component: Component, piece: tuple[date, date], period: tuple[date, date]) -> int | None:
        (start, end), (first, last) = piece, period
        quantity = self.oracle.quantity(component, self.oracle.change(start), period)
        if quantity is None:
            return None
        if start > first:
            month = end.year * 12 + end.month - 1 - component.cadence.months
            back = end - timedelta(days=component.cadence.days) if component.cadence.days else _in_month(month, end.day)
            first, last = min(back, start), end
        price = price_of(component.prices["EUR"], quantity) / (last - first).days
        return _whole(price * (end - first).days) - _whole(price * (start - first).days)


def _in_month(month: int, day: int) -> date:
    year, index = divmod(month, 12)
    return date(year, index + 1, min(day, monthrange(year, index + 1)[1]))


def _whole(cents: Fraction) -> int:
    return int(cents + Fraction(1, 2))


def billed(books: Books) -> dict[tuple[str, date, date], int]:
    """What was charged for which days; fails when something was charged twice, or taken back."""
    found: dict[tuple[str, date, date], int] = {}
    for _, stream, line in books.lines:
        place = (stream.component, line.start, line.end)
        assert (line.kind, place in found) == ("charge", False), place
        found[place] = line.amount
    return found


@settings(max_examples=120)
@given(anew, facts(discounts=False), moves, readings, st.integers(1, 31))
def test_every_stretch_comes_to_what_the_calendar_makes_of_it(packages, happened, moves, counts, billing_day):
    books = told(packages, happened, moves, counts, billing_day)
    books.run(END)
    assert billed(books) == Reckoning(books).owed()


@settings(max_examples=80)
@given(anew, facts(), moves, readings, st.integers(1, 31), days)
def test_what_is_billed_day_by_day_stays_and_is_what_is_billed_at_once(
    packages, happened, moves, counts, billing_day, since
):
    """All is known from the beginning: runs on the days about everything that happens, and on forty days in a row."""
    once, daily = (told(packages, happened, moves, counts, billing_day) for _ in range(2))
    about = {on + DAY * n for on in _days_of(daily) for n in (-1, 0, 1)} | {since + DAY * n for n in range(40)}
    for on in sorted(about):
        daily.run(on)
    for books in (once, daily):
        books.run(END)
    assert billed(daily) == billed(once)


def _days_of(books: Books) -> set[date]:
    """The days on which something happens."""
    bodies = [fact.body for fact in (*books.license_facts, *books.account_facts)]
    named = {getattr(body, of, None) for body in bodies for of in ("effective_on", "from_on", "on", "end_on")}
    return {on for on in named if on}


@settings(max_examples=150)
@given(anew, facts(), moves, st.lists(st.integers(0, 60), min_size=1, max_size=3), readings, st.lists(days, max_size=4))
def test_a_later_run_takes_back_only_days_that_were_known_to_go(packages, happened, moves, stops, counts, later):
    """Facts are told after runs of the first two months; then no more, and the days that they changed come."""
    books = told(packages, [], [], counts, 1)
    facts = [*happened, *(("account", move) for move in moves)]
    for number, stop in enumerate(sorted(stops)):
        books.run(START + DAY * stop)
        for whose, body in facts[number :: len(stops)]:
            books.record(whose, body)
    seen = START + DAY * 60
    books.run(seen)
    foreseen = books.difference(seen).coming
    coming = {(line.stream.component, day) for line in foreseen for day in range(line.start, line.end)}
    for on in sorted({*later, END}):
        lines = [line for line in books.run(max(on, seen)) if line.kind == "reversal"]
        gone = {(line.component, day) for line in lines for day in range(line.start.toordinal(), line.end.toordinal())}
        assert gone <= coming
    assert books.run(END) == []


def often_and_once(packages, happened, stops, counts, billing_day) -> tuple[Books, Books]:
    """One life, billed while it is told, and billed when all of it is known."""
    often = lived(packages, happened, stops, counts, billing_day)
    once = told(packages, happened, [], {}, billing_day)
    once.counts = dict(often.counts)
    once.run(END)
    return often, once


@settings(max_examples=80)
@given(by_period, facts(moving_day=True), targets, readings, st.integers(1, 31))
def test_by_period_the_money_is_the_same_however_often_was_billed_before_it_was_told(
    packages, happened, stops, counts, billing_day
):
    often, once = often_and_once(packages, happened, stops, counts, billing_day)
    assert _money_of_closed(often) == _money_of_closed(once)


@settings(max_examples=80)
@given(anew, facts(moving_day=True), targets, readings, st.integers(1, 31))
def test_by_days_the_same_days_are_billed_however_often_was_billed_before_it_was_told(
    packages, happened, stops, counts, billing_day
):
    often, once = (
        {place: key for place, key in books.covered_days().items() if place[1] <= END.toordinal()}
        for books in often_and_once(packages, happened, stops, counts, billing_day)
    )
    assert often == once
