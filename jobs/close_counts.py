"""Closes counts: raw observations become counts of days, by the definition and the zone that hold for the license.

Import marks what it touched; closing counts every month from the first mark on, because windows look back, and records
an event only where the count is another one than before. The mark goes in the same transaction; it stays as long as
nothing says how the counter is counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg_pool import ConnectionPool

from domain.counted_users import counted_users_id
from domain.counting import (
    Observation,
    counted_subjects,
    daily_counts,
    definition_digest,
    distinct_subjects,
    window_start,
)
from domain.events import account as account_events
from domain.events import decode
from domain.events import license as license_events
from domain.events.counted_users import CountsClosed
from domain.grid import day_in_month, month_of
from domain.identity import bucket_of, digest
from domain.package_version import Counting
from domain.period import day
from domain.ports import Append, Log, NewEvent
from domain.terms import Located, Packages
from jobs.import_counts import subject_hash, versions_of
from projections.basis import unpack

DUE = """
SELECT license, counter, dirty_from, closed_to FROM to_close
WHERE dirty_from IS NOT NULL OR closed_to < %s ORDER BY bucket, license, counter"""
FACTS = "SELECT stream, facts FROM basis_v1 WHERE bucket = %s AND stream = ANY(%s::uuid[])"
# A quarter of an hour is fine enough for every zone's midnight (since 2000 all offsets are multiples of it).
SEEN = """
SELECT DISTINCT date_bin('15 minutes', observed_at, TIMESTAMPTZ '2000-01-01 00:00Z'), subject FROM observation
WHERE bucket = %s AND license = %s AND counter = %s AND observed_at >= %s AND observed_at < %s"""
NAMES = """
SELECT subject, name FROM subject
WHERE bucket = %s AND license = %s AND subject = ANY(%s::uuid[]) AND name IS NOT NULL"""
FIRST = "SELECT min(observed_at) FROM observation WHERE bucket = %s AND license = %s AND counter = %s"
CLOSED = """
SELECT DISTINCT ON (e.stream) e.stream, e.topic, e.state FROM event e
JOIN unnest(%s::smallint[], %s::uuid[]) AS s(bucket, stream) ON e.bucket = s.bucket AND e.stream = s.stream
WHERE e.topic = 'counted_users.counts_closed' ORDER BY e.stream, e.version DESC"""
CLEAR = """
UPDATE to_close SET dirty_from = NULL, closed_to = greatest(closed_to, %s)
WHERE bucket = %s AND license = %s AND counter = %s"""


class Mark(NamedTuple):
    """A counter of a license that is to be closed (again)."""

    license: UUID
    counter: str
    dirty_from: date | None
    closed_to: date | None


def close_counts(
    log: Log,
    pool: ConnectionPool[psycopg.Connection],
    packages: Packages,
    through: date,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Closes everything that is due up to the day before `through`; how many closings said something new."""
    with pool.connection() as connection:
        marks = [Mark(*row) for row in connection.execute(DUE, [through]).fetchall()]
    recorded = 0
    for mark in marks:
        recorded += _close(log, pool, packages, mark, through)
        if progress:
            progress(1)
    return recorded


def _close(log: Log, pool: ConnectionPool[psycopg.Connection], packages: Packages, mark: Mark, through: date) -> int:
    first = min(found for found in (mark.dirty_from, mark.closed_to) if found is not None).replace(day=1)
    # Days that were closed before are counted again with the rest, also when this run would not go so far.
    through = max(through, mark.closed_to or through)
    with log.append() as append:
        append.lock({bucket_of(mark.license): 0})
        if not _still(append, mark):
            return 0
        with pool.connection() as reader:
            rules = list(_rules(reader, packages, mark, first, through))
            closings = [closing for rule in rules for closing in _closings(reader, mark, *rule)]
        events = list(_new(append, closings))
        if events:
            append.append(events)
        if rules:
            append.query(CLEAR, [through, bucket_of(mark.license), mark.license, mark.counter])
        return len(events)


def _still(append: Append, mark: Mark) -> bool:
    """Whether the mark is as it was read; another process may have closed it, or an import moved it."""
    rows = append.query(
        "SELECT dirty_from, closed_to FROM to_close WHERE bucket = %s AND license = %s AND counter = %s",
        [bucket_of(mark.license), mark.license, mark.counter],
    )
    return rows == [(mark.dirty_from, mark.closed_to)]


Rule = tuple[Counting, str, list[tuple[int, int]]]
"""A definition, the zone it is applied in, and the months (as spans of days) that it holds for."""


def _rules(
    connection: psycopg.Connection, packages: Packages, mark: Mark, first: date, through: date
) -> Iterator[Rule]:
    """The definitions that hold for the months to be closed, neighbours with the same one together."""
    license_facts, zone = _facts(connection, mark.license)
    held: Rule | None = None
    for month in range(month_of(first.toordinal()), month_of(through.toordinal()) + 1):
        start, end = day_in_month(month, 1), min(day_in_month(month + 1, 1), through.toordinal())
        counting = counting_on(license_facts, packages, mark.counter, day(end - 1))
        if start >= end or counting is None:
            continue
        if held and held[0] == counting:
            held[2].append((start, end))
            continue
        if held:
            yield held
        held = (counting, zone, [(start, end)])
    if held:
        yield held


def _facts(connection: psycopg.Connection, license: UUID) -> tuple[list[Located], str]:
    bucket = bucket_of(license)
    facts = _unpacked(connection, bucket, license)
    started = facts[0].body if facts else None
    if not isinstance(started, license_events.LicenseStarted):
        return [], "UTC"
    opened = _unpacked(connection, bucket, started.account)[0].body
    return facts, opened.zone if isinstance(opened, account_events.AccountOpened) else "UTC"


def _unpacked(connection: psycopg.Connection, bucket: int, stream: UUID) -> list[Located]:
    return [one for s, facts in connection.execute(FACTS, [bucket, [stream]]).fetchall() for one in unpack(s, facts)]


def counting_on(facts: Sequence[Located], packages: Packages, counter: str, on: date) -> Counting | None:
    """How a counter of a license is counted on a day: by the package version that it has then."""
    held: tuple[date, str, int] | None = None
    withdrawn = {one.body.change for one in facts if isinstance(one.body, license_events.ChangeWithdrawn)}
    for _, body in facts:
        match body:
            case license_events.LicenseStarted():
                held = (date.min, body.package, body.version)
            case license_events.LicenseChanged() if body.change not in withdrawn and body.effective_on <= on:
                if held is None or body.effective_on >= held[0]:
                    held = (body.effective_on, body.package, body.version)
    return packages(held[1], held[2]).counting(counter) if held else None


def _closings(
    connection: psycopg.Connection, mark: Mark, counting: Counting, zone: str, months: Sequence[tuple[int, int]]
) -> Iterator[CountsClosed]:
    start, end = months[0][0], months[-1][1]
    rows = list(_seen(connection, mark.license, mark.counter, zone, window_start(counting, start), end))
    seen = sorted((at, name) for at, name, _ in rows)
    daily = daily_counts(counting, seen, start, end)
    digested, observed_since = _Names(connection, rows), _first_day(connection, mark, zone)
    for first, last in months:
        if last <= observed_since:
            continue  # Nobody looked yet, which is not the same as seeing nobody.
        looked_at = seen[bisect_left(seen, (window_start(counting, first),)) : bisect_left(seen, (last,))]
        yield CountsClosed(
            license=mark.license,
            counter=mark.counter,
            start=day(first),
            end=day(last),
            definition=definition_digest(counting),
            zone=zone,
            daily=tuple(daily[first - start : last - start]),
            distinct=len(distinct_subjects(counting, looked_at, first, last)),
            names=digested.of(counted_subjects(counting, looked_at, first, last)),
        )


class _Names:
    """Digests of who was counted, over the hashes of the names: the same before and after a name is erased."""

    def __init__(self, connection: psycopg.Connection, rows: Sequence[Seen]) -> None:
        self.hashes = {name: subject for _, name, subject in rows}
        row = connection.execute("SELECT key FROM counting_key").fetchone()
        assert row is not None
        self.key: bytes = row[0]

    def of(self, subjects: Iterable[str]) -> str:
        """The digest of some subjects, in any order."""
        return digest(*sorted(self._hash(subject) for subject in subjects)).hex()

    def _hash(self, subject: str) -> bytes:
        return (self.hashes.get(subject) or subject_hash(self.key, subject)).bytes


Seen = tuple[int, str, UUID]
"""A local day, the subject seen on it, and the hash it is stored as."""


def observations(
    connection: psycopg.Connection, license: UUID, counter: str, zone: str, start: int, end: int
) -> list[Observation]:
    """The stored observations of the local days [start, end) in a zone; an erased name is shown as its hash."""
    return [(at, name) for at, name, _ in _seen(connection, license, counter, zone, start, end)]


def _seen(connection: psycopg.Connection, license: UUID, counter: str, zone: str, start: int, end: int) -> set[Seen]:
    bucket = bucket_of(license)
    around = (_midnight(start - 1), _midnight(end + 1))
    rows = connection.execute(SEEN, [bucket, license, counter, *around]).fetchall()
    subjects = list({subject for _, subject in rows})
    names: dict[UUID, str] = dict(connection.execute(NAMES, [bucket, license, subjects]).fetchall())
    local = ZoneInfo(zone)
    days = {at: at.astimezone(local).toordinal() for at in {row[0] for row in rows}}
    return {(days[at], names.get(subject) or str(subject), subject) for at, subject in rows if start <= days[at] < end}


def _first_day(connection: psycopg.Connection, mark: Mark, zone: str) -> int:
    """The local day of a counter's first observation."""
    row = connection.execute(FIRST, [bucket_of(mark.license), mark.license, mark.counter]).fetchone()
    at: datetime | None = row[0] if row else None
    return at.astimezone(ZoneInfo(zone)).toordinal() if at else 0


def _midnight(ordinal: int) -> datetime:
    return datetime.combine(day(max(ordinal, 1)), datetime.min.time(), UTC)


def _new(append: Append, closings: Sequence[CountsClosed]) -> Iterator[NewEvent]:
    """The closings that say something that the last one of their month did not."""
    streams = {one.start: counted_users_id(one.license, one.counter, one.start) for one in closings}
    versions = versions_of(append, list(streams.values()))
    places = [[bucket_of(stream) for stream in versions], list(versions)]
    last = {stream: decode(topic, state) for stream, topic, state in append.query(CLOSED, places)}
    for closing in closings:
        stream = streams[closing.start]
        if last.get(stream) != closing:
            yield stream, versions.get(stream, 0) + 1, closing
