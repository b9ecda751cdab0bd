"""Files of counts, read strictly and streamed: readings or raw observations, CSV or Parquet, of any size.

Columns are found by name, in any order: `license,counter,day,quantity,report_id` for readings and
`license,counter,observed_at,subject,report_id` for observations. Nothing is guessed and nothing ignored; what a cell
may hold is decided in `adapters.count_cells`. A file that changes while it is read is refused: its last line may have
been half a line.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import BinaryIO

from adapters.count_cells import BATCH, CellReader, Numbered, Progress
from adapters.count_parquet import parquet_records
from domain.errors import BadFile, Fault
from jobs.count_rows import Batch, CountRows

BLOCK = 1 << 20
"""Bytes read at once; a line that is longer is refused."""

LINE_END = re.compile("\r\n|\r|\n")
BOM = b"\xef\xbb\xbf"


def read_rows(path: str, progress: Progress | None = None) -> CountRows:
    """The rows of a file, read while one goes through them; "-" is standard input.

    Raises: BadFile with file, line and field of the first faults (at most 100), or why the file cannot be read;
    Unavailable when Parquet cannot be read here.
    """
    return CountRows(_batches(path, progress))


def _batches(path: str, progress: Progress | None) -> Iterator[Batch]:
    cells = CellReader(path, datetime.now(UTC))
    if path.endswith((".parquet", ".pq")):
        yield from cells.batches(parquet_records(path), progress, lambda: 0)
        return
    with _opened(path) as raw:
        blocks = _Blocks(path, raw)
        yield from cells.batches(_csv_records(path, blocks), progress, lambda: blocks.bytes)


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
        raw = io.BufferedReader(io.FileIO(path))
    except OSError as error:
        raise BadFile([Fault(path, 0, "", f"cannot be read: {error.strerror}", "unreadable")]) from error
    with raw:
        before = _version(raw)
        yield raw
        if _version(raw) != before:
            raise BadFile([Fault(path, 0, "", "the file changed while it was read: try again", "changed")])


def _version(raw: BinaryIO) -> tuple[int, int] | None:
    """What changes when a regular file is written; pipes have none."""
    found = os.fstat(raw.fileno())
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _csv_records(path: str, blocks: _Blocks) -> Iterator[Numbered]:
    """The records of a CSV file with the line that each begins on, the header first."""
    reader = csv.reader(chain.from_iterable(blocks), strict=True)
    line, records, broken = 1, [[""]], None
    while records and not broken:
        records = []
        try:
            records.extend(islice(reader, BATCH))
        except csv.Error as error:
            broken = f"not CSV: {error}"
        lines = _lines(records, line, reader.line_num)
        line = lines.pop()
        if [] in records:
            lines = [number for number, record in zip(lines, records, strict=True) if record]
        yield lines, [record for record in records if record] if len(lines) < len(records) else records
    if broken:
        raise BadFile([Fault(path, line, "", broken, "syntax")])


def _lines(records: Sequence[Sequence[str]], begin: int, end: int) -> list[int]:
    """The line that each record begins on, and the one behind the last."""
    if end - begin + 1 == len(records):
        return list(range(begin, end + 2))
    inside = (sum(len(LINE_END.findall(field)) for field in record) for record in records)
    return list(accumulate((1 + ends for ends in inside), initial=begin))


class _Blocks:
    """The text of a file in blocks of whole lines, so that a file without lines cannot fill the memory."""

    def __init__(self, path: str, raw: BinaryIO) -> None:
        self.path, self.raw = path, raw
        self.bytes = 0
        self.lines = 0

    def __iter__(self) -> Iterator[io.StringIO]:
        left = self._more().removeprefix(BOM)
        while more := self._more():
            whole, newline, rest = left.rpartition(b"\n")
            if newline:
                yield self._text(whole + newline)
            elif len(left) > BLOCK:
                raise self._fault(self.lines + 1, f"the line is longer than {BLOCK} bytes", "too_long")
            left = rest + more
        yield self._text(left)

    def _more(self) -> bytes:
        try:
            read = self.raw.read(BLOCK)
        except OSError as error:
            raise self._fault(0, f"cannot be read: {error.strerror}", "unreadable") from error
        self.bytes += len(read)
        return read

    def _text(self, block: bytes) -> io.StringIO:
        try:
            text = io.StringIO(block.decode(), newline="")
        except UnicodeDecodeError as error:
            line = self.lines + block.count(b"\n", 0, error.start) + 1
            raise self._fault(line, "not UTF-8", "encoding") from None
        self.lines += block.count(b"\n")
        return text

    def _fault(self, line: int, message: str, code: str) -> BadFile:
        return BadFile([Fault(self.path, line, "", message, code)])
