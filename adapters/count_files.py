"""Files of counts, read strictly and streamed: readings or raw observations, CSV or Parquet, of any size.

Columns are found by name, in any order: `license,counter,day,quantity,report_id` for readings and
`license,counter,observed_at,subject,report_id` for observations. Nothing is guessed and nothing ignored; what a cell
may hold is decided in `adapters.count_cells`. A file that changes while it is read is refused: its last line may have
been half a line.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from adapters.count_cells import CellReader, Progress
from adapters.count_csv import csv_columns
from adapters.count_parquet import parquet_columns
from domain.errors import BadFile, Fault
from jobs.count_rows import Batch, CountRows

BLOCK, LARGEST = 1 << 18, 1 << 22
"""Bytes read at once: few at first, so that the database has something to do soon, then ever more."""
LONGEST_LINE = 1 << 20
"""In bytes; a longer one is refused."""
BOM = b"\xef\xbb\xbf"


def read_rows(path: str, progress: Progress | None = None) -> CountRows:
    """The rows of a file, read while one goes through them; "-" is standard input.

    Raises: BadFile with file, line and field of the first faults (at most 100), or why the file cannot be read;
    Unavailable when Parquet cannot be read here.
    """
    source = _Source(path)
    return CountRows(lambda: _batches(source, progress))


def _batches(source: _Source, progress: Progress | None) -> Iterator[Batch]:
    path = source.path
    cells = CellReader(path, datetime.now(UTC))
    if path.endswith((".parquet", ".pq")):
        with source.raw():
            yield from cells.batches(parquet_columns(path), progress, lambda: 0)
        return
    with source.opened() as raw:
        blocks = _Blocks(path, raw)
        yield from cells.batches(csv_columns(cells, blocks), progress, lambda: blocks.bytes)


def size_of(path: str) -> int | None:
    """The bytes of a regular file, for a progress bar."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


class _Source:
    """A file that can be read more than once; what comes through a pipe is kept in a temporary file for that."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.kept: BinaryIO | None = None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file from its beginning. Raises: BadFile when it cannot be read, or was changed meanwhile."""
        if self.kept is None:
            with self.raw() as raw:
                before = os.fstat(raw.fileno())
                if stat.S_ISREG(before.st_mode) and self.path != "-":
                    yield raw
                    self._refuse_change(before, os.fstat(raw.fileno()))
                    return
                self.kept = self._copy(raw)
        self.kept.seek(0)
        yield self.kept

    @contextmanager
    def raw(self) -> Iterator[BinaryIO]:
        """What stands there, once. Raises: BadFile when it cannot be opened."""
        if self.path == "-":
            yield sys.stdin.buffer
            return
        try:
            raw = io.BufferedReader(io.FileIO(self.path))
        except OSError as error:
            raise BadFile.unreadable(self.path, error.strerror) from error
        with raw:
            yield raw

    def _copy(self, raw: BinaryIO) -> BinaryIO:
        """All of a pipe, in a file that is gone with this object."""
        try:
            copy = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, copy.close)
            shutil.copyfileobj(raw, copy)
        except OSError as error:
            raise BadFile.unreadable(self.path, error.strerror) from error
        return copy

    def _refuse_change(self, before: os.stat_result, after: os.stat_result) -> None:
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise BadFile([Fault(self.path, 0, "", "the file changed while it was read: try again", "changed")])


class _Blocks:
    """The text of a file in blocks of whole lines, so that a file without lines cannot fill the memory."""

    def __init__(self, path: str, raw: BinaryIO) -> None:
        self.path, self.raw = path, raw
        self.size = BLOCK
        self.bytes = 0
        self.lines = 0

    def __iter__(self) -> Iterator[str]:
        left = self._more().removeprefix(BOM)
        while more := self._more():
            whole, newline, rest = left.rpartition(b"\n")
            if newline:
                yield self._text(whole + newline)
            elif len(left) > LONGEST_LINE:
                raise self._fault(self.lines + 1, f"the line is longer than {LONGEST_LINE} bytes", "too_long")
            left = rest + more
        yield self._text(left)

    def _more(self) -> bytes:
        try:
            read = self.raw.read(self.size)
        except OSError as error:
            raise BadFile.unreadable(self.path, error.strerror) from error
        self.size = min(self.size * 2, LARGEST)
        self.bytes += len(read)
        return read

    def _text(self, block: bytes) -> str:
        try:
            text = block.decode()
        except UnicodeDecodeError as error:
            line = self.lines + block.count(b"\n", 0, error.start) + 1
            raise self._fault(line, "not UTF-8", "encoding") from None
        self.lines += block.count(b"\n")
        return text

    def _fault(self, line: int, message: str, code: str) -> BadFile:
        return BadFile([Fault(self.path, line, "", message, code)])
