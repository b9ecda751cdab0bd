"""Closes counts: raw observations become counts of days, by the definition and the zone that hold for the license.

Import marks what it touched; closing counts every month from the first mark on, because windows look back, and records
an event only where the count is another one than before. The mark goes in the same transaction; it stays as long as
nothing says how the counter is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg_pool import ConnectionPool

from domain.counted_users import counted_users_id
from domain.counting import Seen, definition_digest, window_start
from domain.events import account as account_events
from domain.events import decode
from domain.events import license as license_events
from domain.events.counted_users import CountsClosed
from domain.grid import day_in_month, month_of
from domain.history import Located, unpack
from domain.identity import bucket_of, digest
from domain.package_version import Counting
from domain.period import day
from domain.ports import Append, Log, NewEvent
from domain.terms import Packages
from jobs.count_packing import subject_hash
from jobs.import_counts import versions_of
from jobs.observed import Asked, Sightings, names_of, sightings

TOGETHER = 200
"""Marks closed in one transaction."""

MARK = "license, counter, first_at, dirty_from, closed_to"
DUE = f"""
SELECT {MARK} FROM to_close
WHERE dirty_from IS NOT NULL OR closed_to < %s ORDER BY bucket, license, counter"""
THESE = "unnest(%s::smallint[], %s::uuid[], %s::text[]) AS s(bucket, license, counter)"
STILL = f"SELECT {MARK} FROM to_close JOIN {THESE} USING (bucket, license, counter)"
FACTS = """
SELECT stream, owner, facts FROM basis_v2 JOIN unnest(%s::smallint[], %s::uuid[]) AS s(bucket, stream)
USING (bucket, stream)"""
CLOSED = """
SELECT DISTINCT ON (e.stream) e.stream, e.topic, e.state FROM event e
JOIN unnest(%s::smallint[], %s::uuid[]) AS s(bucket, stream) ON e.bucket = s.bucket AND e.stream = s.stream
WHERE e.topic = 'counted_users.counts_closed' ORDER BY e.stream, e.version DESC"""
CLEAR = f"""
UPDATE to_close t SET dirty_from = NULL, closed_to = greatest(t.closed_to, %s) FROM {THESE}
WHERE t.bucket = s.bucket AND t.license = s.license AND t.counter = s.counter"""


class Mark(NamedTuple):
    """A counter of a license that is to be closed (again), and since when anybody looked at it."""

    license: UUID
    counter: str
    first_at: datetime
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
    for start in range(0, len(marks), TOGETHER):
        together = marks[start : start + TOGETHER]
        recorded += _close(log, pool, packages, together, through)
        if progress:
            progress(len(together))
    return recorded


def _close(
    log: Log, pool: ConnectionPool[psycopg.Connection], packages: Packages, marks: Sequence[Mark], through: date
) -> int:
    with log.append() as append:
        append.lock(dict.fromkeys(sorted(bucket_of(mark.license) for mark in marks), 0))
        # Another process may have closed some of them meanwhile, or an import moved them.
        still = {Mark(*row) for row in append.query(STILL, _places(marks))}
        with pool.connection() as reader:
            rules = _ruled(reader, packages, [mark for mark in marks if mark in still], through)
            key = append.query("SELECT key FROM counting_key")[0][0]
            closings = list(_closings(append, reader, key, rules))
        events = list(_new(append, closings))
        if events:
            append.append(events)
        append.query(CLEAR, [through, *_places([mark for mark, _ in rules])])
        return len(events)


def _places(marks: Sequence[Mark]) -> list[list[object]]:
    """What names marks, as columns."""
    places = [(bucket_of(mark.license), mark.license, mark.counter) for mark in marks]
    return [[place[column] for place in places] for column in range(3)]


class Rule(NamedTuple):
    """A definition, the zone it is applied in, and the months (as spans of days) that it holds for."""

    counting: Counting
    zone: str
    months: list[tuple[int, int]]


def _ruled(
    connection: psycopg.Connection, packages: Packages, marks: Sequence[Mark], through: date
) -> list[tuple[Mark, Rule]]:
    """Each mark with every definition that its months are counted by; none where nothing says how."""
    licenses = _facts(connection, [mark.license for mark in marks])
    accounts = _facts(connection, [owner for owner, _ in licenses.values()])
    zones = {account: _zone(facts) for account, (_, facts) in accounts.items()}
    known = [(mark, *licenses[mark.license]) for mark in marks if mark.license in licenses]
    return [
        (mark, rule) for mark, owner, facts in known for rule in _rules(facts, zones[owner], packages, mark, through)
    ]


def _rules(facts: Sequence[Located], zone: str, packages: Packages, mark: Mark, through: date) -> Iterator[Rule]:
    """The definitions that hold for the months to be closed, neighbours with the same one together."""
    first = min(found for found in (mark.dirty_from, mark.closed_to) if found is not None)
    # Days that were closed before are counted again with the rest, also when this run would not go so far.
    through = max(through, mark.closed_to or through)
    held: Rule | None = None
    for month in range(month_of(first.toordinal()), month_of(through.toordinal()) + 1):
        start, end = day_in_month(month, 1), min(day_in_month(month + 1, 1), through.toordinal())
        counting = counting_on(facts, packages, mark.counter, day(end - 1))
        if start >= end or counting is None:
            continue
        if held and held.counting == counting:
            held.months.append((start, end))
            continue
        if held:
            yield held
        held = Rule(counting, zone, [(start, end)])
    if held:
        yield held


def _facts(connection: psycopg.Connection, streams: Sequence[UUID]) -> Mapping[UUID, tuple[UUID, list[Located]]]:
    """The owner of each stream of the basis, and its facts."""
    rows = connection.execute(FACTS, [[bucket_of(stream) for stream in streams], list(streams)]).fetchall()
    return {stream: (owner, unpack(stream, facts)) for stream, owner, facts in rows}


def _zone(account: Sequence[Located]) -> str:
    opened = account[0].body
    return opened.zone if isinstance(opened, account_events.AccountOpened) else "UTC"


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
    append: Append, reader: psycopg.Connection, key: bytes, ruled: Sequence[tuple[Mark, Rule]]
) -> Iterator[CountsClosed]:
    """What the observations of every mark come to, counted while the database reads those of the next."""
    seen = sightings(reader, [_asked(mark, rule) for mark, rule in ruled])
    for (mark, rule), found in zip(ruled, seen, strict=True):
        names = _names(append, mark.license, rule.counting, set(found.subjects))
        yield from _counted(key, mark, rule, found, names)


def _asked(mark: Mark, rule: Rule) -> Asked:
    early = window_start(rule.counting, rule.months[0][0])
    return Asked(mark.license, mark.counter, rule.zone, early, rule.months[-1][1])


def _counted(
    key: bytes, mark: Mark, rule: Rule, found: Sightings, names: Mapping[bytes, str]
) -> Iterator[CountsClosed]:
    start, end = rule.months[0][0], rule.months[-1][1]
    seen = Seen(rule.counting, zip(found.days, map(names.__getitem__, found.subjects), strict=True))
    daily, digest_of = seen.daily_counts(start, end), _Digests(key, names)
    observed_since = mark.first_at.astimezone(ZoneInfo(rule.zone)).toordinal()
    for first, last in rule.months:
        if last <= observed_since:
            continue  # Nobody looked yet, which is not the same as seeing nobody.
        yield CountsClosed(
            license=mark.license,
            counter=mark.counter,
            start=day(first),
            end=day(last),
            definition=definition_digest(rule.counting),
            zone=rule.zone,
            daily=tuple(daily[first - start : last - start]),
            distinct=len(seen.distinct(first, last)),
            names=digest_of(seen.counted(first, last)),
        )


def _names(append: Append, license: UUID, counting: Counting, subjects: Collection[bytes]) -> Mapping[bytes, str]:
    """What subjects are called while they are counted: a definition that names nobody has no need of names."""
    if counting.folds or counting.exclusions:
        return names_of(append.query, license, subjects)
    return {subject: subject.hex() for subject in subjects}


class _Digests:
    """Digests of who was counted, over the hashes of the names: the same before and after a name is erased."""

    def __init__(self, key: bytes, names: Mapping[bytes, str]) -> None:
        self.key = key
        self.hashes = {name: subject for subject, name in names.items()}

    def __call__(self, subjects: Iterable[str]) -> str:
        """The digest of some subjects, in any order."""
        return digest(*sorted(self._hash(subject) for subject in subjects)).hex()

    def _hash(self, subject: str) -> bytes:
        return self.hashes.get(subject) or subject_hash(self.key, subject)


def _new(append: Append, closings: Sequence[CountsClosed]) -> Iterator[NewEvent]:
    """The closings that say something that the last one of their month did not."""
    streams = [counted_users_id(one.license, one.counter, one.start) for one in closings]
    versions = versions_of(append, streams)
    places = [[bucket_of(stream) for stream in versions], list(versions)]
    last = {stream: decode(topic, state) for stream, topic, state in append.query(CLOSED, places)}
    for stream, closing in zip(streams, closings, strict=True):
        if last.get(stream) != closing:
            yield stream, versions.get(stream, 0) + 1, closing
