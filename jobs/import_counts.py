"""Takes a file of counts in: all of it or nothing, and once however often and from wherever it is imported.

Rows are staged by COPY; then, with the heads of their buckets locked, they are let in by report id. Readings become
events of their month; observations become rows, and mark what has to be closed again. One transaction holds all of it,
so that a killed import leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, groupby, islice
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain.counted_users import counted_users_id
from domain.errors import BadFile, Fault, Unavailable
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.identity import bucket_of
from domain.period import day
from domain.ports import Append, Log, NewEvent
from jobs import count_tables as tables
from jobs.count_rows import Observed, Row

DDL = tables.DDL
BATCH = 5000
MAX_FAULTS = 100
MEMORY = "SET LOCAL work_mem = '64MB'"
"""For sorting what is staged; a file that needs more spills to disk."""

Resolve = Callable[[Sequence[str]], dict[str, UUID]]
"""The licenses of references, as far as the importer may know them; unknown ones are left out."""


class Imported(NamedTuple):
    """What an import did: rows read, new ones, ones known before (or repeated in the file), licenses named."""

    rows: int
    new: int
    repeated: int
    licenses: int


def import_counts(log: Log, resolve: Resolve, path: str, rows: Iterable[Row]) -> Imported:
    """Imports a file's rows in one transaction.

    Raises: BadFile naming the lines: unknown licenses, or a report id used twice for different things; Unavailable
    when the database fails, and then nothing was imported.
    """
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        return Imported(0, 0, 0, 0)
    intake = tables.OBSERVATIONS if isinstance(first, Observed) else tables.READINGS
    try:
        with log.append() as append:
            return _imported(append, intake, resolve, path, chain((first,), remaining))
    except psycopg.OperationalError as error:
        raise Unavailable(f"nothing was imported: {error}") from error


def _imported(append: Append, intake: tables.Intake, resolve: Resolve, path: str, rows: Iterator[Row]) -> Imported:
    append.query(MEMORY)
    append.query(intake.stage)
    staging = _Staging(path, resolve, append.query("SELECT key FROM counting_key")[0][0])
    try:
        append.rows(intake.columns, staging.staged(rows))
    except BadFile as bad:
        raise BadFile(sorted((*bad.faults, *staging.faults), key=lambda fault: fault.line)) from None
    if staging.faults:
        raise BadFile(staging.faults)
    append.query("ANALYZE staged")
    append.lock(dict.fromkeys(sorted({bucket_of(license) for license in staging.licenses.values()}), 0))
    new = _let_in(append, intake, path, staging.count)
    if new and intake is tables.OBSERVATIONS:
        append.query(tables.ADD_SUBJECTS)
        append.query(tables.MARK)
    elif new:
        _append_readings(append, path.rpartition("/")[2])
    return Imported(staging.count, new, staging.count - new, len(staging.licenses))


def _let_in(append: Append, intake: tables.Intake, path: str, count: int) -> int:
    """Adds the reports that are new, and leaves only them staged; how many they are.

    Most files hold nothing known, and one INSERT says so faster than any question; only if it fails, we ask.
    """
    try:
        with append.nested() as part:
            part.query(intake.add)
        return count
    except psycopg.errors.UniqueViolation:
        pass
    _refuse(path, append.query(tables.other_in_file(intake)))
    _refuse(path, append.query(intake.other_before))
    append.query(intake.drop_known)
    append.query(tables.DROP_REPEATED)
    append.query(intake.add)
    left: int = append.query("SELECT count(*) FROM staged")[0][0]
    return left


def _refuse(path: str, found: Sequence[tuple[Any, ...]]) -> None:
    """Raises: BadFile for reports that say different things, with both lines, or that they were imported before."""
    faults = []
    for line, *other, report in found:
        against = f"line {other[0]} says something else" if other else "it was imported before with other content"
        faults.append(Fault(path, line, "report_id", f"report {report[:80]} on line {line}: {against}", "report_id"))
    if faults:
        raise BadFile(faults)


class _Staging:
    """Rows on their way into the staging table: licenses resolved in batches, subjects hashed."""

    def __init__(self, path: str, resolve: Resolve, key: bytes) -> None:
        self.path, self.resolve = path, resolve
        self.licenses: dict[str, UUID] = {}
        self.places: dict[str, tuple[int, str]] = {}
        self.unknown: set[str] = set()
        self.faults: list[Fault] = []
        self.count = 0
        self.hashed = lru_cache(maxsize=1 << 18)(lambda subject: subject_hash(key, subject).hex)

    def staged(self, rows: Iterator[Row]) -> Iterator[tuple[Any, ...]]:
        while batch := list(islice(rows, BATCH)):
            self.count += len(batch)
            known = self._known(batch)
            if known:
                yield from self._columns(known)

    def _known(self, batch: list[Row]) -> list[Row]:
        """The rows of licenses that there are; the others are faults."""
        named = {row.license for row in batch}
        if wanted := named - self.licenses.keys() - self.unknown:
            found = self.resolve(sorted(wanted))
            self.licenses.update(found)
            self.places.update((name, (bucket_of(license), str(license))) for name, license in found.items())
            self.unknown |= wanted - found.keys()
        if not named & self.unknown:
            return batch
        for row in batch:
            if row.license in self.unknown and len(self.faults) < MAX_FAULTS:
                message = f"there is no license {row.license[:80]}"
                self.faults.append(Fault(self.path, row.line, "license", message, "unknown_license"))
        return [row for row in batch if row.license not in self.unknown]

    def _columns(self, batch: list[Row]) -> Iterator[tuple[Any, ...]]:
        lines, licenses, counters, reports, when, what = zip(*batch, strict=True)
        buckets, ids = zip(*map(self.places.__getitem__, licenses), strict=True)
        keys = map(_report_key, reports) if max(map(len, reports)) > tables.REPORT_LENGTH else reports
        if isinstance(batch[0], Observed):
            instants = (at.isoformat() for at in when)
            return zip(lines, buckets, ids, keys, counters, instants, map(self.hashed, what), what, strict=True)
        return zip(lines, buckets, ids, keys, counters, map(_iso, when), what, reports, strict=True)


def subject_hash(key: bytes, subject: str) -> UUID:
    """What a subject is stored as: 128 bits that nobody can compute without the installation's key."""
    return UUID(bytes=blake2b(subject.encode(), digest_size=16, key=key).digest())


def _report_key(report: str) -> str:
    return report if len(report) <= tables.REPORT_LENGTH else blake2b(report.encode(), digest_size=32).hexdigest()


@lru_cache(maxsize=65536)
def _iso(ordinal: int) -> str:
    return day(ordinal).isoformat()


def _append_readings(append: Append, source: str) -> None:
    """Appends one event for each license, counter and month of what is staged."""
    append.query(tables.NEW_READINGS)
    rows = chain.from_iterable(iter(lambda: append.query("FETCH 10000 FROM new_readings"), []))
    recorded: list[ReadingsRecorded] = []
    readings = 0
    for (license, counter, month), found in groupby(rows, key=lambda row: (row[0], row[1], row[2].replace(day=1))):
        taken = tuple(Reading(on, quantity, report) for _, _, on, quantity, report in found)
        recorded.append(ReadingsRecorded(license=license, counter=counter, month=month, readings=taken, source=source))
        readings += len(taken)
        if readings > 20_000:
            _append_months(append, recorded)
            recorded, readings = [], 0
    _append_months(append, recorded)


def _append_months(append: Append, recorded: Sequence[ReadingsRecorded]) -> None:
    streams = [counted_users_id(event.license, event.counter, event.month) for event in recorded]
    versions = versions_of(append, streams)
    events: list[NewEvent] = [
        (stream, versions.get(stream, 0) + 1, event) for stream, event in zip(streams, recorded, strict=True)
    ]
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
