"""Files of counts, read strictly and streamed: readings or raw observations, CSV or Parquet, of any size.

Columns are found by name, in any order: `license,counter,day,quantity,report_id` for readings and
`license,counter,observed_at,subject,report_id` for observations. Numbers are plain ASCII digits, days are ISO days of
this century, instants carry their offset. Nothing is guessed and nothing ignored.
"""

from __future__ import annotations

import csv
import io
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from domain.errors import BadFile, Fault, Unavailable
from jobs.count_rows import Observed, Read, Row

READINGS = ("license", "counter", "day", "quantity", "report_id")
OBSERVATIONS = ("license", "counter", "observed_at", "subject", "report_id")
MAX_FIELD = 1000
MAX_FAULTS = 100
QUANTITY = re.compile(r"(0|[1-9][0-9]{0,11})\Z", re.ASCII)
DAY = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}\Z", re.ASCII)
INSTANT = re.compile(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})\Z", re.ASCII
)

Progress = Callable[[int, int], None]
"""Called now and then with rows read and bytes read."""


def read_rows(path: str, progress: Progress | None = None) -> Iterator[Row]:
    """The rows of a file; "-" is standard input.

    Raises: BadFile with file, line and field of the first faults (at most 100); Unavailable when it cannot be read.
    """
    if path.endswith((".parquet", ".pq")):
        yield from _Checker(path).rows(_parquet(path), progress)
        return
    with _opened(path) as raw:
        yield from _Checker(path).rows(_csv(path, raw), progress, raw)


def size_of(path: str) -> int | None:
    """The bytes of a regular file, for a progress bar."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        with open(path, "rb") as raw:
            yield raw
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error


Numbered = tuple[int, Sequence[Any]]


def _csv(path: str, raw: BinaryIO) -> Iterator[Numbered]:
    """The records of a CSV file with the line that each ends on, the header first."""
    csv.field_size_limit(MAX_FIELD * 100)
    text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="strict", newline="")
    reader = csv.reader(text, strict=True)
    try:
        for record in reader:
            if record:
                yield reader.line_num, record
    except UnicodeDecodeError:
        raise BadFile([Fault(path, reader.line_num + 1, "", "not UTF-8", "encoding")]) from None
    except csv.Error as error:
        raise BadFile([Fault(path, reader.line_num, "", f"not CSV: {error}", "syntax")]) from None
    finally:
        text.detach()


def _parquet(path: str) -> Iterator[Numbered]:
    """The rows of a Parquet file, as text, numbered from 2 as behind a header."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise Unavailable("reading Parquet needs pyarrow: pip install 'tallystick[parquet]'") from error
    try:
        with parquet.ParquetFile(path) as file:
            yield 1, file.schema_arrow.names
            line = 1
            for batch in file.iter_batches(batch_size=50_000):
                for record in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    line += 1
                    yield line, [_as_text(value) for value in record]
    except (ArrowException, OSError) as error:
        raise BadFile([Fault(path, 0, "", f"not Parquet: {str(error).splitlines()[0]}", "syntax")]) from None


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else "" if value is None else str(value)


class _Checker:
    """Turns records into rows, and collects faults until there are too many or the file ends."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self.latest = datetime.now(UTC)

    def rows(
        self, records: Iterator[Numbered], progress: Progress | None, raw: BinaryIO | None = None
    ) -> Iterator[Row]:
        line, header = next(records, (0, ()))
        make, order = self._columns(line, header)
        width, count = len(header), 0
        for line, record in records:
            if len(record) != width:
                self.fault(line, "", f"has {len(record)} fields, the header has {width}", "width")
                continue
            row = make(line, [record[n] for n in order])
            count += 1
            if row is not None:
                yield row
            if progress and not count % 10_000:
                progress(count, raw.tell() if raw and raw.seekable() else 0)
        if self.faults:
            raise BadFile(self.faults)
        if progress:
            progress(count, 0)

    def fault(self, line: int, field: str, message: str, code: str) -> None:
        """Notes a fault. Raises: BadFile when there are too many to be read."""
        self.faults.append(Fault(self.path, line, field, message, code))
        if len(self.faults) >= MAX_FAULTS:
            raise BadFile(self.faults)

    def _columns(self, line: int, header: Sequence[str]) -> tuple[Callable[[int, list[str]], Row | None], list[int]]:
        names = [str(name) for name in header]
        if not names:
            self._refuse(1, "", "the file is empty", "empty")
        if repeated := next((name for name in names if names.count(name) > 1), None):
            self._refuse(line, repeated, "the column stands twice in the header", "duplicate_column")
        observed = "subject" in names or "observed_at" in names
        wanted, make = (OBSERVATIONS, self._observed) if observed else (READINGS, self._read)
        for name in wanted:
            if name not in names:
                self._refuse(line, name, f"the column is missing: {','.join(wanted)} are needed", "missing_column")
        if extra := next((name for name in names if name not in wanted), None):
            self._refuse(line, extra, f"there is no such column: {','.join(wanted)} are known", "unknown_column")
        return make, [names.index(name) for name in wanted]

    def _refuse(self, line: int, field: str, message: str, code: str) -> None:
        raise BadFile([Fault(self.path, line, field, message, code)])

    def _read(self, line: int, record: list[str]) -> Row | None:
        license, counter, day, quantity, report = record
        ordinal = _ordinal(day)
        if not self._texts(line, READINGS, (license, counter, report), (0, 1, 4)):
            return None
        if ordinal is None:
            self.fault(line, "day", f"{day[:40]!r} is not a day such as 2025-01-31", "day")
        elif ordinal > self.latest.toordinal() + 1:
            self.fault(line, "day", f"{day} is still to come", "future")
        elif not QUANTITY.match(quantity):
            self.fault(line, "quantity", f"{quantity[:40]!r} is not a whole number from 0 to 999999999999", "quantity")
        else:
            return Read(line, license, counter, report, ordinal, int(quantity))
        return None

    def _observed(self, line: int, record: list[str]) -> Row | None:
        license, counter, at, subject, report = record
        if not self._texts(line, OBSERVATIONS, (license, counter, subject, report), (0, 1, 3, 4)):
            return None
        instant = _instant(at)
        if instant is None:
            wanted = "an instant with its offset, such as 2025-01-31T09:00:00Z"
            self.fault(line, "observed_at", f"{at[:40]!r} is not {wanted}", "instant")
            return None
        if instant > self.latest + timedelta(minutes=5):
            self.fault(line, "observed_at", f"{at} is still to come", "future")
            return None
        return Observed(line, license, counter, report, instant, subject)

    def _texts(self, line: int, names: Sequence[str], values: Sequence[str], order: Sequence[int]) -> bool:
        for value, n in zip(values, order, strict=True):
            if wrong := _wrong_with(value):
                self.fault(line, names[n], wrong, "text")
                return False
        return True


def _wrong_with(value: str) -> str:
    if value and len(value) <= MAX_FIELD and value.isprintable() and value == value.strip():
        return ""
    if not value:
        return "is empty"
    if len(value) > MAX_FIELD:
        return f"is longer than {MAX_FIELD} characters"
    return "holds spaces at its ends or characters that cannot be printed"


@lru_cache(maxsize=65536)
def _ordinal(day: str) -> int | None:
    if not DAY.match(day):
        return None
    try:
        return date.fromisoformat(day).toordinal()
    except ValueError:
        return None


def _instant(text: str) -> datetime | None:
    if not INSTANT.match(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
