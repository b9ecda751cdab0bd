"""Takes a file of counts in: all of it or nothing, and once however often and from wherever it is imported.

Rows are staged by COPY; then, with the heads of their buckets locked, what is new is told from what is known by report
id. Readings become events of their month; observations become rows, and mark what has to be closed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date
from typing import Any, NamedTuple
from uuid import UUID

from domain.counted_users import counted_users_id
from domain.errors import BadFile, Fault
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.identity import bucket_of, digest
from domain.period import day
from domain.ports import Append, Log, NewEvent
from jobs.count_rows import Observed, Read, Row

DDL = (
    """CREATE TABLE IF NOT EXISTS report (
        bucket smallint NOT NULL, license uuid NOT NULL, report bytea NOT NULL, content bytea NOT NULL,
        PRIMARY KEY (bucket, license, report))""",
    """CREATE TABLE IF NOT EXISTS observation (
        bucket smallint NOT NULL, license uuid NOT NULL, report bytea NOT NULL, counter text NOT NULL,
        observed_at timestamptz NOT NULL, subject bytea NOT NULL, PRIMARY KEY (bucket, license, report))""",
    "CREATE INDEX IF NOT EXISTS observation_time ON observation (bucket, license, counter, observed_at)",
    """CREATE TABLE IF NOT EXISTS subject (
        bucket smallint NOT NULL, license uuid NOT NULL, subject bytea NOT NULL, name text NOT NULL,
        PRIMARY KEY (bucket, license, subject))""",
    """CREATE TABLE IF NOT EXISTS to_close (
        bucket smallint NOT NULL, license uuid NOT NULL, counter text NOT NULL, dirty_from date, closed_to date,
        PRIMARY KEY (bucket, license, counter))""",
    "CREATE TABLE IF NOT EXISTS counting_key (key bytea PRIMARY KEY)",
    """INSERT INTO counting_key SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        WHERE NOT EXISTS (SELECT 1 FROM counting_key)""",
)

STAGE = """
CREATE TEMP TABLE staged (line bigint, license uuid, bucket smallint, counter text, report bytea, content bytea,
    day date, quantity bigint, observed_at timestamptz, subject bytea, name text) ON COMMIT DROP"""
COLUMNS = "staged (line, license, bucket, counter, report, content, day, quantity, observed_at, subject, name)"
TWICE = """
SELECT min(line), max(line) FROM staged
GROUP BY license, report HAVING count(DISTINCT content) > 1 ORDER BY 1 LIMIT 20"""
KNOWN = """
SELECT s.line FROM staged s JOIN report r ON r.bucket = s.bucket AND r.license = s.license AND r.report = s.report
WHERE r.content <> s.content ORDER BY 1 LIMIT 20"""
NEW = """
CREATE TEMP TABLE fresh ON COMMIT DROP AS
SELECT DISTINCT ON (s.license, s.report) s.* FROM staged s WHERE NOT EXISTS (
    SELECT 1 FROM report r WHERE r.bucket = s.bucket AND r.license = s.license AND r.report = s.report)
ORDER BY s.license, s.report, s.line"""

Resolve = Callable[[Sequence[str]], dict[str, UUID]]


class Imported(NamedTuple):
    """What an import did."""

    rows: int
    new: int
    repeated: int
    licenses: int


def import_counts(log: Log, resolve: Resolve, path: str, rows: Iterable[Row]) -> Imported:
    """Imports a file's rows in one transaction.

    Raises: BadFile naming the lines: unknown licenses, or a report id used twice for different things.
    """
    with log.append() as append:
        key = append.query("SELECT key FROM counting_key")[0][0]
        append.query(STAGE)
        staging = _Staging(path, resolve, key)
        append.rows(COLUMNS, staging.staged(rows))
        if staging.faults:
            raise BadFile(sorted(staging.faults, key=lambda fault: fault.line))
        append.query("ANALYZE staged")
        _refuse(path, append.query(TWICE), "the report id stands in the file twice with different content")
        append.lock(dict.fromkeys(sorted({bucket_of(license) for license in staging.licenses.values()}), 0))
        _refuse(path, append.query(KNOWN), "the report id was imported before with other content")
        append.query(NEW)
        new = append.query("SELECT count(*) FROM fresh")[0][0]
        if new:
            _record(append)
        return Imported(staging.count, new, staging.count - new, len(staging.licenses))


def _refuse(path: str, found: Sequence[tuple[Any, ...]], message: str) -> None:
    if found:
        faults = []
        for line, *others in found:
            also = f" (lines {line} and {others[0]})" if others else ""
            faults.append(Fault(path, line, "report_id", message + also, "report_id"))
        raise BadFile(faults)


class _Staging:
    """Rows on their way into the staging table: licenses resolved in batches, contents and subjects hashed."""

    def __init__(self, path: str, resolve: Resolve, key: bytes) -> None:
        self.path, self.resolve, self.key = path, resolve, key
        self.licenses: dict[str, UUID] = {}
        self.unknown: set[str] = set()
        self.faults: list[Fault] = []
        self.count = 0

    def staged(self, rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == 5000:
                yield from self._batch(batch)
                batch = []
        yield from self._batch(batch)

    def _batch(self, batch: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
        wanted = {row.license for row in batch} - self.licenses.keys() - self.unknown
        if wanted:
            known = self.resolve(sorted(wanted))
            self.licenses.update(known)
            self.unknown |= wanted - known.keys()
        for row in batch:
            self.count += 1
            license = self.licenses.get(row.license)
            if license is not None:
                yield self._read(row, license) if isinstance(row, Read) else self._observed(row, license)
            elif len(self.faults) < 100:
                self.faults.append(
                    Fault(self.path, row.line, "license", f"there is no license {row.license}", "unknown_license")
                )

    def _read(self, row: Read, license: UUID) -> tuple[Any, ...]:
        content = digest("r", row.counter, row.day, row.quantity, size=8)
        where = (row.line, license, bucket_of(license), row.counter, digest(row.report), content)
        # A reading's report id is kept in `name` on its way into the event.
        return (*where, day(row.day), row.quantity, None, None, row.report)

    def _observed(self, row: Observed, license: UUID) -> tuple[Any, ...]:
        at = row.at.astimezone(UTC)
        content = digest("o", row.counter, at.isoformat(), row.subject, size=8)
        where = (row.line, license, bucket_of(license), row.counter, digest(row.report), content)
        return (*where, None, None, at, digest(self.key, row.subject), row.subject)


def _record(append: Append) -> None:
    """Writes what is new: report ids, observations with their dictionary and marks, readings as events."""
    append.query(
        "INSERT INTO report SELECT bucket, license, report, content FROM fresh ORDER BY bucket, license, report"
    )
    append.query(
        "INSERT INTO observation SELECT bucket, license, report, counter, observed_at, subject FROM fresh "
        "WHERE subject IS NOT NULL ORDER BY bucket, license, observed_at"
    )
    append.query(
        "INSERT INTO subject SELECT DISTINCT bucket, license, subject, name FROM fresh WHERE subject IS NOT NULL "
        "ORDER BY bucket, license, subject ON CONFLICT DO NOTHING"
    )
    # A day before the instant's UTC day: in some zone it was still that day.
    append.query(
        "INSERT INTO to_close AS t (bucket, license, counter, dirty_from) "
        "SELECT bucket, license, counter, min((observed_at AT TIME ZONE 'UTC')::date) - 1 FROM fresh "
        "WHERE subject IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 ON CONFLICT (bucket, license, counter) "
        "DO UPDATE SET dirty_from = least(t.dirty_from, excluded.dirty_from)"
    )
    _append_readings(append)


def _append_readings(append: Append) -> None:
    rows = append.query(
        "SELECT license, counter, day, quantity, name FROM fresh WHERE subject IS NULL ORDER BY license, counter, line"
    )
    months: dict[tuple[UUID, str, date], list[Reading]] = defaultdict(list)
    for license, counter, on, quantity, report in rows:
        months[license, counter, on.replace(day=1)].append(Reading(on, quantity, report))
    streams = {key: counted_users_id(*key) for key in months}
    versions = versions_of(append, list(streams.values()))
    events: list[NewEvent] = []
    for (license, counter, month), readings in months.items():
        stream = streams[license, counter, month]
        recorded = ReadingsRecorded(license=license, counter=counter, month=month, readings=tuple(readings))
        events.append((stream, versions.get(stream, 0) + 1, recorded))
    if events:
        append.append(events)


def versions_of(append: Append, streams: Sequence[UUID]) -> dict[UUID, int]:
    """The last version of each stream, read under the heads' locks."""
    if not streams:
        return {}
    return dict(
        append.query(
            "SELECT e.stream, max(e.version) FROM event e JOIN unnest(%s::smallint[], %s::uuid[]) AS s(bucket, stream) "
            "ON e.bucket = s.bucket AND e.stream = s.stream GROUP BY 1",
            [[bucket_of(stream) for stream in streams], list(streams)],
        )
    )
