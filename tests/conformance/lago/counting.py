"""Lago's metrics as our counting would be told of them: readings of days, observations of subjects, and a measure.

An event that changes a level (seats taken and given back) becomes the reading of the level at the end of each day; a
subject that is added and removed is observed on each day of its stay. Everything after that is the domain's: the count
of a day and the measure of a period. Lago takes a period without events as zero, where we have nothing to bill.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

from domain.counting import DayCounts, Observation, Seen, deciding_day, measure
from domain.money import rounded
from domain.package_version import Counting, Measure
from domain.period import Span
from domain.price import ceiling
from tests.conformance.verdict import Case
from tests.conformance.words import is_number, number

NOW = datetime(2023, 6, 15, 12, tzinfo=UTC)
"""When an event happened that does not say it."""

DIGITS = 10**5

Readings = Mapping[int, Fraction]
Fold = Callable[[Fraction, Fraction], Fraction]
READINGS: dict[str, tuple[Measure, Fold]] = {
    "sum_agg": ("sum", operator.add),
    "max_agg": ("peak", max),
    "latest_agg": ("last", lambda _, latest: latest),
}
"""How the events of a day become its reading, and how those of a period are measured."""


class Happened(NamedTuple):
    """An event. Units: `amount` in minor units, where the event tells its own price."""

    at: datetime
    said: Mapping[str, Any]
    amount: Fraction

    @property
    def day(self) -> int:
        return self.at.toordinal()


def happened(event: Mapping[str, Any]) -> Happened:
    """An event as the cases write it."""
    at = datetime.fromisoformat(event["timestamp"]) if "timestamp" in event else NOW
    return Happened(at, event.get("properties") or {}, number(event.get("precise_total_amount_cents", 0)))


class Period(NamedTuple):
    """The days [start, end) that are measured, and how many a full period has."""

    first: datetime
    last: datetime
    whole: int

    @property
    def span(self) -> Span:
        return self.first.toordinal(), self.last.toordinal() + 1

    @property
    def part(self) -> Fraction:
        """How much of a full period this is: what a quantity of a begun period is paid for."""
        start, end = self.span
        return Fraction(end - start, self.whole)

    def holds(self, event: Happened) -> bool:
        return self.first <= event.at <= self.last


def period_of(case: Case) -> Period:
    """The period of a case."""
    said = case["boundaries"]
    first, last = (datetime.fromisoformat(said[name]) for name in ("from_datetime", "to_datetime"))
    return Period(first, last, said.get("charges_duration") or last.toordinal() + 1 - first.toordinal())


def measured(kind: Measure, readings: Readings, span: Span) -> Fraction:
    """Our measure of readings, in units so small that each is a whole number; nothing read is the peer's zero."""
    finer = lcm(*(quantity.denominator for quantity in readings.values()))
    counts = DayCounts({day: int(quantity * finer) for day, quantity in readings.items()})
    return (measure(Counting("lago", kind), counts, *span) or Fraction(0)) / finer


def observed(kind: Measure, seen: Iterable[Observation], span: Span) -> Fraction:
    """Our measure of the daily counts of subjects."""
    counting = Counting("lago", kind, window=1)
    daily = dict(enumerate(Seen(counting, seen).daily_counts(*span), start=span[0]))
    return measure(counting, DayCounts(daily), *span) or Fraction(0)


def upward(quantity: Fraction) -> Fraction:
    """To the peer's five digits, up."""
    return Fraction(ceiling(quantity * DIGITS), DIGITS)


def nearest(quantity: Fraction) -> Fraction:
    """To the peer's five digits, the nearest."""
    scaled = quantity * DIGITS
    return Fraction(rounded(scaled.numerator, scaled.denominator), DIGITS)


def by_day(values: Iterable[tuple[int, Fraction]], fold: Fold) -> dict[int, Fraction]:
    """Readings of days from values that came on them."""
    days: dict[int, Fraction] = {}
    for day, value in values:
        days[day] = fold(days[day], value) if day in days else value
    return days


class Listed(NamedTuple):
    """What one event adds: as it is, and weighed by the days that it holds for."""

    adds: Fraction
    weighed: Fraction


class Meter:
    """A metric whose events are read one by one: counted, added up, the largest, the latest."""

    numeric = True
    """Whether only numbers can be read."""

    def __init__(self, case: Case, events: Sequence[Happened], opening: Fraction | None = None) -> None:
        self.metric, self.period = case["metric"], period_of(case)
        self.how, self.recurring = self.metric["aggregation_type"], bool(self.metric.get("recurring"))
        self.prorated = case["family"] != "aggregations"
        self.field = None if self.how == "count_agg" else self.metric.get("field_name")
        self.opening = opening or Fraction(0)
        told = [event for event in events if self._tells(event)]
        self.before = [event for event in told if event.at < self.period.first and self.recurring]
        self.inside = [event for event in told if self.period.holds(event)]

    @property
    def told(self) -> list[Happened]:
        """The events that the answer is made of."""
        return [*self.before, *self.inside]

    def _tells(self, event: Happened) -> bool:
        """Whether an event has what the metric looks at."""
        said = event.said.get(self.field) if self.field else 1
        return said is not None and (not self.numeric or is_number(said))

    def count(self) -> Fraction:
        """How many events the answer is made of."""
        return Fraction(len(self.told))

    def reading(self) -> Fraction:
        """The quantity of the period as it was read, whatever part of it each unit was there."""
        if self.field is None:
            return observed("sum", [(event.day, str(nth)) for nth, event in enumerate(self.inside)], self.period.span)
        kind, fold = READINGS[self.how]
        return measured(kind, by_day(self.values(self.inside), fold), self.period.span)

    def units(self) -> Fraction:
        """The quantity of the period; what was read last is not taken for less than nothing."""
        return max(self.reading(), Fraction(0)) if self.how == "latest_agg" else self.reading()

    def billed(self) -> Fraction:
        """The quantity that the period is billed for."""
        return self.units()

    def amounts(self) -> Fraction:
        """What the events themselves say that they cost, added up. Units: minor."""
        own = by_day(((event.day, event.amount) for event in self.inside), operator.add)
        return measured("sum", own, self.period.span)

    def listed(self) -> list[Listed]:
        """What each event adds to the quantity; a peak is all on the event that made it."""
        if self.field is None:
            return [Listed(Fraction(1), Fraction(1)) for _ in self.inside]
        values = self.values(self.inside)
        if self.how != "sum_agg":
            decisive = self._decisive(values)
            values = [(day, value if nth == decisive else Fraction(0)) for nth, (day, value) in enumerate(values)]
        return [Listed(value, value) for _, value in values]

    def change(self, event: Happened) -> Fraction:
        """By how much an event moves the quantity."""
        return number(event.said[self.field] if self.field else 1) if self._tells(event) else Fraction(0)

    def values(self, events: Iterable[Happened]) -> list[tuple[int, Fraction]]:
        return [(event.day, number(event.said[self.field])) for event in events]

    def _decisive(self, values: Sequence[tuple[int, Fraction]]) -> int | None:
        """Which value was billed: on the day that decided, the one that is the day's reading."""
        kind, fold = READINGS[self.how]
        read = by_day(values, fold)
        finer = lcm(*(quantity.denominator for quantity in read.values()))
        counts = DayCounts({day: int(quantity * finer) for day, quantity in read.items()})
        day = deciding_day(Counting("lago", kind), counts, *self.period.span)
        return None if day is None else values.index((day, read[day]))
