"""What the cells of a count file may hold: plain ASCII digits, ISO days of this century, instants with their offset.

Batches of records are checked column by column, which is fast; only a batch with something wrong in it is gone
through row by row, to say what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import NoReturn
from unicodedata import is_normalized

from domain.errors import BadFile, Fault
from jobs.count_rows import Observed, Read, Row

READINGS = ("license", "counter", "day", "quantity", "report_id")
OBSERVATIONS = ("license", "counter", "observed_at", "subject", "report_id")
MAX_FIELD = 1000
MAX_FAULTS = 100
BATCH = 5000
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

Numbered = tuple[int, Sequence[str]]
"""A record and the line that it begins on."""

Make = Callable[[Sequence[int], Sequence[Sequence[str]]], Iterator[Row]]


class CellReader:
    """Turns records into rows, and collects faults until there are too many or the file ends."""

    def __init__(self, path: str, now: datetime) -> None:
        self.path = path
        self.faults: list[Fault] = []
        self.latest = now + TOLERANCE
        self.latest_day = now.toordinal() + 1

    def rows(
        self, records: Iterator[Numbered], progress: Progress | None, read_bytes: Callable[[], int]
    ) -> Iterator[Row]:
        """The rows behind the header. Raises: BadFile when the file has ended, or with the hundredth fault."""
        line, header = next(records, (1, ()))
        make, order = self._columns(line, header)
        count = 0
        while batch := list(islice(records, BATCH)):
            count += len(batch)
            fitting = self._of_width(batch, len(header))
            if fitting:
                lines, fields = zip(*fitting, strict=True)
                columns = list(zip(*fields, strict=True))
                yield from make(lines, [columns[n] for n in order])
            if progress:
                progress(count, read_bytes())
        if self.faults:
            raise BadFile(self.faults)
        if progress and not count:
            progress(0, read_bytes())

    def fault(self, line: int, field: str, message: str, code: str) -> None:
        """Notes a fault. Raises: BadFile when there are too many to be read."""
        self.faults.append(Fault(self.path, line, field, message, code))
        if len(self.faults) >= MAX_FAULTS:
            raise BadFile(self.faults)

    def _of_width(self, batch: list[Numbered], width: int) -> list[Numbered]:
        if all(len(record) == width for _, record in batch):
            return batch
        for line, record in batch:
            if len(record) != width:
                self.fault(line, "", f"has {len(record)} fields, the header has {width}", "width")
        return [one for one in batch if len(one[1]) == width]

    def _columns(self, line: int, header: Sequence[str]) -> tuple[Make, list[int]]:
        if not header:
            self._refuse(line, "", "the file is empty", "empty")
        if repeated := next((name for name in header if header.count(name) > 1), None):
            self._refuse(line, repeated, "the column stands twice in the header", "duplicate_column")
        observed = "subject" in header or "observed_at" in header
        wanted, make = (OBSERVATIONS, self._observed) if observed else (READINGS, self._read)
        for name in wanted:
            if name not in header:
                self._refuse(line, name, f"the column is missing: {','.join(wanted)} are needed", "missing_column")
        if extra := next((name for name in header if name not in wanted), None):
            shown = repr(extra[:40])
            self._refuse(line, extra[:40], f"{shown} is no column: {','.join(wanted)} are", "unknown_column")
        return make, [header.index(name) for name in wanted]

    def _refuse(self, line: int, field: str, message: str, code: str) -> NoReturn:
        raise BadFile([Fault(self.path, line, field, message, code)])

    def _read(self, lines: Sequence[int], columns: Sequence[Sequence[str]]) -> Iterator[Row]:
        licenses, counters, days, quantities, reports = columns
        ordinals = list(map(ordinal, days))
        fine = _are_texts(set(licenses), set(counters), reports) and _all_match(QUANTITIES, quantities)
        if fine and None not in ordinals and max(ordinals) <= self.latest_day:  # type: ignore[type-var, operator]
            return map(Read, lines, licenses, counters, reports, ordinals, map(int, quantities))  # type: ignore[arg-type]
        return iter([row for row in map(self._read_one, lines, *columns) if row])

    def _read_one(self, line: int, license: str, counter: str, day: str, quantity: str, report: str) -> Read | None:
        at = ordinal(day)
        if not self._is_fine(line, READINGS, (license, counter, None, None, report)):
            return None
        if at is None:
            self.fault(line, "day", f"{day[:40]!r} is not a day such as 2025-01-31", "day")
        elif at > self.latest_day:
            self.fault(line, "day", f"{day} is still to come", "future")
        elif not ONE_QUANTITY.fullmatch(quantity):
            self.fault(line, "quantity", f"{quantity[:40]!r} is not a whole number from 0 to 1000000000000", "quantity")
        else:
            return Read(line, license, counter, report, at, int(quantity))
        return None

    def _observed(self, lines: Sequence[int], columns: Sequence[Sequence[str]]) -> Iterator[Row]:
        licenses, counters, instants, subjects, reports = columns
        if _are_texts(set(licenses), set(counters), subjects, reports) and _all_match(INSTANTS, instants):
            at = _instants(instants)
            if at and max(at) <= self.latest:
                return map(Observed, lines, licenses, counters, reports, at, subjects)
        return iter([row for row in map(self._observed_one, lines, *columns) if row])

    def _observed_one(
        self, line: int, license: str, counter: str, at: str, subject: str, report: str
    ) -> Observed | None:
        if not self._is_fine(line, OBSERVATIONS, (license, counter, None, subject, report)):
            return None
        instant = _instants([at]) if ONE_INSTANT.fullmatch(at) else []
        if not instant:
            wanted = "an instant with its offset, such as 2025-01-31T09:00:00Z"
            self.fault(line, "observed_at", f"{at[:40]!r} is not {wanted}", "instant")
        elif instant[0] > self.latest:
            self.fault(line, "observed_at", f"{at} is still to come", "future")
        else:
            return Observed(line, license, counter, report, instant[0], subject)
        return None

    def _is_fine(self, line: int, names: Sequence[str], values: Sequence[str | None]) -> bool:
        for name, value in zip(names, values, strict=True):
            if value is not None and (wrong := _wrong_with(value)):
                self.fault(line, name, *wrong)
                return False
        return True


def _are_texts(*columns: Collection[str]) -> bool:
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


def _wrong_with(value: str) -> tuple[str, str] | None:
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
