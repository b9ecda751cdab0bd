"""Lago's events as readings of a counter: what was counted on each day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction
from itertools import accumulate
from typing import Any, NamedTuple

from domain.period import Span
from tests.conformance.lago.records import Row, aggregation_of, field_of, is_recurring
from tests.conformance.percentage import rate_of
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import is_number, number


class Event(NamedTuple):
    """Something that was used on a day."""

    metric: str
    day: int
    properties: dict[str, Any]
    amount: str = "0"


def counted(row: Row, metric: Row, events: Sequence[Event]) -> list[Event]:
    """The events that a component counts: those of its metric that no other slice of the charge has."""
    own = [event for event in events if event.metric == metric["ref"] and _is_of(row, event)]
    return sorted(own, key=lambda event: event.day)


def _is_of(row: Row, event: Event) -> bool:
    return _has(event, row.get("only", {})) and not any(_has(event, other) for other in row.get("others", ()))


def _has(event: Event, values: dict[str, list[Any]]) -> bool:
    return all(event.properties.get(name) in among for name, among in values.items())


def begins_anew(row: Row, metric: Row) -> bool:
    """Whether each period begins with nothing, and what came in it stands until its end."""
    how = str(row.get("counts", aggregation_of(metric)))
    return how in ("latest_agg", "priced") or (how == "unique_count_agg" and not is_recurring(metric))


def daily(row: Row, metric: Row, events: Sequence[Event], days: range) -> list[int]:
    """The reading of each day: what came on it, or what there is by it where the metric keeps what it counted."""
    own, prorated = counted(row, metric, events), bool(row.get("prorated"))
    how = str(row.get("counts", aggregation_of(metric)))
    if how == "unique_count_agg":
        return _present(metric, own, days, prorated)
    values = _costs(row, metric, own) if how == "priced" else [value_of(metric, how, event) for event in own]
    read = [(day_of(event, days), value) for event, value in zip(own, values, strict=True)]
    came = [[value for on, value in read if on == day] for day in days]
    if how == "max_agg":
        return [max(values, default=0) for values in came]
    if how == "latest_agg":
        return list(accumulate((values[-1] if values else None for values in came), _latest, initial=0))[1:]
    sums = [sum(values) for values in came]
    return list(accumulate(sums)) if is_recurring(metric) and not row.get("counts") else sums


def _latest(before: int, today: int | None) -> int:
    return before if today is None else today


def daily_by_period(row: Row, metric: Row, events: Sequence[Event], days: range, periods: Iterable[Span]) -> list[int]:
    """The reading of each day where each period begins with nothing."""
    readings = dict.fromkeys(days, 0)
    for start, end in periods:
        inside = [event for event in events if start <= day_of(event, days) < end]
        part = range(start, min(end, days.stop))
        readings.update(zip(part, daily(row, metric, inside, part), strict=True))
    return [readings[day] for day in days]


def day_of(event: Event, days: range) -> int:
    """The day of an event; what came before the license was sold is there from its first day."""
    return max(event.day, days.start)


def _costs(row: Row, metric: Row, events: Sequence[Event]) -> list[int]:
    """What the transactions of a period cost, each by itself."""
    values = [_number(metric, event) for event in events]
    rate = rate_of(row["rate"], list(accumulate(values)))
    worth = number(row["properties"]["amount"])
    return [_whole(cost / worth) for cost in rate.each(row["rate"], values)]


def _number(metric: Row, event: Event) -> Fraction:
    """What an event says of what the metric looks at; nothing where that is not a number."""
    said = event.properties.get(field_of(metric), 0)
    return number(said) if is_number(said) else Fraction(0)


def value_of(metric: Row, how: str, event: Event) -> int:
    """What an event adds to a reading."""
    if how in ("count_agg", "events"):
        return 1
    if how == "amounts":
        return _whole(number(event.amount) * 10)
    if how not in ("sum_agg", "max_agg", "latest_agg"):
        raise NotExpressible(f"no measure like {how}")
    return _whole(_number(metric, event))


def _whole(value: Fraction) -> int:
    if value.denominator != 1:
        raise NotExpressible("a reading that is not a whole number")
    return value.numerator


def _present(metric: Row, events: Sequence[Event], days: range, prorated: bool) -> list[int]:
    """How many are there by each day; one that leaves is still there on its last day where days are paid."""
    readings, there = [], set[str]()
    for day in days:
        gone = set[str]()
        for event in events:
            if day_of(event, days) == day:
                name = str(event.properties.get(field_of(metric)))
                if event.properties.get("operation_type", "add") == "add":
                    there.add(name)
                    gone.discard(name)
                elif name in there:
                    gone.add(name)
        readings.append(len(there) if prorated else len(there - gone))
        there -= gone
    return readings


def units_of(ordered: Sequence[tuple[str, date, int]], row: Row, days: range) -> list[int]:
    """The units in force on each day: the most of it where a rise is charged at once, else the last."""
    own = [(on.toordinal(), units) for name, on, units in ordered if name == row["ref"]]
    return [_in_force(own, day, bool(row.get("pay_in_advance"))) for day in days]


def _in_force(orders: Sequence[tuple[int, int]], day: int, most: bool) -> int:
    """The units of a day: the last that were ordered before it, or on it."""
    today = [units for on, units in orders if on == day]
    before = [units for on, units in orders if on < day][-1:]
    if most:
        return max([*before, *today], default=0)
    return [0, *before, *today][-1]
