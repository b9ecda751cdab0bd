"""Closes counts: raw observations become counts of days, by the definition and the zone that hold for the license.

Import marks what it touched; closing counts every month from the first mark on, because windows look back, and records
an event only where the count is another one than before. The mark goes in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg_pool import ConnectionPool

from domain.counted_users import counted_users_id
from domain.counting import (
    Observation,
    counted,
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
from jobs.import_counts import versions_of
from projections.basis import unpack

DUE = """
SELECT license, counter, dirty_from, closed_to FROM to_close
WHERE dirty_from IS NOT NULL OR closed_to < %s ORDER BY bucket, license, counter"""
FACTS = "SELECT stream, facts FROM basis_v1 WHERE bucket = %s AND stream = ANY(%s::uuid[])"
SEEN = """
SELECT o.observed_at, coalesce(s.name, encode(o.subject, 'hex')) FROM observation o
LEFT JOIN subject s ON s.bucket = o.bucket AND s.license = o.license AND s.subject = o.subject
WHERE o.bucket = %s AND o.license = %s AND o.counter = %s AND o.observed_at >= %s AND o.observed_at < %s"""
CLOSED = """
SELECT topic, state FROM event WHERE bucket = %s AND stream = %s AND topic = 'counted_users.counts_closed'
ORDER BY version DESC LIMIT 1"""


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
        append.query(
            "UPDATE to_close SET dirty_from = NULL, closed_to = greatest(closed_to, %s) "
            "WHERE bucket = %s AND license = %s AND counter = %s",
            [through, bucket_of(mark.license), mark.license, mark.counter],
        )
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
    seen = observations(connection, mark.license, mark.counter, zone, window_start(counting, start), end)
    daily = daily_counts(counting, seen, start, end)
    for first, last in months:
        names = sorted({name for at, name in counted(counting, seen) if window_start(counting, first) <= at < last})
        yield CountsClosed(
            license=mark.license,
            counter=mark.counter,
            start=day(first),
            end=day(last),
            definition=definition_digest(counting),
            zone=zone,
            daily=tuple(daily[first - start : last - start]),
            distinct=len(distinct_subjects(counting, seen, first, last)),
            names=digest(*names).hex(),
        )


def observations(
    connection: psycopg.Connection, license: UUID, counter: str, zone: str, start: int, end: int
) -> list[Observation]:
    """The stored observations of the local days [start, end) in a zone."""
    low = datetime.combine(day(max(start, 1)), datetime.min.time(), UTC) - timedelta(days=1)
    high = datetime.combine(day(end), datetime.min.time(), UTC) + timedelta(days=1)
    rows = connection.execute(SEEN, [bucket_of(license), license, counter, low, high]).fetchall()
    local = ZoneInfo(zone)
    found = ((at.astimezone(local).toordinal(), name) for at, name in rows)
    return [one for one in found if start <= one[0] < end]


def _new(append: Append, closings: Sequence[CountsClosed]) -> Iterator[NewEvent]:
    """The closings that say something that the last one of their month did not."""
    streams = {one.start: counted_users_id(one.license, one.counter, one.start) for one in closings}
    versions = versions_of(append, list(streams.values()))
    for closing in closings:
        stream = streams[closing.start]
        last = append.query(CLOSED, [bucket_of(stream), stream]) if stream in versions else []
        if not last or decode(*last[0]) != closing:
            yield stream, versions.get(stream, 0) + 1, closing
