"""Stored observations as the counting rules want them: who was seen on which local day."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from domain.counting import Observation
from domain.identity import bucket_of
from domain.period import day
from jobs.fields import EPOCH, elements

QUARTER = 900_000_000
"""Microseconds of a quarter of an hour: every zone's midnight is one (since 2000 all offsets are multiples of it)."""

PARCELS = """
SELECT array_send(observed_at), array_send(subjects) FROM observation_parcel
WHERE bucket = %s AND license = %s AND counter = %s AND last_at >= %s AND first_at < %s"""
NAMES = """
SELECT subject, name FROM subject
WHERE bucket = %s AND license = %s AND subject = ANY(%s::uuid[]) AND name IS NOT NULL"""


class Sightings(NamedTuple):
    """Who was seen on which local day, side by side; a pair may be there more than once."""

    days: list[int]
    subjects: list[bytes]


def observations(
    connection: psycopg.Connection, license: UUID, counter: str, zone: str, start: int, end: int
) -> list[Observation]:
    """The stored observations of the local days [start, end) in a zone; an erased name is shown as its hash."""
    seen = {pair for pair in zip(*sightings(connection, license, counter, zone, start, end), strict=True)}
    names = names_of(connection, license, {subject for _, subject in seen})
    return [(at, names[subject]) for at, subject in seen if start <= at < end]


def sightings(
    connection: psycopg.Connection, license: UUID, counter: str, zone: str, start: int, end: int
) -> Sightings:
    """The stored observations of at least the local days [start, end) in a zone, without names."""
    around = (_midnight(start - 1), _midnight(end + 1))
    parcels = connection.execute(PARCELS, [bucket_of(license), license, counter, *around], binary=True).fetchall()
    seen, local_day = Sightings([], []), _local_days(zone)
    for instants, subjects in parcels:
        seen.days.extend([local_day[at // QUARTER] for at in elements(instants, "q")])
        seen.subjects.extend(elements(subjects, "16s"))
    return seen


def names_of(connection: psycopg.Connection, license: UUID, subjects: Collection[bytes]) -> dict[bytes, str]:
    """The names of subjects; an erased one is shown as its hash."""
    shown = {subject: str(UUID(bytes=subject)) for subject in subjects}
    named = connection.execute(NAMES, [bucket_of(license), license, list(map(str, shown.values()))]).fetchall()
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
