"""What the cells of a count file may hold: plain ASCII digits, ISO days of this century, instants with their offset.

Batches of records are checked column by column, which is fast; only a batch with something wrong in it is gone
through row by row, to say what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, NoReturn
from unicodedata import is_normalized

from domain.errors import BadFile, Fault
from jobs.count_rows import Batch

READINGS = ("license", "counter", "day", "quantity", "report_id")
OBSERVATIONS = ("license", "counter", "observed_at", "subject", "report_id")
MAX_FIELD = 1000
MAX_FAULTS = 100
BATCH = 20_000
TOLERANCE = timedelta(minutes=5)
"""How far the clock of a reporter may be ahead of ours."""

QUANTITY = r"(?:0|[1-9][0-9]{0,11}|1000000000000)"
DAY = r"(?:20[0-9]{2}|2100)-[0-9]{2}-[0-9]{2}"
TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
INSTANT = DAY + "[T ]" + TIME + r"(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])"
ONE_DAY, ONE_QUANTITY, ONE_INSTANT = (re.compile(pattern, re.ASCII) for pattern in (DAY, QUANTITY, INSTANT))
QUANTITIES, INSTANTS = (re.compile(f"(?:{pattern},)*", re.ASCII) for pattern in (QUANTITY, INSTANT))

Progress = Callable[[int, int], None]
"""Called now and then with rows read and bytes read."""

Column = Sequence[str]


class Columns(NamedTuple):
    """Some records as columns, and the line that each record begins on.

    Shapes: `usual` where every cell is known to be printable ASCII without spaces, neither empty nor too long.
    """

    lines: Sequence[int]
    cells: Sequence[Column]
    usual: bool = False


class CellReader:
    """Turns records into rows, and collects faults until there are too many or the file ends."""

    def __init__(self, path: str, now: datetime) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self.latest = now + TOLERANCE
        self.latest_day = now.toordinal() + 1

    def batches(
        self, tables: Iterator[Columns], progress: Progress | None, read_bytes: Callable[[], int]
    ) -> Iterator[Batch]:
        """The rows behind the header. Raises: BadFile when the file has ended, or with the hundredth fault."""
        header = next(tables, Columns([1], []))
        wanted, order = self._columns(header.lines[0], [name for (name,) in header.cells])
        count = 0
        for table in tables:
            count += len(table.lines)
            if table.lines:
                yield self._checked(wanted, table._replace(cells=[table.cells[n] for n in order]))
            if progress:
                progress(count, read_bytes())
        if self.faults:
            raise BadFile(self.faults)

    def fault(self, line: int, field: str, message: str, code: str) -> None:
        """Notes a fault. Raises: BadFile when there are too many to be read."""
        self.faults.append(Fault(self.path, line, field, message, code))
        if len(self.faults) >= MAX_FAULTS:
            raise BadFile(self.faults)

    def _columns(self, line: int, header: Sequence[str]) -> tuple[Sequence[str], list[int]]:
        """The columns of the kind of file that this is, and where they stand."""
        if not header:
            self._refuse(line, "", "the file is empty", "empty")
        if repeated := next((name for name in header if header.count(name) > 1), None):
            self._refuse(line, repeated[:40], "the column stands twice in the header", "duplicate_column")
        wanted = OBSERVATIONS if "subject" in header or "observed_at" in header else READINGS
        for name in wanted:
            if name not in header:
                self._refuse(line, name, f"the column is missing: {','.join(wanted)} are needed", "missing_column")
        if extra := next((name for name in header if name not in wanted), None):
            shown = repr(extra[:40])
            self._refuse(line, extra[:40], f"{shown} is no column: {','.join(wanted)} are", "unknown_column")
        return wanted, [header.index(name) for name in wanted]

    def _refuse(self, line: int, field: str, message: str, code: str) -> NoReturn:
        raise BadFile([Fault(self.path, line, field, message, code)])

    def _checked(self, names: Sequence[str], table: Columns) -> Batch:
        """The rows without a fault, as a batch."""
        lines, columns, usual = table
        fine = self._are_observations if names is OBSERVATIONS else self._are_readings
        if not (usual or _are_texts(map(set, columns))) or not fine(*columns[2:4]):
            check = self._observation if names is OBSERVATIONS else self._reading
            kept = [n for n, record in enumerate(zip(*columns, strict=True)) if check(lines[n], *record)]
            lines, columns = [lines[n] for n in kept], [[column[n] for n in kept] for column in columns]
        licenses, counters, when, what, reports = columns
        return Batch(names is OBSERVATIONS, lines, licenses, counters, reports, when, what)

    def _are_readings(self, days: Column, quantities: Column) -> bool:
        return _all_match(QUANTITIES, quantities) and all(map(self._is_past, set(days)))

    def _is_past(self, day: str) -> bool:
        at = ordinal(day)
        return at is not None and at <= self.latest_day

    def _reading(self, line: int, license: str, counter: str, day: str, quantity: str, report: str) -> bool:
        """Whether one reading is fine; else its first fault is noted."""
        if not self._is_fine(line, READINGS, (license, counter, None, None, report)):
            return False
        if ordinal(day) is None:
            self.fault(line, "day", f"{day[:40]!r} is not a day such as 2025-01-31", "day")
        elif not self._is_past(day):
            self.fault(line, "day", f"{day} is still to come", "future")
        elif not ONE_QUANTITY.fullmatch(quantity):
            self.fault(line, "quantity", f"{quantity[:40]!r} is not a whole number from 0 to 1000000000000", "quantity")
        else:
            return True
        return False

    def _are_observations(self, when: Column, _: Column) -> bool:
        distinct = list(set(when))
        instants = _instants(distinct) if _all_match(INSTANTS, distinct) else []
        return bool(instants) and max(instants) <= self.latest

    def _observation(self, line: int, license: str, counter: str, at: str, subject: str, report: str) -> bool:
        """Whether one observation is fine; else its first fault is noted."""
        if not self._is_fine(line, OBSERVATIONS, (license, counter, None, subject, report)):
            return False
        instants = _instants([at]) if ONE_INSTANT.fullmatch(at) else []
        if not instants:
            wanted = "an instant with its offset, such as 2025-01-31T09:00:00Z"
            self.fault(line, "observed_at", f"{at[:40]!r} is not {wanted}", "instant")
        elif instants[0] > self.latest:
            self.fault(line, "observed_at", f"{at} is still to come", "future")
        else:
            return True
        return False

    def _is_fine(self, line: int, names: Sequence[str], values: Sequence[str | None]) -> bool:
        for name, value in zip(names, values, strict=True):
            if value is not None and (wrong := wrong_with(value)):
                self.fault(line, name, *wrong)
                return False
        return True


def _are_texts(columns: Iterable[Collection[str]]) -> bool:
    """Whether every value of the columns is fine; may doubt fine ones, never the other way round."""
    for values in columns:
        joined = "".join(values)
        if not joined.isprintable() or "" in values or max(map(len, values)) > MAX_FIELD:
            return False
        if " " in joined and any(value != value.strip() for value in values):
            return False
        if not joined.isascii() and not is_normalized("NFC", joined):
            return False
    return True


def wrong_with(value: str) -> tuple[str, str] | None:
    """What is wrong with a text, and its code."""
    if not value:
        return "is empty", "empty"
    if len(value) > MAX_FIELD:
        return f"is longer than {MAX_FIELD} characters", "too_long"
    if not value.isprintable():
        return "holds characters that cannot be printed", "control"
    if value != value.strip():
        return "begins or ends with a space", "space"
    return None if is_normalized("NFC", value) else ("is not in Unicode's composed form (NFC)", "unicode")


def _all_match(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    """Whether every value matches; a value with a comma in it would look like two, so they are counted."""
    joined = ",".join(values) + ","
    return joined.count(",") == len(values) and pattern.fullmatch(joined) is not None


@lru_cache(maxsize=65536)
def ordinal(day: str) -> int | None:
    """The day that a text names, if it is one."""
    try:
        return date.fromisoformat(day).toordinal() if ONE_DAY.fullmatch(day) else None
    except ValueError:
        return None


def _instants(texts: Sequence[str]) -> list[datetime]:
    """The instants of well-formed texts; none when one of them is not in the calendar."""
    try:
        return list(map(datetime.fromisoformat, texts))
    except ValueError:
        return []
