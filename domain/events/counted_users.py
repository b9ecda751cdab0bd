"""What is known of the counted users of one license, counter and month: readings, or closings of raw observations."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import msgspec

from domain.events import Event


class Reading(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A quantity that was reported for a day; a correction is another report of the same day."""

    day: date
    quantity: int
    report_id: str


class CountEvent(Event):
    """The base of both: which license and counter it is about."""

    TOPIC = "counted_users"
    license: UUID
    counter: str


class ReadingsRecorded(CountEvent):
    """Readings came in; later ones of a day supersede earlier ones."""

    TOPIC = "counted_users.readings_recorded"
    month: date
    readings: tuple[Reading, ...]
    source: str = ""


class CountsClosed(CountEvent):
    """Raw observations of the days [start, end) were counted by a definition.

    Shapes: `daily` one count per day; `distinct` subjects of the whole span; `definition` and `names` are digests of
    the rules and of the names counted, so that the count can be proven later.
    """

    TOPIC = "counted_users.counts_closed"
    start: date
    end: date
    definition: str
    zone: str
    daily: tuple[int, ...]
    distinct: int
    names: str
