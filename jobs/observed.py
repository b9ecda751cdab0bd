"""Stored observations as the counting rules want them: who was seen on which local day."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from domain.counting import Observation
from domain.identity import bucket_of
from domain.period import day
from jobs.fields import EPOCH, elements

QUARTER = 900_000_000
"""Microseconds of a quarter of an hour: every zone's midnight is one (since 2000 all offsets are multiples of it)."""

AT_ONCE = 50
"""Parcels that the database hands over together."""

# The subquery is gone through in the order in which was asked; what nobody was seen in is a row without parcels.
PARCELS = """
SELECT a.n, p.instants, p.subjects
FROM unnest(%s::smallint[], %s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[])
    WITH ORDINALITY AS a(bucket, license, counter, start_at, end_at, n)
LEFT JOIN LATERAL (
    SELECT array_send(observed_at) AS instants, array_send(subjects) AS subjects FROM observation_parcel o
    WHERE o.bucket = a.bucket AND o.license = a.license AND o.counter = a.counter
    AND o.last_at >= a.start_at AND o.first_at < a.end_at OFFSET 0) p ON true
ORDER BY a.n"""
NAMES = """
SELECT subject, name FROM subject
WHERE bucket = %s AND license = %s AND subject = ANY(%s::uuid[]) AND name IS NOT NULL"""


Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""Runs a statement and tells its rows."""


class Asked(NamedTuple):
    """A counter of a license, and the local days [start, end) in a zone that it is asked for."""

    license: UUID
    counter: str
    zone: str
    start: int
    end: int


class Sightings(NamedTuple):
    """Who was seen on which local day, side by side; a pair may be there more than once."""

    days: list[int]
    subjects: list[bytes]


def observations(
    connection: psycopg.Connection, license: UUID, counter: str, zone: str, start: int, end: int
) -> list[Observation]:
    """The stored observations of the local days [start, end) in a zone; an erased name is shown as its hash."""
    (found,) = sightings(connection, [Asked(license, counter, zone, start, end)])
    seen = set(zip(*found, strict=True))
    names = names_of(
        lambda statement, values: connection.execute(statement.encode(), values).fetchall(),
        license,
        {subject for _, subject in seen},
    )
    return [(at, names[subject]) for at, subject in seen if start <= at < end]


def sightings(connection: psycopg.Connection, asked: Sequence[Asked]) -> Iterator[Sightings]:
    """The stored observations of at least what was asked for, without names, one answer after the other.

    Shapes: the connection is taken until all are read; memory holds one counter's while the database reads ahead.
    """
    places = [(bucket_of(one.license), one.license, one.counter) for one in asked]
    around = [(_midnight(one.start - 1), _midnight(one.end + 1)) for one in asked]
    columns = [[row[n] for row in rows] for rows, width in ((places, 3), (around, 2)) for n in range(width)]
    with connection.cursor() as cursor:
        rows = cursor.stream(PARCELS, columns, binary=True, size=AT_ONCE)
        for one, (_, parcels) in zip(asked, groupby(rows, key=itemgetter(0)), strict=True):
            yield _seen(one.zone, parcels)


def _seen(zone: str, parcels: Iterable[tuple[int, bytes | None, bytes | None]]) -> Sightings:
    seen, local_day = Sightings([], []), _local_days(zone)
    for _, instants, subjects in parcels:
        if instants is not None and subjects is not None:
            seen.days.extend([local_day[at // QUARTER] for at in elements(instants, "q")])
            seen.subjects.extend(elements(subjects, "16s"))
    return seen


def names_of(query: Query, license: UUID, subjects: Collection[bytes]) -> dict[bytes, str]:
    """The names of subjects; an erased one is shown as its hash."""
    shown = {subject: str(UUID(bytes=subject)) for subject in subjects}
    named = query(NAMES, [bucket_of(license), license, list(map(str, shown.values()))])
    return shown | {subject.bytes: name for subject, name in named}


class _LocalDays(dict[int, int]):
    """The local day of a quarter of an hour, remembered: there are 35,000 of them in a year."""

    def __init__(self, zone: str) -> None:
        self.zone = ZoneInfo(zone)

    def __missing__(self, quarter: int) -> int:
        self[quarter] = (EPOCH + quarter * timedelta(minutes=15)).astimezone(self.zone).toordinal()
        return self[quarter]


_local_days = lru_cache(_LocalDays)


def _midnight(ordinal: int) -> datetime:
    return datetime.combine(day(max(ordinal, 1)), datetime.min.time(), UTC)
