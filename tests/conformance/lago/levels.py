"""Lago's metrics that go on from period to period: a level that is changed, and subjects that are added and removed."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from fractions import Fraction
from typing import NamedTuple

from domain.counting import Observation
from domain.period import OPEN_END, Span, intersection
from tests.conformance.lago.counting import Happened, Listed, Meter, Readings, by_day, measured, observed, upward
from tests.conformance.verdict import Case

Moves = Sequence[tuple[int, Fraction]]
"""By how much a level moved on a day."""
DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)


class Change(NamedTuple):
    """A day on which something came or went: what happened, how much, and the days that it was there."""

    day: int
    action: str
    amount: Fraction
    days: int


class Level(Meter):
    """A quantity that stands until it is changed: added up over all time, or on average over a period's days.

    What it stood at before the period is the opening, where that was kept, else what the events before it add up to.
    """

    def __init__(self, case: Case, events: Sequence[Happened], opening: Fraction | None = None) -> None:
        super().__init__(case, events, opening)
        self.weighted = self.how == "weighted_sum_agg"
        if opening is None:
            self.opening = sum((value for _, value in self.values(self.before)), Fraction(0))

    def reading(self) -> Fraction:
        return measured("last", self._levels(self.values(self.inside)), self.period.span)

    def billed(self) -> Fraction:
        """Weighed: the average level, for the part of a full period that it was there."""
        if not (self.weighted or self.prorated):
            return self.units()
        moved = [(event.day, self.change(event) * self._rest(event)) for event in self.inside]
        average = measured("average", self._levels(self.values(self.inside), moved), self.period.span)
        return average * self.period.part

    def _rest(self, event: Happened) -> Fraction:
        """How much of an event's day is left: whoever weighs a level by the second reads its mean over the day."""
        if not self.weighted:
            return Fraction(1)
        began = datetime.combine(event.at.date(), time(), event.at.tzinfo)
        return 1 - Fraction((event.at - began) // MICROSECOND, DAY // MICROSECOND)

    def variation(self) -> Fraction:
        """What the period's events add up to."""
        return measured("sum", by_day(self.values(self.inside), operator.add), self.period.span)

    def listed(self) -> list[Listed]:
        values = self.values(self.inside)
        if self.opening:
            values.insert(0, (self.period.span[0], self.opening))
        return [Listed(value, self._weighed(day, value)) for day, value in values]

    def changes(self) -> Iterator[Change]:
        """What stood when the period began, and the days on which the level moved."""
        start, end = self.period.span
        moved = sorted(by_day(self.values(self.inside), operator.add).items())
        for day, by in [(start, self.opening)] * bool(self.opening) + moved:
            yield Change(day, "add" if by >= 0 else "remove", by, end - day)

    def _weighed(self, day: int, value: Fraction) -> Fraction:
        alone = {at: value if at >= day else Fraction(0) for at in range(*self.period.span)}
        return measured("average", alone, self.period.span) * self.period.part

    def _levels(self, moved: Moves, read: Moves | None = None) -> Readings:
        """The level of each day of the period: what it began with, and what is read of its own changes."""
        changes, today = by_day(moved, operator.add), by_day(moved if read is None else read, operator.add)
        level, readings = self.opening, {}
        for day in range(*self.period.span):
            readings[day] = level + today.get(day, 0)
            level += changes.get(day, 0)
        return readings


class Stay(NamedTuple):
    """A subject from its first to its last day; the last is open while nobody removed it."""

    subject: str
    first: int
    last: int


class Presence(Meter):
    """Subjects that are added and removed: who is there at the end, or how many were there on average."""

    numeric = False

    def __init__(self, case: Case, events: Sequence[Happened], opening: Fraction | None = None) -> None:
        super().__init__(case, events, opening)
        stays = stays_of(self.told, str(self.field))
        self.stays = [stay for stay in stays if stay.last >= self.period.span[0]]

    def count(self) -> Fraction:
        """The peer counts the subjects, not the events."""
        return upward(self.billed()) if self.prorated else self.units()

    def reading(self) -> Fraction:
        """Who is there at the end of the last day."""
        held = self._days((stay.subject, (stay.first, stay.last)) for stay in self.stays)
        return observed("last", held, self.period.span)

    def billed(self) -> Fraction:
        return self._average(self.stays) if self.prorated else self.units()

    def listed(self) -> list[Listed]:
        """One more when a subject comes, weighed by the days of its stay, and one less when it goes; where days are not
        weighed, one for each event."""
        if not self.prorated:
            return [Listed(Fraction(1), Fraction(1)) for _ in self.inside]
        rows = [(stay.first, Listed(Fraction(1), self._average([stay]))) for stay in self.stays]
        rows += [(stay.last, Listed(Fraction(-1), Fraction(0))) for stay in self.stays if stay.last < OPEN_END]
        return [row for _, row in sorted(rows, key=lambda dated: dated[0])]

    def changes(self) -> Iterator[Change]:
        """Who stayed, came, went, or came and went: each subject with its days."""
        stays: dict[str, list[Stay]] = defaultdict(list)
        for stay in self.stays:
            stays[stay.subject].append(stay)
        for own in stays.values():
            day, action = _moved(own[0]._replace(last=own[-1].last), self.period.span)
            yield Change(day, action, Fraction(1), sum(map(self._of_period, own)))

    def change(self, event: Happened) -> Fraction:
        subject = event.said.get(str(self.field))
        there = any(stay.subject == str(subject) and stay.last == OPEN_END for stay in self.stays)
        if subject is None or there != _removes(event):
            return Fraction(0)
        return Fraction(-1 if there else 1)

    def _average(self, stays: Iterable[Stay]) -> Fraction:
        """The daily number of subjects seen, on average, for the part of a full period that this is."""
        seen = self._days((stay.subject, (stay.first, stay.last + 1)) for stay in stays)
        return observed("average", seen, self.period.span) * self.period.part

    def _days(self, stays: Iterable[tuple[str, Span]]) -> Iterator[Observation]:
        for subject, days in stays:
            for day in range(*(intersection(days, self.period.span) or (0, 0))):
                yield day, subject

    def _of_period(self, stay: Stay) -> int:
        """The days of a stay that are of the period."""
        start, end = intersection((stay.first, stay.last + 1), self.period.span) or (0, 0)
        return end - start


def _moved(stay: Stay, period: Span) -> tuple[int, str]:
    """What a stay is in a period: the day that it is told of, and what happened."""
    first = max(stay.first, period[0])
    if stay.last >= period[1]:
        return first, "add"
    return (first, "add_and_removed") if stay.first >= period[0] else (stay.last, "remove")


def stays_of(events: Iterable[Happened], field: str) -> list[Stay]:
    """The stays of all subjects; who comes back on the day of leaving was never away."""
    stays: dict[str, list[Stay]] = defaultdict(list)
    for event in events:
        subject = str(event.said[field])
        own = stays[subject]
        if _removes(event):
            if own and own[-1].last == OPEN_END:
                own[-1] = own[-1]._replace(last=event.day)
        elif own and own[-1].last >= event.day:
            own[-1] = own[-1]._replace(last=OPEN_END)
        else:
            own.append(Stay(subject, event.day, OPEN_END))
    return [stay for own in stays.values() for stay in own]


def _removes(event: Happened) -> bool:
    return bool(event.said.get("operation_type") == "remove")
