"""Periods: which days a bill is for, where cycles begin and end, how many have passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from domain.events import license as events
from domain.grid import Grid
from domain.package_version import Mode, Proration
from domain.period import day as date_of
from tests.books import Books
from tests.conformance.lago.periods import boundaries
from tests.conformance.proration import sold
from tests.conformance.verdict import Case, Forgiven, expect
from tests.conformance.words import MODES, cadence, day, decimal


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of the family."""
    KINDS[case["kind"]](case)


def _shift(case: Case) -> None:
    on = day(case["date"])
    grid = Grid(cadence(case["billing_period"]), on.toordinal(), on.day)
    expect("date", date_of(grid.border(case["n"])), day(case["expected"]["date"]))


def _whole_periods(case: Case) -> None:
    start, end = day(case["start"]), day(case["end"])
    grid = Grid(cadence(case["billing_period"]), start.toordinal(), start.day)
    expect("count", grid.index(end.toordinal()), case["expected"]["count"])


class Cycle(NamedTuple):
    """What a license looks like when it is billed through a day: the grid, and up to where."""

    grid: Grid
    start: int
    billed_to: int

    @property
    def first(self) -> int:
        """The first border at or after the start."""
        begun = self.grid.period(self.start)
        return begun[0] if begun[0] == self.start else begun[1]

    def after(self, ordinal: int) -> int:
        """The first border after a day."""
        return self.grid.period(ordinal)[1]


def _billing_interval(case: Case) -> None:
    """The peer looks at cycles with its own words; ours are the grid and the end of the last charge that is due.

    It calls it something to bill that a border is reached, though no day lies before it.
    """
    mode: Mode = MODES[case["mode"]]
    package = sold(decimal("100"), cadence(case["billing_period"]), mode, Proration(), "USD")
    books = Books({("p", 1): package}, case["bill_cycle_day"], start=day(case["start"]), currency="USD")
    start = day(case["start"]).toordinal()
    if case["end"]:
        books.record("license", events.LicenseCancelled(notice_on=day(case["end"]), end_on=day(case["end"])))
    owed, _ = books.owed(day(case["target"]))
    due = [charge.rating for charge in owed if charge.rating.due]
    grid = books.terms()[0].grid
    cycle = Cycle(grid, start, max((charge.end for charge in due), default=start))
    last = grid.period(cycle.billed_to)[0]
    reached = bool(due) or cycle.first <= day(case["target"]).toordinal()
    ours = {
        "first_cycle_date": date_of(cycle.first),
        "effective_end_date": date_of(cycle.billed_to) if reached else None,
        "next_cycle_date": date_of(cycle.after(cycle.billed_to) if reached else cycle.first),
        "last_cycle_date": date_of(last) if reached and last >= cycle.first else None,
        "has_something_to_bill": reached,
        "whole_periods": sum((c.start, c.end) == (c.base_start, c.base_end) for c in due),
    }
    for name, theirs in case["expected"].items():
        expect(name, ours[name], day(theirs) if isinstance(theirs, str) else theirs)


def _grid(inputs: dict[str, Any], origin: str) -> Grid:
    return Grid(cadence(inputs["billing_period"]), day(inputs[origin]).toordinal(), inputs["billing_day"])


def _containing(case: Case) -> None:
    inputs, expected = case["inputs"], case["expected"]
    start, end = _grid(inputs, "billing_start").period(day(inputs["target"]).toordinal())
    start = max(start, day(inputs["billing_start"]).toordinal())
    expect("period", (date_of(start), date_of(end)), (day(expected["start"]), day(expected["end"])))


def _elapsed(case: Case) -> None:
    inputs = case["inputs"]
    grid, begin = _grid(inputs, "billing_start"), day(inputs["billing_start"]).toordinal()
    passed = grid.index(day(inputs["target"]).toordinal()) - grid.index(begin)
    expect("cycles", passed, case["expected"]["expected"])


def _advance(case: Case) -> None:
    inputs, on = case["inputs"], day(case["inputs"]["invoice_date"]).toordinal()
    start, end = _grid(inputs, "invoice_date").period(on)
    _range(max(start, on), end, case["expected"])


def _arrears(case: Case) -> None:
    inputs, on = case["inputs"], day(case["inputs"]["invoice_date"]).toordinal()
    begin = day(inputs["billing_start_or_resume_date"]).toordinal()
    start, end = _grid(inputs, "invoice_date").period(on - 1)
    _range(max(start, begin), end, case["expected"])


def _range(start: int, end: int, expected: dict[str, str]) -> None:
    theirs = (day(expected["period_start"]), day(expected["period_end"]))
    expect("period", (date_of(start), date_of(end)), theirs)


KINDS: dict[str, Callable[[Case], None]] = {
    "shift": _shift,
    "whole_periods_between": _whole_periods,
    "billing_interval": _billing_interval,
    "find_period_containing_date": _containing,
    "calculate_elapsed_cycles": _elapsed,
    "calculate_advance_period_range": _advance,
    "calculate_arrear_period_range": _arrears,
    "period_boundaries": boundaries,
}
