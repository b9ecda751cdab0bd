"""Takes a file of counts in: all of it or nothing, and once however often and from wherever it is imported.

Rows are staged by COPY; then, with the heads of their buckets locked, they are let in by report id. Readings become
events of their month; observations become rows, and mark what has to be closed again. One transaction holds all of it,
so that a killed import leaves nothing behind.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain.counted_users import counted_users_id
from domain.errors import BadFile, Fault, Unavailable
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.identity import bucket_of
from domain.ports import Append, Log
from jobs import count_tables as tables
from jobs.count_rows import Batch, CountRows

DDL = tables.DDL
MAX_FAULTS = 100
TOLD = 200_000
"""Names remembered as staged; beyond it they are staged again, so that memory stays bounded."""
MEMORY = "SET LOCAL work_mem = '160MB'"
"""For sorting what is staged; a file that needs more spills to disk."""

Resolve = Callable[[Sequence[str]], dict[str, UUID]]
"""The licenses of references, as far as the importer may know them; unknown ones are left out."""


class Imported(NamedTuple):
    """What an import did: rows read, new ones, ones known before (or repeated in the file), licenses named."""

    rows: int
    new: int
    repeated: int
    licenses: int


class _NothingNew(Exception):
    """Undoes the transaction, so that importing a file again leaves not even the trace of having looked."""


def import_counts(log: Log, resolve: Resolve, path: str, rows: CountRows) -> Imported:
    """Imports a file's rows in one transaction.

    Raises: BadFile naming the lines: unknown licenses, or a report id used twice for different things; Unavailable
    when the database fails, and then nothing was imported.
    """
    first = next(rows.batches, None)
    if first is None:
        return Imported(0, 0, 0, 0)
    intake = tables.OBSERVATIONS if first.observed else tables.READINGS
    try:
        with _uncollected(), log.append() as append:
            done = _imported(append, intake, resolve, path, chain((first,), rows.batches))
            if not done.new:
                raise _NothingNew
    except _NothingNew:
        pass
    except psycopg.OperationalError as error:
        raise Unavailable(f"nothing was imported: {error}") from error
    return done


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps the garbage collector from looking for circles among millions of rows that have none."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _imported(append: Append, intake: tables.Intake, resolve: Resolve, path: str, batches: Iterator[Batch]) -> Imported:
    append.query(MEMORY)
    append.query(intake.stage)
    staging = _Staging(path, resolve, append.query("SELECT key FROM counting_key")[0][0])
    try:
        append.rows(intake.columns, staging.staged(batches))
    except BadFile as bad:
        raise BadFile(sorted((*bad.faults, *staging.faults), key=lambda fault: fault.line)) from None
    if staging.faults:
        raise BadFile(staging.faults)
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
        append.query("ANALYZE staged")
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
        self.key = key
        self.told: set[tuple[str, str]] = set()

    def staged(self, batches: Iterator[Batch]) -> Iterator[tuple[Any, ...]]:
        for batch in batches:
            self.count += len(batch.lines)
            yield from self._columns(self._known(batch))

    def _known(self, batch: Batch) -> Batch:
        """The rows of licenses that there are; the others are faults."""
        named = set(batch.licenses)
        if wanted := named - self.licenses.keys() - self.unknown:
            found = self.resolve(sorted(wanted))
            self.licenses.update(found)
            self.places.update((name, (bucket_of(license), str(license))) for name, license in found.items())
            self.unknown |= wanted - found.keys()
        if not named & self.unknown:
            return batch
        for line, license in zip(batch.lines, batch.licenses, strict=True):
            if license in self.unknown and len(self.faults) < MAX_FAULTS:
                message = f"there is no license {license[:80]}"
                self.faults.append(Fault(self.path, line, "license", message, "unknown_license"))
        return batch.only(lambda license: license not in self.unknown)

    def _columns(self, batch: Batch) -> Iterator[tuple[Any, ...]]:
        if not batch.lines:
            return iter(())
        places = [self.places[license] for license in batch.licenses]
        buckets, licenses = [place[0] for place in places], [place[1] for place in places]
        keys = _report_keys(batch.reports)
        what: Sequence[str] = batch.what
        name: Sequence[str | None] = batch.reports
        if batch.observed:
            what, name = self._hashed(batch.what), self._untold(batch)
        return zip(batch.lines, buckets, licenses, keys, batch.counters, batch.when, what, name, strict=True)

    def _untold(self, batch: Batch) -> Sequence[str | None]:
        """The names of the subjects, but those that were staged before: the dictionary needs each only once."""
        if len(self.told) > TOLD:
            self.told.clear()
        pairs = list(zip(batch.licenses, batch.what, strict=True))
        new = set(pairs) - self.told
        self.told |= new
        return [pair[1] if pair in new else None for pair in pairs]

    def _hashed(self, subjects: Sequence[str]) -> Sequence[str]:
        key = self.key
        return [blake2b(key + subject.encode(), digest_size=16).hexdigest() for subject in subjects]


def subject_hash(key: bytes, subject: str) -> UUID:
    """What a subject is stored as: 128 bits that nobody can compute without the installation's key."""
    return UUID(bytes=blake2b(key + subject.encode(), digest_size=16).digest())


def _report_keys(reports: Sequence[str]) -> Iterable[str]:
    if max(map(len, reports), default=0) <= tables.REPORT_LENGTH:
        return reports
    return (
        report if len(report) <= tables.REPORT_LENGTH else blake2b(report.encode(), digest_size=32).hexdigest()
        for report in reports
    )


def _append_readings(append: Append, source: str) -> None:
    """Appends one event for each license, counter and month of what is staged."""
    append.query(tables.NEW_READINGS)
    while months := append.query("FETCH 200 FROM new_readings"):
        recorded = [
            ReadingsRecorded(
                license=license, counter=counter, month=month, readings=tuple(map(Reading, *readings)), source=source
            )
            for license, counter, month, *readings in months
        ]
        streams = [counted_users_id(event.license, event.counter, event.month) for event in recorded]
        versions = versions_of(append, streams)
        append.append(
            [(stream, versions.get(stream, 0) + 1, event) for stream, event in zip(streams, recorded, strict=True)]
        )


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
