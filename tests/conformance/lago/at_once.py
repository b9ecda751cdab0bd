"""What an event is billed for at once: by how much it raises the peak of its period."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from tests.conformance.lago.counting import by_day, measured, period_of, upward
from tests.conformance.lago.gathered import Asked, group_of
from tests.conformance.lago.so_far import kept_in
from tests.conformance.verdict import expect
from tests.conformance.words import number


def _in_advance(asked: Asked, name: str, how: str, theirs: Any) -> None:
    expect(name, _billed_at_once(asked), number(theirs))


def _in_advance_breakdowns(asked: Asked, name: str, how: str, theirs: Any) -> None:
    names = (*asked.grouped_by, *asked.case["filters"].get("presentation_by", ()))
    event = asked.event
    ours = {group_of(event.said, names): _billed_at_once(asked)} if event and event.said else {}
    expect(name, ours, {group_of(row["groups"], names): number(row["value"]) for row in theirs})


def _in_advance_amount(asked: Asked, name: str, how: str, theirs: Any) -> None:
    expect(name, asked.event.amount if asked.event else Fraction(0), number(theirs))


def _units_applied(asked: Asked, name: str, how: str, theirs: Any) -> None:
    expect(name, _change(asked), number(theirs))


def _change(asked: Asked) -> Fraction:
    """By how much the event moves the quantity: nothing where there is none; a counted one is one."""
    event = asked.event
    if event is None:
        return Fraction(asked.metric["aggregation_type"] == "count_agg")
    return asked.meter([found for found in asked.events if found != event]).change(event)


class Reached(NamedTuple):
    """The peak before an event and after it, the level after it, and what part of the rise is billed."""

    before: Fraction
    after: Fraction
    level: Fraction
    billed: Fraction


def _reached(asked: Asked) -> Reached:
    """What was given back and taken again is not billed twice."""
    event, period = asked.event, period_of(asked.case)
    start, end = period.span
    on, known = event.day if event else start, kept_in(asked)
    peak, level = number(known.get("max_aggregation", 0)), number(known.get("current_aggregation", 0)) + _change(asked)
    before = measured("peak", {start: peak}, (start, end))
    after = measured("peak", by_day([(start, peak), (on, level)], max), (start, end))
    rise = after - before
    part = Fraction(end - on, period.whole) if asked.whole().prorated else None
    return Reached(before, after, level, rise if part is None else upward(rise * part))


def _billed_at_once(asked: Asked) -> Fraction:
    return _reached(asked).billed


def _level(asked: Asked, name: str, how: str, theirs: Any) -> None:
    expect(name, _reached(asked).level, number(theirs))


def _peak(asked: Asked, name: str, how: str, theirs: Any) -> None:
    expect(name, _reached(asked).after, number(theirs))


def _peak_billed(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """What the peak has been billed for: its parts added up."""
    before = number(kept_in(asked).get("max_aggregation_with_proration", 0))
    expect(name, before + _reached(asked).billed, number(theirs))


AT_ONCE: dict[str, Callable[[Asked, str, str, Any], None]] = {
    "pay_in_advance_aggregation": _in_advance,
    "pay_in_advance_breakdowns": _in_advance_breakdowns,
    "pay_in_advance_precise_total_amount_cents": _in_advance_amount,
    "units_applied": _units_applied,
    "current_aggregation": _level,
    "max_aggregation": _peak,
    "max_aggregation_with_proration": _peak_billed,
}
