"""Lago's aggregations: what a period's events come to, as a whole, by group, event by event, and billed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from domain.money import rounded
from domain.period import day as day_of
from domain.price import ceiling
from tests.conformance.lago.counting import READINGS, Happened, Meter, by_day, happened, measured, period_of
from tests.conformance.lago.levels import Level, Presence
from tests.conformance.verdict import Case, Forgiven, NotExpressible, expect
from tests.conformance.words import number

Group = tuple[tuple[str, Any], ...]
"""What events that are measured together have in common: property and value, by property."""

DIGITS = 10**5
NOT_OURS = ("options", "recurring_updated_at")
"""The peer's own bookkeeping: running totals up to what is free, and when it last looked at a level."""


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


class Asked:
    """A case's events, by what the case asks for."""

    def __init__(self, case: Case) -> None:
        self.case, self.metric = case, case["metric"]
        self.kind = meter_of(case)
        self.events = sorted(filter(self._matches, map(happened, case["events"])), key=lambda event: event.at)
        event = case.get("pay_in_advance_event")
        self.event = happened(event) if event else None
        records = case.get("other_records", ())
        self.cached = [record for record in records if record["type"] == "cached_aggregation"]
        self.grouped_by = tuple(case["filters"].get("grouped_by", ()))
        for name in self.grouped_by:
            if self.events and not any(name in found.said for found in self.events):
                raise NotExpressible(f"no event tells the {name} that it is grouped by")

    def meter(self, events: Sequence[Happened], opening: Fraction = Fraction(0)) -> Meter:
        return self.kind(self.case, events, opening)

    def whole(self) -> Meter:
        """All events together."""
        return self.meter(self.events)

    def grouped(self, names: Sequence[str], openings: Mapping[Group, Fraction]) -> dict[Group, Meter]:
        """The events of each group; a group may also be known by the level that it came with."""
        groups: dict[Group, list[Happened]] = {group: [] for group in openings}
        for event in self.events:
            groups.setdefault(_group(event.said, names), []).append(event)
        return {group: self.meter(events, openings.get(group, Fraction(0))) for group, events in groups.items()}

    def listed(self) -> Meter:
        """The events that are told one by one: those of one group, and the one that is billed at once, whenever it was.

        Which group is not in the cases: it is the one property that some events have and nothing names.
        """
        filters = self.case["filters"]
        shown = (*self.grouped_by, *filters.get("presentation_by", ()), *filters.get("matching_filters", ()))
        named = {self.metric.get("field_name"), "operation_type", *shown}
        odd = sorted({name for event in self.events for name in event.said} - named)
        last = period_of(self.case).last
        return self.meter([
            event._replace(at=min(event.at, last)) if event == self.event else event
            for event in self.events
            if all(name in event.said for name in odd)
        ])  # fmt: skip

    def _matches(self, event: Happened) -> bool:
        wanted = self.case["filters"].get("matching_filters", {})
        return all(event.said.get(name) in values for name, values in wanted.items())


def meter_of(case: Case) -> type[Meter]:
    """How a case's metric is counted.

    Raises: NotExpressible for metrics that say more than these know.
    """
    metric, kind = case["metric"], case["metric"]["aggregation_type"]
    if odd := metric.keys() - {"aggregation_type", "field_name", "recurring"}:
        raise NotExpressible(f"a metric with {', '.join(sorted(odd))}")
    if kind == "unique_count_agg":
        return Presence
    if kind == "weighted_sum_agg" or (
        kind == "sum_agg" and (metric.get("recurring") or case["family"] != "aggregations")
    ):
        return Level
    if kind in READINGS or kind == "count_agg":
        return Meter
    raise NotExpressible(f"no measure for {kind}")


def _group(said: Mapping[str, Any], names: Iterable[str]) -> Group:
    return tuple((name, said.get(name)) for name in sorted(names))


def _quantity(meter: Meter, how: str) -> Fraction:
    """What is billed, to the peer's five digits: a prorated number goes up, others to the nearest if the case asks."""
    billed = meter.billed()
    if meter.prorated:
        return Fraction(ceiling(billed * DIGITS), DIGITS)
    return _nearest(billed) if how == "round(5)" else billed


def _nearest(quantity: Fraction) -> Fraction:
    scaled = quantity * DIGITS
    return Fraction(rounded(scaled.numerator, scaled.denominator), DIGITS)


def _variation(meter: Meter) -> Fraction:
    if not isinstance(meter, Level):
        raise NotExpressible("only a level varies")
    return meter.variation()


NUMBERS: dict[str, Callable[[Meter], Fraction]] = {
    "count": lambda meter: Fraction(meter.count()),
    "current_usage_units": lambda meter: meter.units(),
    "total_aggregated_units": lambda meter: meter.units(),
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


def _groups(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """The groups; where no event came, one group of nobody."""
    groups = asked.grouped(asked.grouped_by, {}) or {_group({}, asked.grouped_by): asked.meter([])}
    if how == "map":
        told = [[dict(group), meter.billed(), meter.count()] for group, meter in groups.items()]
        expect(name, sorted(map(str, told)), sorted(map(str, theirs)))
        return
    if how == "count":
        expect(name, len(groups), theirs)
        return
    _, _, what = how.partition(".")
    first = asked.case["expected"].get("aggregations.first.grouped_by", {})
    meter = groups.get(_group(first, asked.grouped_by))
    if meter is None:
        expect(name, "no such group", theirs)
    elif what != "grouped_by":
        expect(name, _number(meter, what), number(theirs))


def _breakdowns(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """The units of each group that is shown, in any order: those of a level are weighed, others stand as they are."""
    names = (*asked.grouped_by, *asked.case["filters"].get("presentation_by", ()))
    openings = {
        _group(row["groups"], names): number(row["value"])
        for record in asked.cached
        for row in record.get("presentation_breakdowns", ())
    }
    weighted = asked.metric["aggregation_type"] == "weighted_sum_agg"
    ours = {
        group: _nearest(meter.billed()) if weighted else meter.units()
        for group, meter in asked.grouped(names, openings).items()
    }
    expect(name, ours, {_group(row["groups"], names): number(row["value"]) for row in theirs})


def _per_event(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """What each event adds, plain or weighed; the peer weighs nothing that does not go on to the next period."""
    if any(isinstance(value, str) for value in theirs):
        raise NotExpressible("the list is told by an expression")
    meter = asked.listed()
    rows = meter.listed() if meter.recurring or not meter.prorated else []
    if "prorated" not in how:
        ours = [row.adds for row in rows]
    elif isinstance(meter, Presence):
        ours = [Fraction(ceiling(row.weighed * DIGITS), DIGITS) for row in rows]
    else:
        ours = [_nearest(row.weighed) for row in rows]
    expect(name, ours, [number(value) for value in theirs])


def _in_advance(asked: Asked, name: str, how: str, theirs: Any) -> None:
    expect(name, _billed_at_once(asked), number(theirs))


def _in_advance_breakdowns(asked: Asked, name: str, how: str, theirs: Any) -> None:
    names = (*asked.grouped_by, *asked.case["filters"].get("presentation_by", ()))
    ours = {_group(_event(asked).said, names): _billed_at_once(asked)}
    expect(name, ours, {_group(row["groups"], names): number(row["value"]) for row in theirs})


def _in_advance_amount(asked: Asked, name: str, how: str, theirs: Any) -> None:
    expect(name, _event(asked).amount, number(theirs))


def _units_applied(asked: Asked, name: str, how: str, theirs: Any) -> None:
    expect(name, _change(asked), number(theirs))


def _event(asked: Asked) -> Happened:
    if asked.event is None:
        raise NotExpressible("no event to bill at once")
    return asked.event


def _change(asked: Asked) -> Fraction:
    event = _event(asked)
    return asked.meter([found for found in asked.events if found != event]).change(event)


def _billed_at_once(asked: Asked) -> Fraction:
    """By how much an event raises the peak of the period; what was given back and taken again is not billed twice."""
    event, change, period = _event(asked), _change(asked), period_of(asked.case)
    start, end = period.span
    known: dict[str, Any] = max(asked.cached, key=lambda record: record["timestamp"], default={})
    peak, level = number(known.get("max_aggregation", 0)), number(known.get("current_aggregation", 0))
    before = {start: peak}
    after = by_day([(start, peak), (event.day, level + change)], max)
    rise = measured("peak", after, (start, end)) - measured("peak", before, (start, end))
    if asked.whole().prorated:
        return Fraction(ceiling(rise * Fraction(end - event.day, period.whole) * DIGITS), DIGITS)
    return rise


def _changes(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """The days on which a level moved, by how much, and for how many days of a full period."""
    meter = asked.whole()
    if not isinstance(meter, Level):
        raise NotExpressible("only a level has changes to tell")
    ours = list(meter.changes())
    what = how.removeprefix("breakdown.")
    if what == "count":
        expect(name, len(ours), theirs)
        return
    expect(name, _told(ours, meter).get(what.removeprefix("first.")), theirs)


def _told(changes: Sequence[tuple[int, Fraction, int]], meter: Meter) -> dict[str, Any]:
    """The first change in the peer's words."""
    for day, by, days in changes:
        return {
            "date": day_of(day).isoformat(),
            "action": "add" if by >= 0 else "remove",
            "amount": by,
            "duration": days,
            "total_duration": meter.period.whole,
        }
    return {}


ANSWERS: dict[str, Callable[[Asked, str, str, Any], None]] = {
    "aggregations": _groups,
    "breakdowns": _breakdowns,
    "per_event": _per_event,
    "pay_in_advance_aggregation": _in_advance,
    "pay_in_advance_breakdowns": _in_advance_breakdowns,
    "pay_in_advance_precise_total_amount_cents": _in_advance_amount,
    "units_applied": _units_applied,
    "breakdown": _changes,
}
