"""Lago's aggregations: what a period's events come to, as a whole, by group, event by event, and billed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from tests.conformance.lago.at_once import AT_ONCE
from tests.conformance.lago.changes import tell
from tests.conformance.lago.counting import Meter, nearest, upward
from tests.conformance.lago.gathered import Asked, group_of
from tests.conformance.lago.levels import Level, Presence
from tests.conformance.verdict import Case, Forgiven, NotExpressible, expect
from tests.conformance.words import number

RUNNING = ("sum_agg", "count_agg", "unique_count_agg")
NOT_OURS = ("recurring_updated_at",)
"""The peer's own bookkeeping: when it last looked at a level."""


def play(case: Case, forgiven: Forgiven) -> None:
    """One case.

    Raises: NotExpressible where none of what it expects can be compared.
    """
    asked = Asked(case)
    compared = 0
    for name, theirs in case["expected"].items():
        what, _, how = name.partition(".")
        if what in NOT_OURS:
            forgiven["not compared"] += 1
            continue
        ANSWERS.get(what, _plain)(asked, name, how, theirs)
        compared += 1
    if not compared:
        raise NotExpressible("nothing to compare")


def _quantity(meter: Meter, how: str) -> Fraction:
    """What is billed, to the peer's five digits: a prorated number goes up, others to the nearest if the case asks."""
    billed = meter.billed()
    if meter.prorated:
        return upward(billed)
    return nearest(billed) if how == "round(5)" else billed


def _variation(meter: Meter) -> Fraction:
    if not isinstance(meter, Level):
        raise NotExpressible("only a level varies")
    return meter.variation()


NUMBERS: dict[str, Callable[[Meter], Fraction]] = {
    "count": lambda meter: Fraction(meter.count()),
    "current_usage_units": lambda meter: meter.units(),
    "total_aggregated_units": lambda meter: meter.units(),
    "full_units_number": lambda meter: meter.units(),
    "variation": _variation,
    "precise_total_amount_cents": lambda meter: meter.amounts(),
}


def _number(meter: Meter, what: str, how: str = "") -> Fraction:
    if what == "aggregation":
        return _quantity(meter, how)
    if what not in NUMBERS:
        raise NotExpressible(f"no {what}")
    return NUMBERS[what](meter)


def _plain(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """A number of all events together."""
    expect(name, _number(asked.whole(), name.partition(".")[0], how), number(theirs))


def _running(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """What events add up to one by one, as far as some of them are free."""
    if set(theirs) - {"running_total"} or (asked.metric["aggregation_type"] not in RUNNING and theirs):
        raise NotExpressible("options of an aggregation")
    expect(name, [*running(asked)], [number(total) for total in theirs.get("running_total", ())])


def running(asked: Asked) -> Iterator[Fraction]:
    """The quantity after each event that may be free: the first ones, or up to the one that uses a free amount up."""
    options = asked.case.get("options") or {}
    most, amount = int(options.get("free_units_per_events") or 0), options.get("free_units_per_total_aggregation")
    total, counts = Fraction(0), asked.metric["aggregation_type"] != "sum_agg"
    told = asked.whole().told
    for nth in range(1, len(told) + 1) if most or amount else ():
        if not counts and (nth > most if most else total > number(amount)):
            return
        total = asked.meter(told[:nth]).units()
        yield total


def _groups(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """The groups; where no event came, one group of nobody."""
    groups = asked.grouped(asked.grouped_by, {}) or {group_of({}, asked.grouped_by): asked.meter([])}
    if how == "map":
        told = [[dict(group), meter.billed(), meter.count()] for group, meter in groups.items()]
        expect(name, sorted(map(str, told)), sorted(map(str, theirs)))
        return
    if how == "count":
        expect(name, len(groups), theirs)
        return
    _, _, what = how.partition(".")
    first = asked.case["expected"].get("aggregations.first.grouped_by", {})
    meter = groups.get(group_of(first, asked.grouped_by))
    if meter is None:
        expect(name, "no such group", theirs)
    elif what != "grouped_by":
        expect(name, _number(meter, what), number(theirs))


def _breakdowns(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """The units of each group that is shown, in any order: those of a level are weighed, others stand as they are."""
    names = (*asked.grouped_by, *asked.case["filters"].get("presentation_by", ()))
    openings = {
        group_of(row["groups"], names): number(row["value"])
        for record in asked.cached
        for row in record.get("presentation_breakdowns", ())
    }
    weighted = asked.metric["aggregation_type"] == "weighted_sum_agg"
    ours = {
        group: nearest(meter.billed()) if weighted else meter.units()
        for group, meter in asked.grouped(names, openings).items()
    }
    expect(name, ours, {group_of(row["groups"], names): number(row["value"]) for row in theirs})


def _per_event(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """What each event adds, plain or weighed; the peer weighs nothing that does not go on to the next period."""
    if any(isinstance(value, str) for value in theirs):
        raise NotExpressible("the list is told by an expression")
    meter = asked.listed()
    rows = meter.listed() if meter.recurring or not meter.prorated else []
    if "prorated" not in how:
        ours = [row.adds for row in rows]
    elif isinstance(meter, Presence):
        ours = [upward(row.weighed) for row in rows]
    else:
        ours = [nearest(row.weighed) for row in rows]
    expect(name, ours, [number(value) for value in theirs])


ANSWERS: dict[str, Callable[[Asked, str, str, Any], None]] = {
    "aggregations": _groups,
    "breakdowns": _breakdowns,
    "per_event": _per_event,
    "options": _running,
    **AT_ONCE,
    "breakdown": tell,
}
