"""CountedUsers: what was counted for one license, counter and month. Late and corrected readings are normal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

import msgspec

from domain.aggregate import Aggregate
from domain.counting import DayCounts, Days, DaysInRow
from domain.events import Event
from domain.events import counted_users as events
from domain.events.documents import Ref
from domain.identity import Kind, bucket_of, make_id
from domain.period import Span


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


class PackedCounts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one event says of a counter, as the billing basis keeps it.

    Shapes: `version` of the event in its stream; a quantity for each day from the ordinal `first` on, None for a day
    without a reading; `distinct` subjects of all these days where they were closed.
    """

    version: int
    counter: str
    first: int
    quantities: tuple[int | None, ...]
    distinct: int | None = None


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(PackedCounts)


def counts_of(version: int, event: events.CountEvent) -> PackedCounts:
    """What an event says, day by day."""
    if isinstance(event, events.CountsClosed):
        return PackedCounts(version, event.counter, event.start.toordinal(), event.daily, event.distinct)
    assert isinstance(event, events.ReadingsRecorded)
    read = {reading.day.toordinal(): reading.quantity for reading in event.readings}
    first, last = min(read, default=0), max(read, default=-1)
    return PackedCounts(version, event.counter, first, tuple(map(read.get, range(first, last + 1))))


def pack_counts(counts: PackedCounts) -> bytes:
    """As a line of the billing basis."""
    return _ENCODER.encode(counts) + b"\n"


def unpack_counts(facts: bytes) -> Sequence[PackedCounts]:
    """The counts of a stream, in order."""
    return _DECODER.decode_lines(facts)


def day_counts(counted: Iterable[tuple[UUID, Iterable[PackedCounts]]]) -> dict[str, DayCounts]:
    """What is known of each counter of a license: for every day what was recorded last.

    Shapes: the streams of the license's counters, each with what its events say, in order.
    """
    told: dict[str, tuple[list[DaysInRow], dict[Span, int], list[tuple[int, int, Ref]]]] = {}
    for stream, said in counted:
        for one in said:
            runs, whole, reasons = told.get(one.counter) or told.setdefault(one.counter, ([], {}, []))
            first, end = one.first, one.first + len(one.quantities)
            runs.append((first, one.quantities))
            reasons.append((first, end - 1, (stream, one.version)))
            if one.distinct is not None:
                whole[first, end] = one.distinct
    return {counter: DayCounts(Days(runs), whole, tuple(reasons)) for counter, (runs, whole, reasons) in told.items()}
