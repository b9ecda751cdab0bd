"""Takes a file of counts in: all of it or nothing, and once however often and from wherever it is imported.

Observations go straight to where they are kept, as if none of them were known; only if the database says that one is,
the file is read again and staged, as readings always are, and let in by report id. One core reads the file, the other
takes it in. Report ids come first and the heads of the buckets last: nobody waits for a report while holding a head.
One transaction holds all of it, so that a killed import leaves nothing behind.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
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
from jobs.count_packing import Packed, Packer
from jobs.count_rows import Batch, CountRows
from projections.calm import calm

MAX_FAULTS = 100
MEMORY = "SET LOCAL work_mem = '160MB'"
"""For sorting what is staged; a file that needs more spills to disk."""
HANDOVER = 0.0005
"""Seconds after which a thread lets another one in."""

OTHERS = psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected
"""What it comes to that another import has, or is adding, the same reports: those that two add in other orders too."""

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
    batches = rows.batches
    first = next(batches, None)
    if first is None:
        return Imported(0, 0, 0, 0)
    try:
        with _hurried(), log.append() as append:
            done = _imported(append, resolve, path, rows, first, batches)
            if not done.new:
                raise _NothingNew
    except _NothingNew:
        pass
    except psycopg.OperationalError as error:
        raise Unavailable(f"nothing was imported: {error}") from error
    return done


@contextmanager
def _hurried() -> Iterator[None]:
    """Stops the search for circles among millions of rows that have none, and lets waiting threads in sooner."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(HANDOVER)
    try:
        with calm():
            yield
    finally:
        sys.setswitchinterval(interval)


def _imported(
    append: Append, resolve: Resolve, path: str, rows: CountRows, first: Batch, rest: Iterator[Batch]
) -> Imported:
    for statement in (MEMORY, *tables.SCRATCH):
        append.query(statement)
    key = append.query("SELECT key FROM counting_key")[0][0]
    reading, whole = _Reading(path, resolve, Packer(key)), chain((first,), rest)
    if not first.observed:
        new = _staged(append, tables.READINGS, reading, whole)
    elif _are_new(append, reading, whole):
        new = reading.count
    else:
        reading = _Reading(path, resolve, Packer(key))
        new = _staged(append, tables.OBSERVATIONS, reading, rows.batches)
    if new:
        append.lock(dict.fromkeys(sorted(map(bucket_of, reading.licenses.values())), 0))
        append.query(tables.ADD_SUBJECTS)
        append.query(tables.MARK)
    if new and not first.observed:
        _append_readings(append, path.rpartition("/")[2])
    return Imported(reading.count, new, reading.count - new, len(reading.licenses))


def _are_new(append: Append, reading: _Reading, batches: Iterator[Batch]) -> bool:
    """Whether none of the observations was known, as in most files; then they are added."""
    try:
        with append.nested() as part:
            reading.copy(part, batches, reading.packer.parcels)
    except OTHERS:
        return False
    return True


def _staged(append: Append, intake: tables.Intake, reading: _Reading, batches: Iterator[Batch]) -> int:
    """Stages a file and adds the reports that are new, leaving only them staged; how many they are.

    Another import may add some of them while we look: then we look again.
    """
    append.query(intake.stage)
    packer = reading.packer
    reading.copy(append, batches, packer.observations if intake is tables.OBSERVATIONS else packer.readings)
    while not _added(append, intake):
        append.query("ANALYZE staged")
        _refuse(reading.path, append.query(tables.other_in_file(intake)))
        _refuse(reading.path, append.query(intake.other_before))
        append.query(intake.drop_known)
        append.query(tables.DROP_REPEATED)
    new: int = append.query("SELECT count(*) FROM staged")[0][0]
    return new


def _added(append: Append, intake: tables.Intake) -> bool:
    """Whether everything staged could be added, because it was new."""
    try:
        with append.nested() as part:
            for statement in intake.add:
                part.query(statement)
    except OTHERS:
        return False
    return True


def _refuse(path: str, found: Sequence[tuple[Any, ...]]) -> None:
    """Raises: BadFile for reports that say different things, with both lines, or that they were imported before."""
    faults = []
    for line, *other, report in found:
        against = f"line {other[0]} says something else" if other else "it was imported before with other content"
        faults.append(Fault(path, line, "report_id", f"report {report[:80]} on line {line}: {against}", "report_id"))
    if faults:
        raise BadFile(faults)


class _Reading:
    """One reading of a file: rows on their way into the database, licenses resolved in batches, faults gathered."""

    def __init__(self, path: str, resolve: Resolve, packer: Packer) -> None:
        self.path, self.resolve, self.packer = path, resolve, packer
        self.licenses: dict[str, UUID] = {}
        self.unknown: set[str] = set()
        self.faults: list[Fault] = []
        self.count = 0

    def copy(self, append: Append, batches: Iterator[Batch], pack: Callable[[Batch], Packed]) -> None:
        """Hands each batch to the database while the next is read.

        Raises: BadFile when all is read, with every fault; one of OTHERS.
        """
        try:
            with ThreadPoolExecutor(1) as database:
                taken: Future[None] | None = None
                for batch in batches:
                    packed = pack(self._known(batch))
                    if taken:
                        taken.result()
                    taken = database.submit(_copy, append, packed)
                if taken:
                    taken.result()
        except BadFile as bad:
            raise BadFile(sorted((*bad.faults, *self.faults), key=lambda fault: fault.line)) from None
        if self.faults:
            raise BadFile(self.faults)

    def _known(self, batch: Batch) -> Batch:
        """The rows of licenses that there are; the others are faults."""
        self.count += len(batch.lines)
        named = set(batch.licenses)
        if wanted := named - self.licenses.keys() - self.unknown:
            found = self.resolve(sorted(wanted))
            self.licenses.update(found)
            self.packer.know(found)
            self.unknown |= wanted - found.keys()
        if not named & self.unknown:
            return batch
        for line, license in zip(batch.lines, batch.licenses, strict=True):
            if license in self.unknown and len(self.faults) < MAX_FAULTS:
                message = f"there is no license {license[:80]}"
                self.faults.append(Fault(self.path, line, "license", message, "unknown_license"))
        return batch.only(lambda license: license not in self.unknown)


def _copy(append: Append, packed: Packed) -> None:
    for table, rows in packed.items():
        append.packed(table, rows)


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
