"""What is billed with each event: the highest level that a period has reached by then.

What was given back and is taken again in the same period is not billed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.period import Span
from tests.conformance.lago.counts import Event, counted, day_of, value_of
from tests.conformance.lago.records import Row, aggregation_of, field_of, is_recurring


class Level:
    """What events come to, one after the other: a sum, how many they are, or who is there."""

    def __init__(self, metric: Row) -> None:
        self.metric, self.how = metric, aggregation_of(metric)
        self._sum, self._there = 0, set[str]()

    @property
    def height(self) -> int:
        return len(self._there) if self.how == "unique_count_agg" else self._sum

    def take(self, event: Event) -> int:
        """Counts one more event, and by how much it changes the level."""
        before = self.height
        if self.how != "unique_count_agg":
            self._sum += value_of(self.metric, self.how, event)
        elif field_of(self.metric) in event.properties:
            name = str(event.properties[field_of(self.metric)])
            added = event.properties.get("operation_type", "add") == "add"
            self._there = self._there | {name} if added else self._there - {name}
        return self.height - before


def risen(row: Row, metric: Row, events: Sequence[Event], days: range, periods: Iterable[Span]) -> list[int | None]:
    """The reading of each day: the highest level of its period so far. One that stays goes on from period to period.

    Of a period to which nothing came nothing is read, unless something waits for it: then zero, on its last day.
    """
    own, awaited = counted(row, metric, events), bool(row.get("awaited"))
    readings: dict[int, int | None] = dict.fromkeys(days, None)
    level, known = Level(metric), 0
    for start, end in periods:
        if not is_recurring(metric):
            level = Level(metric)
        while known < len(own) and day_of(own[known], days) < start:
            if is_recurring(metric):
                level.take(own[known])
            known += 1
        top = max(level.height, 0) or None
        for day in range(start, min(end, days.stop)):
            while known < len(own) and day_of(own[known], days) == day:
                level.take(own[known])
                known, top = known + 1, max(top or 0, level.height)
            readings[day] = 0 if top is None and awaited and day == end - 1 else top
    return [readings[day] for day in days]


def change_by(row: Row, metric: Row, events: Sequence[Event]) -> int:
    """By how much the last of some events changed the level."""
    level, changed = Level(metric), 0
    for event in counted(row, metric, events):
        changed = level.take(event)
    return changed
