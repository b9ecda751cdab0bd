"""What the outer floors need of the world, as protocols; adapters satisfy them without a base class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from domain.events import Event

Rows = Mapping[str, Sequence[tuple[Any, ...]]]
"""Rows that must be exact and are written with the events: "table (column, …)" → tuples."""

NewEvent = tuple[UUID, int, Event]
"""An event to be appended: stream, version, body."""


class Append(Protocol):
    """One transaction on the log."""

    def lock(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Locks heads in ascending order and makes room for so many events; the position before the first of each."""

    def append(self, events: Sequence[NewEvent], command: UUID | None = None, body: bytes = b"") -> dict[int, int]:
        """Appends events to heads that are locked with room for them, or locks them now."""

    def rows(self, table: str, values: Iterable[tuple[Any, ...]], types: Sequence[str] = ()) -> None:
        """Adds rows by COPY; `table` names columns too: "coverage (bucket, stream)"; with all `types` it is faster."""

    def packed(self, table: str, rows: bytes) -> None:
        """Adds rows that are packed for a binary COPY already."""

    def nested(self) -> AbstractContextManager[Append]:
        """A part of the transaction that can fail alone: what it locked and wrote is undone with it."""

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Runs a statement inside the transaction."""


class Log(Protocol):
    """The event log as jobs see it."""

    def append(self, now: datetime | None = None) -> AbstractContextManager[Append]:
        """One transaction: committed when the block ends well, else undone."""

    def heads(self) -> dict[int, int]:
        """The last position of every bucket that has one."""
