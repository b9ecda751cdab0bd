"""CountedUsers: what was counted for one license, counter and month. Late and corrected readings are normal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from domain.aggregate import Aggregate
from domain.counting import DayCounts
from domain.events import Event
from domain.events import counted_users as events
from domain.identity import Kind, bucket_of, make_id
from domain.period import Span
from domain.terms import Located


def counted_users_id(license: UUID, counter: str, month: date) -> UUID:
    """The stream of a license's counter in a month (any day of it)."""
    first = month.replace(day=1)
    return make_id(Kind.COUNTED_USERS, bucket_of(license), first, license.hex, counter, first)


class CountedUsers(Aggregate):
    """The last closing, to know whether another one would say something new."""

    NAME = "counted_users"

    def blank(self) -> None:
        self.closed: events.CountsClosed | None = None

    def record(self, readings: events.ReadingsRecorded) -> None:
        """Takes readings in."""
        self.trigger(readings)

    def close(self, closing: events.CountsClosed) -> bool:
        """Records a closing unless it says what the last one said; whether it did."""
        if closing == self.closed:
            return False
        self.trigger(closing)
        return True

    def when(self, event: Event) -> None:
        match event:
            case events.CountsClosed():
                self.closed = event


def day_counts(facts: Iterable[Located]) -> dict[str, DayCounts]:
    """What is known of each counter of a license: for every day what was recorded last.

    Shapes: facts of one license's counters, in order inside each stream.
    """
    days: dict[str, dict[int, int]] = {}
    distinct: dict[str, dict[Span, int]] = {}
    reasons: dict[str, list[tuple[int, int, tuple[object, int]]]] = {}
    for ref, event in facts:
        if isinstance(event, events.ReadingsRecorded):
            found = {reading.day.toordinal(): reading.quantity for reading in event.readings}
        elif isinstance(event, events.CountsClosed):
            start = event.start.toordinal()
            found = dict(enumerate(event.daily, start=start))
            distinct.setdefault(event.counter, {})[start, event.end.toordinal()] = event.distinct
        else:
            continue
        if not found:
            continue
        if event.counter in days:
            days[event.counter].update(found)
        else:
            days[event.counter] = found
        reasons.setdefault(event.counter, []).append((min(found), max(found), ref))
    return {
        counter: DayCounts(found, distinct.get(counter, {}), tuple(reasons[counter])) for counter, found in days.items()
    }
