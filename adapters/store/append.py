"""One transaction on the log: heads first and ascending, then rows, then events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from struct import Struct
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from domain.errors import IntegrityError
from domain.events import encode
from domain.identity import bucket_of
from domain.ports import NewEvent
from jobs.fields import EPOCH, MICROSECOND, field, word

EVENT_COLUMNS = "event (bucket, position, recorded_at, stream, version, topic, state)"
MESSAGE = 1 << 17
"""Bytes of rows sent together: the server makes room for a message anew each time, and begins when it is whole."""
COPY_BEGIN, COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"

_PLACE = Struct(">hihiqiqi16sii")
"""An event's fixed columns, each behind its length, behind the number of columns."""

_Stored = tuple[UUID, int, str, bytes]
"""An event as it is stored: stream, version, topic, body."""


class Append:
    """The appending transaction; see domain.ports.Append for what callers may rely on."""

    def __init__(self, cursor: psycopg.Cursor[Any], now: datetime | None) -> None:
        self._cursor, self._now = cursor, now
        self._highest = -1
        self._room: dict[int, tuple[int, int, datetime]] = {}

    def lock(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Locks heads in ascending order and makes room for so many events (0: as many as come) in each.

        Raises: IntegrityError when a bucket would be locked after a higher one, which could deadlock.
        """
        buckets = sorted(counts)
        if buckets and buckets[0] <= self._highest:
            raise IntegrityError(f"bucket {buckets[0]} would be locked after {self._highest}")
        # The nested loop calls the function row by row in the order of the array: ascending.
        rows = self._cursor.execute(
            "SELECT l.b, a.first, a.at FROM unnest(%b::integer[], %b::integer[]) AS l(b, n), "
            "LATERAL advance(l.b::smallint, l.n, %s) a",
            [buckets, [counts[bucket] for bucket in buckets], self._now],
        ).fetchall()
        for bucket, first, at in rows:
            self._room[bucket] = (first, counts[bucket], at)
        self._highest = max(self._highest, *buckets) if buckets else self._highest
        return {bucket: first for bucket, first, _ in rows}

    def append(self, events: Sequence[NewEvent], command: UUID | None = None, body: bytes = b"") -> dict[int, int]:
        """Appends events; heads that are not locked yet are locked now."""
        return self._append([(s, v, e.stored_as, encode(e)) for s, v, e in events], command, body)

    def events(self, events: Sequence[StoredEvent], command: UUID | None = None, body: bytes = b"") -> dict[int, int]:
        """Appends stored events, in order inside each bucket; the position before the first of each bucket."""
        stored = [(e.originator_id, e.originator_version, e.topic, e.state) for e in events]
        return self._append(stored, command, body)  # type: ignore[arg-type]

    def _append(self, events: Sequence[_Stored], command: UUID | None, body: bytes) -> dict[int, int]:
        placed: dict[int, list[_Stored]] = defaultdict(list)
        for event in events:
            placed[bucket_of(event[0])].append(event)
        missing = {bucket: len(found) for bucket, found in placed.items() if bucket not in self._room}
        if missing:
            self.lock(missing)
        first = {bucket: self._take(bucket, len(found)) for bucket, found in placed.items()}
        if command is not None:
            done = [(b, command, body, len(found), first[b]) for b, found in sorted(placed.items())]
            self.rows("command (bucket, command, body, events, first)", done)
        self._copy(placed, first)
        return first

    def _take(self, bucket: int, count: int) -> int:
        """Positions for events; a head that we hold can give more, without a gap."""
        first, room, at = self._room[bucket]
        if count > room:
            self._cursor.execute("SELECT advance(%s::smallint, %s, %s)", [bucket, count - room, self._now])
            room = count
        self._room[bucket] = (first + count, room - count, at)
        return first

    def _copy(self, placed: Mapping[int, Sequence[_Stored]], first: Mapping[int, int]) -> None:
        rows: list[bytes] = []
        for bucket, events in sorted(placed.items()):
            at = (self._room[bucket][2] - EPOCH) // MICROSECOND
            for position, (stream, version, topic, state) in enumerate(events, start=first[bucket] + 1):
                place = _PLACE.pack(7, 2, bucket, 8, position, 8, at, 16, stream.bytes, 4, version)
                rows += (place, word(topic), field(state))
        self.packed(EVENT_COLUMNS, b"".join(rows))

    def rows(self, table: str, values: Iterable[tuple[Any, ...]], types: Sequence[str] = ()) -> None:
        """Adds rows by COPY; `table` names columns too: "coverage (bucket, stream)"; with all `types` it is faster."""
        form = " (FORMAT BINARY)" if types else ""
        with self._cursor.copy(f"COPY {table} FROM STDIN{form}".encode()) as copy:
            if types:
                copy.set_types(types)
            for row in values:
                copy.write_row(row)

    def packed(self, table: str, rows: bytes) -> None:
        """Adds rows that are packed for a binary COPY already."""
        with self._cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as copy:
            copy.write(COPY_BEGIN)
            for start in range(0, len(rows), MESSAGE):
                copy.write(rows[start : start + MESSAGE])
            copy.write(COPY_END)

    def remove(self, table: str, values: Iterable[tuple[Any, ...]]) -> None:
        """Takes rows away by the columns that `table` names.

        Raises: IntegrityError when one of them is not there: somebody else ended it.
        """
        name, _, columns = table.rstrip(")").partition(" (")
        given = list(values)
        marks = ", ".join(["(" + ", ".join(["%s"] * len(row)) + ")" for row in given])
        self._cursor.execute(
            f"DELETE FROM {name} WHERE ({columns}) IN (VALUES {marks})".encode(),
            [cell for row in given for cell in row],
        )
        if self._cursor.rowcount != len(given):
            raise IntegrityError(f"{len(given) - self._cursor.rowcount} rows of {name} are not there to be ended")

    @contextmanager
    def nested(self) -> Iterator[Append]:
        """A part of the transaction that can fail alone: what it locked and wrote is undone with it."""
        with self._cursor.connection.transaction():
            part = Append(self._cursor, self._now)
            part._highest, part._room = self._highest, dict(self._room)
            yield part
        self._highest, self._room = part._highest, part._room

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Runs a statement inside the transaction."""
        self._cursor.execute(statement.encode(), values)
        return self._cursor.fetchall() if self._cursor.description else []
