"""Hands events to projections. What one of them cannot take is parked with its stream, and nothing else waits for it.

All take their events in at once, which nearly always goes well. With care each has them by itself, and one that fails
has them one by one, until the poison is found. An event that this program does not know is not parked: it stops
whoever wants it, because reading must never skip. Source: ADR-0011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from domain.errors import IntegrityError
from projections.projection import Cursor, Entry, Projection

Shares = Mapping[Projection, Sequence[Entry]]
"""What each projection has to take in."""

PARKED = """
SELECT DISTINCT projection, stream FROM parked_event WHERE projection = ANY(%b) AND bucket = ANY(%b::smallint[])"""
PARK = "INSERT INTO parked_event (bucket, projection, stream, position, error) VALUES (%s, %s, %s, %s, %s)"
LISTED = "SELECT projection, bucket, stream, position, error FROM parked_event ORDER BY 1, 2, 4"
UNPARK = """
DELETE FROM parked_event p USING event e WHERE p.projection = %s AND e.bucket = p.bucket AND e.position = p.position
RETURNING e.bucket, e.position, e.stream, e.version, e.topic, e.state"""
EARLIER = "an earlier event of the stream is parked"


def take_in(cursor: Cursor, shares: Shares) -> None:
    """Brings all projections up to their events, or fails with the first that one of them cannot take."""
    parked = _parked(cursor, shares)
    for projection, entries in shares.items():
        _take_in(cursor, projection, entries, parked[projection])


def take_in_with_care(cursor: Cursor, shares: Shares) -> None:
    """The same, and parks what cannot be taken. Raises: IntegrityError for an event that this program does not know."""
    parked = _parked(cursor, shares)
    for projection, entries in shares.items():
        try:
            with cursor.connection.transaction():
                _take_in(cursor, projection, entries, parked[projection])
        except IntegrityError:
            raise
        except Exception:
            _one_by_one(cursor, projection, entries, parked[projection])


def retry(cursor: Cursor, projection: Projection) -> int:
    """Takes parked events in again, in order; a stream that fails again stays parked from there on."""
    entries = sorted(map(Entry._make, cursor.execute(UNPARK, [projection.name]).fetchall()))
    _one_by_one(cursor, projection, entries, set())
    return len(entries)


def _parked(cursor: Cursor, shares: Shares) -> Mapping[Projection, set[UUID]]:
    """The streams that wait, by projection."""
    names = {projection.name: projection for projection in shares}
    buckets = {entry.bucket for entries in shares.values() for entry in entries}
    parked: dict[Projection, set[UUID]] = {projection: set() for projection in shares}
    if buckets:
        for name, stream in cursor.execute(PARKED, [list(names), list(buckets)]).fetchall():
            parked[names[name]].add(stream)
    return parked


def _take_in(cursor: Cursor, projection: Projection, entries: Sequence[Entry], parked: set[UUID]) -> None:
    healthy = [entry for entry in entries if entry.stream not in parked] if parked else entries
    if healthy:
        projection.apply(cursor, healthy)
    for entry in entries if parked else ():
        if entry.stream in parked:
            _park(cursor, projection, entry, EARLIER)


def _one_by_one(cursor: Cursor, projection: Projection, entries: Sequence[Entry], parked: set[UUID]) -> None:
    """Finds the poison: its stream is parked from there on, everything else is taken in."""
    for entry in entries:
        try:
            with cursor.connection.transaction():
                _take_in(cursor, projection, [entry], parked)
        except IntegrityError:
            raise
        except Exception as error:
            parked.add(entry.stream)
            _park(cursor, projection, entry, f"{type(error).__name__}: {error}")


def _park(cursor: Cursor, projection: Projection, entry: Entry, error: str) -> None:
    cursor.execute(PARK, [entry.bucket, projection.name, entry.stream, entry.position, error[:1000]])
