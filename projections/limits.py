"""Limits against use: one row for each license and counter, read by its key when the product asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import ClassVar
from uuid import UUID

from domain.events import counted_users as count_events
from projections.projection import Cursor, Entry, Projection

USE = """
INSERT INTO limit_v1 AS l (bucket, license, counter, used, used_on)
SELECT * FROM unnest(%s::smallint[], %s::uuid[], %s::text[], %s::bigint[], %s::date[])
ON CONFLICT (bucket, license, counter) DO UPDATE SET used = excluded.used, used_on = excluded.used_on
WHERE excluded.used_on >= l.used_on"""


class Limits(Projection):
    """The last count of every license and counter; since when it is too much is a fold of the basis."""

    name = "limit_v1"
    tables = ("limit_v1",)
    topics = frozenset({"counted_users"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS limit_v1 (
            bucket smallint NOT NULL, license uuid NOT NULL, counter text NOT NULL, used bigint NOT NULL,
            used_on date NOT NULL, PRIMARY KEY (bucket, license, counter))""",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        latest: dict[tuple[int, UUID, str], tuple[int, date]] = {}
        for entry in entries:
            event = entry.event
            if isinstance(event, count_events.CountEvent) and (used := _days(event)):
                key, last = (entry.bucket, event.license, event.counter), max(used)
                if key not in latest or latest[key][1] <= last:
                    latest[key] = (used[last], last)
        if latest:
            rows = [(*key, *value) for key, value in latest.items()]
            cursor.execute(USE, [list(column) for column in zip(*rows, strict=True)])


def _days(event: count_events.CountEvent) -> dict[date, int]:
    if isinstance(event, count_events.ReadingsRecorded):
        return {reading.day: reading.quantity for reading in event.readings}
    assert isinstance(event, count_events.CountsClosed)
    first = event.start.toordinal()
    return {date.fromordinal(first + n): quantity for n, quantity in enumerate(event.daily)}
