"""Batches of a count file as rows for COPY: staged beside their lines, or at once as reports and parcels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate, count
from uuid import UUID

from domain.identity import bucket_of
from jobs import count_tables as tables
from jobs import fields
from jobs.count_rows import Batch
from jobs.fields import field

REMEMBERED = 1 << 17
"""Subjects whose hashes are remembered."""
TOLD = 200_000
"""Names remembered as told; beyond it they are told again, so that memory stays bounded."""

Packed = Mapping[str, bytes]
"""Rows for a binary COPY into each table: "subject (bucket, name)" → rows."""
_Group = tuple[tuple[str, str], int, int]
"""Rows of one license and counter: these, the first and the one behind the last."""


class Packer:
    """Packs batches whose licenses are known."""

    def __init__(self, key: bytes) -> None:
        self.places: dict[str, bytes] = {}
        self._subject = lru_cache(REMEMBERED)(lambda name: field(subject_hash(key, name)))
        self._told: dict[str, set[str]] = defaultdict(set)
        self._left = TOLD

    def know(self, licenses: Mapping[str, UUID]) -> None:
        """Licenses by the reference that the file names them by."""
        for name, license in licenses.items():
            self.places[name] = field(bucket_of(license).to_bytes(2, "big")) + field(license.bytes)

    def readings(self, batch: Batch) -> Packed:
        """Readings for the staging table."""
        quantities = fields.integers(map(int, batch.what))
        content = (map(fields.day, batch.when), quantities, fields.texts(batch.reports))
        return {tables.READINGS.columns: fields.rows(8, *self._staged(batch), *content)}

    def observations(self, batch: Batch) -> Packed:
        """Observations for the staging table, and the names of the subjects."""
        instants = fields.integers(fields.microseconds(batch.when))
        rows = fields.rows(7, *self._staged(batch), instants, map(self._subject, batch.what))
        subjects: dict[str, set[str]] = defaultdict(set)
        for license, subject in zip(batch.licenses, batch.what, strict=True):
            subjects[license].add(subject)
        named = b"".join(self._named(license, found) for license, found in subjects.items())
        return {tables.OBSERVATIONS.columns: rows, tables.NAMED: named}

    def parcels(self, batch: Batch) -> Packed:
        """Observations as they are kept, as long as nothing is known of their reports."""
        groups, order = _grouped(batch)
        ids, when, names = (list(map(column.__getitem__, order)) for column in (batch.reports, batch.when, batch.what))
        reports, at = fields.texts(_keys(ids)), fields.microseconds(when)
        instants, subjects = b"".join(fields.integers(at)), b"".join(map(self._subject, names))
        packed: dict[str, list[bytes]] = defaultdict(list)
        for (license, counter), start, stop in groups:
            begin = b"\0\3" + self.places[license]
            packed[tables.REPORTS].append(begin + begin.join(reports[start:stop]))
            of = self.places[license] + field(counter.encode())
            first, last = fields.integers((min(at[start:stop]), max(at[start:stop])))
            arrays = (
                fields.array("text", b"".join(reports[start:stop]), stop - start),
                fields.array("timestamptz", instants[12 * start : 12 * stop], stop - start),
                fields.array("uuid", subjects[20 * start : 20 * stop], stop - start),
            )
            packed[tables.PARCELS].append(b"\0\x08" + of + first + last + b"".join(arrays))
            packed[tables.TOUCHED].append(b"\0\4" + of + first)
            packed[tables.NAMED].append(self._named(license, set(names[start:stop])))
        return {table: b"".join(rows) for table, rows in packed.items()}

    def _staged(self, batch: Batch) -> tuple[Iterable[bytes], ...]:
        """The columns that every staging table begins with."""
        places = map(self.places.__getitem__, batch.licenses)
        reports = fields.texts(_keys(batch.reports))
        return fields.integers(batch.lines), places, reports, fields.texts(batch.counters)

    def _named(self, license: str, subjects: set[str]) -> bytes:
        """The dictionary's rows of subjects, but those that were told before: it needs each only once."""
        new = subjects - self._told[license]
        self._left -= len(new)
        if self._left < 0:
            self._told.clear()
            self._left = TOLD
        self._told[license] |= new
        begin = b"\0\4" + self.places[license]
        return b"".join(begin + self._subject(name) + field(name.encode()) for name in new)


def _grouped(batch: Batch) -> tuple[Sequence[_Group], Sequence[int]]:
    """An order in which the rows of each license's counter stand together, and where those begin and end."""
    number: dict[tuple[str, str], int] = defaultdict(count().__next__)
    numbers = list(map(number.__getitem__, zip(batch.licenses, batch.counters, strict=True)))
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    sizes = Counter(numbers)
    ends = list(accumulate(map(sizes.__getitem__, range(len(number))), initial=0))
    return list(zip(number, ends, ends[1:], strict=False)), order


def subject_hash(key: bytes, subject: str) -> bytes:
    """What a subject is stored as: 128 bits that nobody can compute without the installation's key."""
    return blake2b(key + subject.encode(), digest_size=16).digest()


def _keys(reports: Sequence[str]) -> Sequence[str]:
    """What reports are known by: their ids, or a digest of one that is long."""
    if max(map(len, reports), default=0) <= tables.REPORT_LENGTH:
        return reports
    return [
        report if len(report) <= tables.REPORT_LENGTH else blake2b(report.encode(), digest_size=32).hexdigest()
        for report in reports
    ]
