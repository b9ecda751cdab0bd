"""The rows that a file of counts consists of."""

from __future__ import annotations

from datetime import datetime
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
