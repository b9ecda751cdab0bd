"""Stored observations as the counting rules want them: who was seen on which local day."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg

from domain.counting import Observation
from domain.identity import bucket_of
from domain.period import day
from jobs.count_fields import EPOCH, elements

QUARTER = 900_000_000
"""Microseconds of a quarter of an hour: every zone's midnight is one (since 2000 all offsets are multiples of it)."""

PARCELS = """
SELECT array_send(observed_at), array_send(subjects) FROM observation_parcel
WHERE bucket = %s AND license = %s AND counter = %s AND last_at >= %s AND first_at < %s"""
NAMES = """
SELECT subject, name FROM subject
WHERE bucket = %s AND license = %s AND subject = ANY(%s::uuid[]) AND name IS NOT NULL"""

Sighting = tuple[int, bytes]
"""A local day, and the hash of a subject seen on it."""


def observations(
    connection: psycopg.Connection, license: UUID, counter: str, zone: str, start: int, end: int
) -> list[Observation]:
    """The stored observations of the local days [start, end) in a zone; an erased name is shown as its hash."""
    seen = sightings(connection, license, counter, zone, start, end)
    names = names_of(connection, license, {subject for _, subject in seen})
    return [(at, names[subject]) for at, subject in seen]


def sightings(
    connection: psycopg.Connection, license: UUID, counter: str, zone: str, start: int, end: int
) -> set[Sighting]:
    """The stored observations of the local days [start, end) in a zone, without names."""
    around = (_midnight(start - 1), _midnight(end + 1))
    parcels = connection.execute(PARCELS, [bucket_of(license), license, counter, *around], binary=True).fetchall()
    seen: set[Sighting] = set()
    for instants, subjects in parcels:
        days = [_local_day(zone, at // QUARTER) for at in elements(instants, "q")]
        seen.update(zip(days, elements(subjects, "16s"), strict=True))
    return {(at, subject) for at, subject in seen if start <= at < end}


def names_of(connection: psycopg.Connection, license: UUID, subjects: Collection[bytes]) -> dict[bytes, str]:
    """The names of subjects; an erased one is shown as its hash."""
    shown = {subject: str(UUID(bytes=subject)) for subject in subjects}
    named = connection.execute(NAMES, [bucket_of(license), license, list(map(str, shown.values()))]).fetchall()
    return shown | {subject.bytes: name for subject, name in named}


@lru_cache(maxsize=65536)
def _local_day(zone: str, quarter: int) -> int:
    return (EPOCH + quarter * timedelta(minutes=15)).astimezone(ZoneInfo(zone)).toordinal()


def _midnight(ordinal: int) -> datetime:
    return datetime.combine(day(max(ordinal, 1)), datetime.min.time(), UTC)
