"""What a projection is: one question that can be asked, its tables, and how events change them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import psycopg

from domain.events import Event, decode

Cursor = psycopg.Cursor[Any]


class Entry(NamedTuple):
    """An event as it stands in the log; place comes first, so that entries are sorted as they are."""

    bucket: int
    position: int
    stream: UUID
    version: int
    topic: str
    state: bytes

    @property
    def event(self) -> Event:
        """The typed event. Raises: IntegrityError for one that this program does not know."""
        return decode(self.topic, self.state)


class Shared(Entry):
    """One that several projections take in: decoded once for all. What only one wants is not kept: that is quicker."""

    @cached_property
    def event(self) -> Event:
        """The typed event. Raises: IntegrityError for one that this program does not know."""
        return decode(self.topic, self.state)


class Projection:
    """One question that can be asked: its tables and how events change them.

    Shapes: `name` carries a version ("invoice_v1"), a new one is rebuilt beside the old; `topics` are first words of
    topics that matter. `apply` may be called with many events of many streams, in order inside each bucket.
    """

    name: ClassVar[str]
    tables: ClassVar[tuple[str, ...]]
    ddl: ClassVar[tuple[str, ...]]
    topics: ClassVar[frozenset[str]]

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        """Takes events in."""
        raise NotImplementedError
