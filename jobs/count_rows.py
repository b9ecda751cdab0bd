"""The rows that a file of counts consists of, one by one or in batches of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import NamedTuple


class Read(NamedTuple):
    """A reading: so many users of a license's counter on a day (an ordinal)."""

    line: int
    license: str
    counter: str
    report: str
    day: int
    quantity: int


class Observed(NamedTuple):
    """A raw observation: a subject of a license's counter was seen at an instant."""

    line: int
    license: str
    counter: str
    report: str
    at: datetime
    subject: str


Row = Read | Observed


class Batch(NamedTuple):
    """Some rows of a file as columns, checked and otherwise as they were written.

    Shapes: columns of the same length. Of readings, `when` are ISO days and `what` plain quantities; of observations,
    `when` are ISO instants with an offset and `what` subjects.
    """

    observed: bool
    lines: Sequence[int]
    licenses: Sequence[str]
    counters: Sequence[str]
    reports: Sequence[str]
    when: Sequence[str]
    what: Sequence[str]

    def rows(self) -> Iterator[Row]:
        """The rows one by one."""
        place = (self.lines, self.licenses, self.counters, self.reports)
        if self.observed:
            return map(Observed, *place, map(datetime.fromisoformat, self.when), self.what)
        days = (date.fromisoformat(text).toordinal() for text in self.when)
        return map(Read, *place, days, map(int, self.what))

    def only(self, wanted: Callable[[str], bool]) -> Batch:
        """The rows whose license is wanted."""
        kept = [n for n, license in enumerate(self.licenses) if wanted(license)]
        return Batch(self.observed, *([column[n] for n in kept] for column in self[1:]))  # type: ignore[arg-type]


class CountRows:
    """A file of counts that is read while one goes through it: row by row, or batch by batch; every time anew."""

    def __init__(self, read: Callable[[], Iterator[Batch]]) -> None:
        self._read = read

    @property
    def batches(self) -> Iterator[Batch]:
        """The batches of another reading."""
        return self._read()

    def __iter__(self) -> Iterator[Row]:
        for batch in self.batches:
            yield from batch.rows()
