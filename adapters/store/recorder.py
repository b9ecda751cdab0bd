"""The bucketed log as a recorder of the eventsourcing library: no table locks, no global sequence, nothing skipped.

The head row of a bucket is updated in the appending transaction, so that inside a bucket the order of commits is the
order of positions and positions have no gaps. Heads are locked in ascending order and before any other row.
The walk over the whole log is ordered by (bucket, position): right for export and audit, wrong for tailing, which is
what followers are for; `bucket(n)` is an ordinary recorder of one bucket. Source: ADR-0002.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    ApplicationRecorder,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Subscription,
)
from eventsourcing.persistence import IntegrityError as RecordedAlready
from psycopg_pool import ConnectionPool

from adapters.store.append import Append
from adapters.store.one_event import append_one
from domain.identity import ALL_BUCKETS, bucket_of, name_bucket
from domain.ports import Rows

SHIFT = 48
ATTEMPTS = 5

COLUMNS = "stream, version, topic, state"


class AlreadyDone(RecordedAlready):
    """A command with this id is in the log."""


class BucketedRecorder(ApplicationRecorder):
    """Adds events to the log and reads them.

    Shapes: notification ids of the whole log are `bucket << 48 | position`.
    """

    def __init__(self, pool: ConnectionPool[psycopg.Connection]) -> None:
        self.pool = pool

    # -- writing

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        command: UUID | None = None,
        body: bytes = b"",
        rows: Rows | None = None,
        ended: Rows | None = None,
        now: datetime | None = None,
        **_: Any,
    ) -> Sequence[int] | None:
        """Appends events, with rows that must be exact, in one transaction.

        Shapes: `rows` to add and `ended` to take away, as table with columns → tuples. A repeat of a lost
        acknowledgement is recognised by the command id, or by the same bytes at the same versions. Raises: the
        library's IntegrityError when a version is taken, AlreadyDone when the command is in the log, OperationalError
        when the database does not answer.
        """
        if not stored_events and not rows:
            return []
        for event in stored_events:
            if bucket_of(_uuid(event)) >= ALL_BUCKETS:
                raise ProgrammingError(f"{event.originator_id} is not an identifier of this log: it names no bucket")
        unsure = False
        for attempt in range(ATTEMPTS):
            try:
                first = self._insert(stored_events, command, body, rows or {}, ended or {}, now)
                return _numbered(stored_events, first)
            except (psycopg.IntegrityError, psycopg.errors.InternalError_) as error:
                found = self._found(stored_events, command) if unsure else None
                if found is not None:
                    return _numbered(stored_events, found)
                raise self._refused(stored_events, command, error) from error
            except psycopg.OperationalError as error:
                unsure |= error.sqlstate is None
                if attempt + 1 == ATTEMPTS:
                    raise OperationalError(str(error)) from error
                if unsure and (found := self._found_later(stored_events, command)) is not None:
                    return _numbered(stored_events, found)
                time.sleep(0.05 * 2**attempt * random.random())
        raise AssertionError("unreachable")

    def _insert(
        self,
        events: Sequence[StoredEvent],
        command: UUID | None,
        body: bytes,
        rows: Rows,
        ended: Rows,
        now: datetime | None,
    ) -> dict[int, int]:
        if len(events) == 1 and not rows and not ended:
            return self._insert_one(events[0], command, body, now)
        with self.append(now) as append:
            first = append.events(events, command, body)
            for table, values in ended.items():
                append.remove(table, values)
            for table, values in rows.items():
                append.rows(table, values)
            return first

    def _insert_one(
        self, event: StoredEvent, command: UUID | None, body: bytes, now: datetime | None
    ) -> dict[int, int]:
        stream = _uuid(event)
        bucket = bucket_of(stream)
        with self.pool.connection() as connection:
            return {bucket: append_one(connection, bucket, stream, event, command, body, now)}

    @contextmanager
    def append(self, now: datetime | None = None) -> Iterator[Append]:
        """One transaction for bulk and numbered work: lock heads, add rows, take numbers, append events."""
        with self.pool.connection() as connection:
            connection.autocommit = False
            with connection.transaction(), connection.cursor(binary=True) as cursor:
                yield Append(cursor, now)

    # -- after a doubtful error

    def _refused(self, events: Sequence[StoredEvent], command: UUID | None, error: psycopg.Error) -> Exception:
        """What to tell the caller: asked of the tables, since constraint names do not survive distribution."""
        if command is not None and events and self.done(bucket_of(_uuid(events[0])), command) is not None:
            return AlreadyDone(str(command))
        if isinstance(error, psycopg.IntegrityError) or self._versions_taken(events):
            return RecordedAlready(str(error))
        return OperationalError(str(error))

    def _found_later(self, events: Sequence[StoredEvent], command: UUID | None) -> dict[int, int] | None:
        try:
            return self._found(events, command)
        except psycopg.OperationalError:
            return None

    def _found(self, events: Sequence[StoredEvent], command: UUID | None) -> dict[int, int] | None:
        """Where the events stand if this very append was committed although nobody heard of it."""
        buckets = sorted({bucket_of(_uuid(event)) for event in events})
        if command is not None:
            first = {bucket: at for bucket in buckets if (at := self.done(bucket, command)) is not None}
            return first if len(first) == len(buckets) else None
        first = {}
        for event in events:
            at = self._position(event)
            if at is None:
                return None
            bucket = bucket_of(_uuid(event))
            first[bucket] = min(first.get(bucket, at - 1), at - 1)
        return first

    def _position(self, event: StoredEvent) -> int | None:
        with self.pool.connection() as connection:
            row = connection.execute(
                "SELECT position FROM event WHERE bucket = %s AND stream = %s AND version = %s AND state = %b",
                [bucket_of(_uuid(event)), event.originator_id, event.originator_version, event.state],
            ).fetchone()
        return row[0] if row else None

    def _versions_taken(self, events: Sequence[StoredEvent]) -> bool:
        with self.pool.connection() as connection:
            for event in events:
                place = [bucket_of(_uuid(event)), event.originator_id, event.originator_version]
                taken = "SELECT 1 FROM event WHERE bucket = %s AND stream = %s AND version = %s"
                if connection.execute(taken, place).fetchone():
                    return True
        return False

    def done(self, bucket: int, command: UUID) -> int | None:
        """The position before the first event of a command that was carried out in a bucket."""
        with self.pool.connection() as connection:
            row = connection.execute(
                "SELECT first FROM command WHERE bucket = %s AND command = %s", [bucket, command]
            ).fetchone()
        return row[0] if row else None

    def said(self, buckets: Sequence[int], command: UUID) -> tuple[bytes, str, bytes] | None:
        """The digest of the body that a command was carried out with in any of the buckets, and its first event."""
        with self.pool.connection() as connection:
            return connection.execute(
                "SELECT c.body, e.topic, e.state FROM command c JOIN event e ON e.bucket = c.bucket "
                "AND e.position = c.first + 1 WHERE c.bucket = ANY(%s::smallint[]) AND c.command = %s LIMIT 1",
                [list(buckets), command],
            ).fetchone()

    # -- reading

    def heads(self) -> dict[int, int]:
        """The last position of every bucket that has one."""
        with self.pool.connection() as connection:
            return dict(connection.execute("SELECT bucket, position FROM bucket_head WHERE position > 0").fetchall())

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of one stream, in order."""
        order = "DESC" if desc else "ASC"
        statement = (
            f"SELECT {COLUMNS} FROM event WHERE bucket = %s AND stream = %s AND version > %s "
            f"AND version <= %s ORDER BY version {order} LIMIT %s"
        )
        stream = originator_id if isinstance(originator_id, UUID) else UUID(originator_id)
        values = [bucket_of(stream), stream, gt or 0, 2**31 - 1 if lte is None else lte, limit]
        with self.pool.connection() as connection, connection.cursor(binary=True) as cursor:
            return [StoredEvent(*row) for row in cursor.execute(statement.encode(), values)]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Events of the whole log in the order (bucket, position)."""
        low = max((start or 0) + (not inclusive_of_start), 1)
        return self.notifications(low, 2**62 if stop is None else stop, limit, topics)

    def notifications(self, low: int, high: int, limit: int, topics: Sequence[str]) -> list[Notification]:
        """The events between two notification ids, both inclusive."""
        mask = (1 << SHIFT) - 1
        statement = (
            f"SELECT bucket, position, {COLUMNS} FROM event WHERE (bucket, position) >= (%s, %s) "
            "AND (bucket, position) <= (%s, %s) AND (%s::text[] IS NULL OR topic = ANY(%s::text[])) "
            "ORDER BY bucket, position LIMIT %s"
        )
        wanted = list(topics) or None
        values = [low >> SHIFT, low & mask, high >> SHIFT, high & mask, wanted, wanted, limit]
        with self.pool.connection() as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(statement.encode(), values).fetchall()
        return [Notification(s, v, t, b, id=(bucket << SHIFT) + at) for bucket, at, s, v, t, b in rows]

    def resolve(self, kind: int, names: Sequence[str]) -> dict[str, UUID]:
        """The identifiers of things by the references that people use; those that are not there are left out."""
        buckets = [name_bucket(name) for name in names]
        statement = (
            "SELECT d.name, d.id FROM directory d JOIN unnest(%s::smallint[], %s::text[]) AS n(bucket, name) "
            "ON d.bucket = n.bucket AND d.name = n.name WHERE d.kind = %s"
        )
        with self.pool.connection() as connection:
            return dict(connection.execute(statement, [buckets, list(names), kind]).fetchall())

    def reference_of(self, kind: int, identifier: UUID) -> str:
        """The reference that people use for a thing."""
        return self.references(kind, [identifier]).get(identifier, str(identifier))

    def references(self, kind: int, identifiers: Iterable[UUID]) -> dict[UUID, str]:
        """The references that people use for things."""
        statement = "SELECT id, name FROM directory WHERE kind = %s AND id = ANY(%s::uuid[])"
        with self.pool.connection() as connection:
            return dict(connection.execute(statement, [kind, list(identifiers)]).fetchall())

    def names(self, kind: int, after: str = "", limit: int = 10_000) -> list[str]:
        """The references of things of a kind, in order, behind one."""
        statement = "SELECT name FROM directory WHERE kind = %s AND name > %s ORDER BY name LIMIT %s"
        with self.pool.connection() as connection:
            return [name for (name,) in connection.execute(statement, [kind, after, limit]).fetchall()]

    def max_notification_id(self) -> int | None:
        """The end of the walk over the whole log."""
        heads = self.heads()
        return max((bucket << SHIFT) + position for bucket, position in heads.items()) if heads else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Refused: one number cannot be the position in all buckets.

        Raises: ProgrammingError, saying what to use.
        """
        raise ProgrammingError("follow the log with projections.follower, or read recorder.bucket(n)")

    def bucket(self, bucket: int) -> BucketView:
        """An ordinary recorder of one bucket: ids 1, 2, 3 without gaps."""
        return BucketView(self, bucket)


class BucketView(ApplicationRecorder):
    """One bucket of the log, as the library documents a recorder."""

    def __init__(self, whole: BucketedRecorder, bucket: int) -> None:
        self.whole, self.number = whole, bucket

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Appends events whose ids lie in this bucket."""
        ids = self.whole.insert_events(stored_events, **kwargs)
        return None if ids is None else [number - (self.number << SHIFT) for number in ids]

    def select_events(self, originator_id: UUID | str, **kwargs: Any) -> Sequence[StoredEvent]:
        """The events of one stream, in order."""
        return self.whole.select_events(originator_id, **kwargs)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The bucket's events by position."""
        base = self.number << SHIFT
        low = base + max((start or 0) + (not inclusive_of_start), 1)
        high = base + ((1 << SHIFT) - 1 if stop is None else stop)
        found = self.whole.notifications(low, high, limit, topics)
        return [Notification(n.originator_id, n.originator_version, n.topic, n.state, id=n.id - base) for n in found]

    def max_notification_id(self) -> int | None:
        """The last position of the bucket."""
        return self.whole.heads().get(self.number)

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Refused: appends do not notify, because that would undo what buckets are for.

        Raises: ProgrammingError, saying what to use.
        """
        raise ProgrammingError("follow the log with projections.follower, or read select_notifications again")


def _uuid(event: StoredEvent) -> UUID:
    identifier = event.originator_id
    return identifier if isinstance(identifier, UUID) else UUID(identifier)


def _numbered(events: Sequence[StoredEvent], first: Mapping[int, int]) -> list[int]:
    running: dict[int, int] = defaultdict(int)
    ids = []
    for event in events:
        bucket = bucket_of(_uuid(event))
        running[bucket] += 1
        ids.append((bucket << SHIFT) + first[bucket] + running[bucket])
    return ids
