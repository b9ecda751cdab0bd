"""Lago's aggregations: what a period's events come to, as a whole, by group, event by event, and billed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from tests.conformance.lago.at_once import AT_ONCE
from tests.conformance.lago.changes import tell
from tests.conformance.lago.counting import Meter, nearest, upward
from tests.conformance.lago.gathered import Asked, Group, group_of
from tests.conformance.lago.levels import Level, Presence
from tests.conformance.lago.so_far import openings, quantity
from tests.conformance.verdict import Case, Forgiven, NotExpressible, expect
from tests.conformance.words import number

Groups = dict[Group, Meter]
FREE_AMOUNT = "free_units_per_total_aggregation"
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
        if what in NOT_OURS or theirs is None:
            forgiven["not compared"] += 1
            continue
        ANSWERS.get(what, _plain)(asked, name, how, theirs)
        compared += 1
    if not compared:
        raise NotExpressible("nothing to compare")


def _variation(meter: Meter) -> Fraction:
    if not isinstance(meter, Level):
        raise NotExpressible("only a level varies")
    return meter.variation()


NUMBERS: dict[str, Callable[[Meter], Fraction]] = {
    "count": lambda meter: meter.count(),
    "current_usage_units": lambda meter: max(meter.units(), Fraction(0)),
    "total_aggregated_units": lambda meter: meter.units(),
    "full_units_number": lambda meter: meter.units(),
    "variation": _variation,
    "precise_total_amount_cents": lambda meter: meter.amounts(),
}


def _number(asked: Asked, meter: Meter, what: str, how: str = "", group: Group = ()) -> Fraction:
    """A number of some events; to five digits, where the case asks for that."""
    if what == "aggregation":
        ours = quantity(asked, meter, group)
    elif what in NUMBERS:
        ours = NUMBERS[what](meter)
    else:
        raise NotExpressible(f"no {what}")
    return nearest(ours) if how == "round(5)" else ours


def _plain(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """A number of all events together."""
    whole = asked.whole(openings(asked, ()).get(()))
    expect(name, _number(asked, whole, name.partition(".")[0], how), number(theirs))


def _running(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """What events add up to one by one, as far as some of them are free."""
    _free(asked, name, asked.whole(), theirs)


def _free(asked: Asked, name: str, meter: Meter, theirs: Any) -> None:
    if set(theirs) - {"running_total"} or (asked.metric["aggregation_type"] not in RUNNING and theirs):
        raise NotExpressible("options of an aggregation")
    expect(name, [*running(asked, meter)], [number(total) for total in theirs.get("running_total", ())])


def running(asked: Asked, meter: Meter) -> Iterator[Fraction]:
    """The quantity after each event that may be free: the first ones, or up to the one that uses a free amount up.

    Where events or subjects are counted, it is each number up to theirs.
    """
    options, told = asked.options, meter.told
    most, amount = int(options.get("free_units_per_events") or 0), number(options.get(FREE_AMOUNT) or 0)
    if not (most or amount):
        return
    if asked.metric["aggregation_type"] != "sum_agg":
        yield from map(Fraction, range(1, int(meter.units()) + 1))
        return
    total = Fraction(0)
    for nth in range(1, len(told) + 1):
        if nth > most if most else total > amount:
            return
        total = asked.meter(told[:nth]).units()
        yield total


def _groups(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """The groups; where no event came, one group of nobody."""
    known = openings(asked, asked.grouped_by)
    groups = asked.grouped(asked.grouped_by, known) or {group_of({}, asked.grouped_by): asked.meter([])}
    if how == "map":
        _rows(asked, name, groups, theirs)
    elif how == "count":
        expect(name, len(groups), theirs)
    else:
        _group(asked, name, groups, how, theirs)


def _rows(asked: Asked, name: str, groups: Groups, theirs: Any) -> None:
    """Each group with what is billed of it and the events that it has, in any order."""
    if not all(isinstance(row, list) and len(row) == 3 and isinstance(row[0], dict) for row in theirs):
        raise NotExpressible("groups told by an expression")
    ours = {group: (quantity(asked, meter, group), meter.count()) for group, meter in groups.items()}
    expect(name, ours, {group_of(of, of): (number(billed), number(count)) for of, billed, count in theirs})


def _group(asked: Asked, name: str, groups: Groups, how: str, theirs: Any) -> None:
    """A word about one group: the case names it, or there is no other."""
    place, _, word = how.partition(".")
    told = asked.case["expected"].get(f"aggregations.{place}.grouped_by")
    if told is None and len(groups) > 1:
        raise NotExpressible("one of several groups, and not said which")
    group = next(iter(groups)) if told is None else group_of(told, asked.grouped_by)
    what, _, rounding = word.partition(".")
    if group not in groups:
        expect(name, "no such group", theirs)
    elif what == "options":
        _free(asked, name, groups[group], theirs)
    elif what != "grouped_by":
        expect(name, _number(asked, groups[group], what, rounding, group), number(theirs))


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
        group: nearest(meter.billed()) if weighted else meter.reading()
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
