"""Follows the log into rows: in batches, each with its tracking position in one transaction, by many processes.

Inside a bucket positions have no gaps and commit in order, so "after what is tracked" never skips an event. A poison
event parks its stream and is shown; other streams go on. An event that this program does not know stops the follower:
reading must never skip. Source: ADR-0011.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.errors import IntegrityError, NotFound
from domain.events import Event, decode
from domain.identity import ALL_BUCKETS

SLOT_WIDTH = 64
SLOTS = -(-ALL_BUCKETS // SLOT_WIDTH)
BATCH = 20_000
SLOTS_AT_ONCE = 4

Cursor = psycopg.Cursor[Any]


class Entry(NamedTuple):
    """An event as it stands in the log."""

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


class Stretch(NamedTuple):
    """Positions of one bucket that are taken in together: those after `after`, up to `upto`."""

    bucket: int
    after: int
    upto: int


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


DIRTY = """
SELECT t.bucket, t.position, h.position FROM tracking t JOIN bucket_head h ON h.bucket = t.bucket
WHERE t.projection = %s AND h.position > t.position ORDER BY t.bucket"""
DIRTY_OF = DIRTY.replace("ORDER BY", "AND t.bucket = ANY(%b::smallint[]) ORDER BY")
CLAIM = """
SELECT slot FROM follower_slot WHERE projection = %s AND slot = ANY(%s::smallint[])
ORDER BY slot LIMIT %s FOR UPDATE SKIP LOCKED"""
READ = """
SELECT e.* FROM unnest(%b::smallint[], %b::bigint[], %b::bigint[]) AS s(bucket, after, upto), LATERAL (
SELECT bucket, position, stream, version, topic, state FROM event
WHERE bucket = s.bucket AND position > s.after AND position <= s.upto
AND split_part(topic, '.', 1) = ANY(%b) OFFSET 0) e"""
"""One index range for each stretch: OFFSET keeps the planner from joining with the whole log. Place comes first,
so that rows are sorted as they are."""
TRACK = """
UPDATE tracking t SET position = n.position FROM unnest(%b::smallint[], %b::bigint[]) AS n(bucket, position)
WHERE t.projection = %s AND t.bucket = n.bucket"""
PARKED = "SELECT DISTINCT stream FROM parked_event WHERE projection = %s AND bucket = ANY(%b::smallint[])"
PARK = "INSERT INTO parked_event (bucket, projection, stream, position, error) VALUES (%s, %s, %s, %s, %s)"


class Follower:
    """Brings projections up to the log."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], projections: Sequence[Projection]) -> None:
        self.pool = pool
        self.projections = {projection.name: projection for projection in projections}
        with pool.connection() as connection:
            for name in self.projections:
                _register(connection, name)

    def step(self) -> int:
        """One batch for each projection; how many events were taken in."""
        return sum(self._step(projection) for projection in self.projections.values())

    def catch_up(self, progress: Callable[[int], None] | None = None) -> int:
        """Steps until everything that was in the log at the beginning is taken in, by whomever."""
        cut, total = self.heads(), 0
        while not self.reached(cut):
            done = self.step()
            total += done
            if progress:
                progress(done)
            if not done:
                time.sleep(0.02)
        return total

    def heads(self) -> dict[int, int]:
        """The last position of every bucket that has one."""
        with self.pool.connection() as connection:
            return dict(connection.execute("SELECT bucket, position FROM bucket_head WHERE position > 0").fetchall())

    def reached(self, cut: Mapping[int, int]) -> bool:
        """Whether all projections have passed these positions."""
        behind = (
            "SELECT count(*) FROM tracking t JOIN unnest(%b::smallint[], %b::bigint[]) AS c(bucket, position) "
            "ON c.bucket = t.bucket WHERE t.projection = ANY(%s) AND t.position < c.position"
        )
        with self.pool.connection() as connection:
            row = connection.execute(behind, [list(cut), list(cut.values()), list(self.projections)]).fetchone()
        return row == (0,)

    def lag(self) -> dict[str, int]:
        """How many events each projection has still to take in."""
        with self.pool.connection() as connection:
            return {
                name: sum(head - at for _, at, head in connection.execute(DIRTY, [name]).fetchall())
                for name in self.projections
            }

    def _step(self, projection: Projection) -> int:
        with self.pool.connection() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
            return self._follow(cursor, projection, self._claim(cursor, projection))

    def _claim(self, cursor: Cursor, projection: Projection) -> list[Stretch]:
        """Dirty buckets that no other process works on, each with as much of it as makes about one batch together."""
        dirty = cursor.execute(DIRTY, [projection.name]).fetchall()
        slots = sorted({bucket // SLOT_WIDTH for bucket, *_ in dirty})
        if not slots:
            return []
        free = {slot for (slot,) in cursor.execute(CLAIM, [projection.name, slots, SLOTS_AT_ONCE]).fetchall()}
        wanted = [bucket for bucket, *_ in dirty if bucket // SLOT_WIDTH in free]
        # Another process may have moved these buckets on before their slots were ours: look again.
        behind = cursor.execute(DIRTY_OF, [projection.name, wanted]).fetchall()
        room = max(BATCH // max(len(behind), 1), 20)
        return [Stretch(bucket, after, min(head, after + room)) for bucket, after, head in behind]

    def _follow(self, cursor: Cursor, projection: Projection, stretches: Sequence[Stretch]) -> int:
        """Takes stretches in and moves the tracking with them; positions have no gaps, so none is skipped."""
        if not stretches:
            return 0
        buckets, after, upto = (list(column) for column in zip(*stretches, strict=True))
        rows = cursor.execute(READ, [buckets, after, upto, list(projection.topics)]).fetchall()
        self._take_in(cursor, projection, list(map(Entry._make, sorted(rows))), buckets)
        cursor.execute(TRACK, [buckets, upto, projection.name])
        return sum(one.upto - one.after for one in stretches)

    def _take_in(
        self, cursor: Cursor, projection: Projection, entries: Sequence[Entry], buckets: Sequence[int]
    ) -> None:
        parked = {stream for (stream,) in cursor.execute(PARKED, [projection.name, list(buckets)]).fetchall()}
        waiting = [entry for entry in entries if entry.stream in parked] if parked else []
        healthy = [entry for entry in entries if entry.stream not in parked] if waiting else entries
        try:
            with cursor.connection.transaction():
                projection.apply(cursor, healthy)
                for entry in waiting:
                    self._park(cursor, projection, entry, "an earlier event of the stream is parked")
        except IntegrityError:
            raise
        except Exception:
            self._one_by_one(cursor, projection, entries, parked)

    def _one_by_one(self, cursor: Cursor, projection: Projection, entries: Sequence[Entry], parked: set[UUID]) -> None:
        """Finds the poison in a batch: its stream is parked from there on, everything else is taken in."""
        for entry in entries:
            if entry.stream in parked:
                self._park(cursor, projection, entry, "an earlier event of the stream is parked")
                continue
            try:
                with cursor.connection.transaction():
                    projection.apply(cursor, [entry])
            except IntegrityError:
                raise
            except Exception as error:
                parked.add(entry.stream)
                self._park(cursor, projection, entry, f"{type(error).__name__}: {error}")

    @staticmethod
    def _park(cursor: Cursor, projection: Projection, entry: Entry, error: str) -> None:
        cursor.execute(PARK, [entry.bucket, projection.name, entry.stream, entry.position, error[:1000]])

    def parked(self) -> list[tuple[str, int, UUID, int, str]]:
        """What waits for a mend: (projection, bucket, stream, position, error), the first of each stream first."""
        with self.pool.connection() as connection:
            return connection.execute(
                "SELECT projection, bucket, stream, position, error FROM parked_event ORDER BY 1, 2, 4"
            ).fetchall()

    def retry(self, name: str) -> int:
        """Takes parked events in again, in order; a stream that fails again stays parked from there on."""
        projection = self._named(name)
        with self.pool.connection() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
            _lock_slots(cursor, name)
            rows = cursor.execute(
                "DELETE FROM parked_event p USING event e WHERE p.projection = %s AND e.bucket = p.bucket "
                "AND e.position = p.position RETURNING e.bucket, e.position, e.stream, e.version, e.topic, e.state",
                [name],
            ).fetchall()
            self._one_by_one(cursor, projection, sorted(Entry(*row) for row in rows), set())
            return len(rows)

    def rebuild(self, name: str, progress: Callable[[int], None] | None = None) -> int:
        """Makes a projection's rows again from the whole log, in one transaction.

        Readers see the old rows until it ends, appends go on, and what they add is followed afterwards.
        Raises: NotFound for a projection that is not there.
        """
        projection, total = self._named(name), 0
        with self.pool.connection() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
            _lock_slots(cursor, name)
            for table in projection.tables:
                cursor.execute(f"DELETE FROM {table}".encode())
            cursor.execute("DELETE FROM parked_event WHERE projection = %s", [name])
            cursor.execute("UPDATE tracking SET position = 0 WHERE projection = %s", [name])
            for stretches in self._batches(cursor):
                done = self._follow(cursor, projection, stretches)
                total += done
                if progress:
                    progress(done)
        return total

    @staticmethod
    def _batches(cursor: Cursor) -> Iterator[list[Stretch]]:
        """The whole log in stretches, about a batch of events together."""
        batch: list[Stretch] = []
        held = 0
        for bucket, head in cursor.execute("SELECT bucket, position FROM bucket_head WHERE position > 0").fetchall():
            for after in range(0, head, BATCH):
                batch.append(Stretch(bucket, after, min(after + BATCH, head)))
                held += batch[-1].upto - after
                if held >= BATCH:
                    yield batch
                    batch, held = [], 0
        if batch:
            yield batch

    def _named(self, name: str) -> Projection:
        try:
            return self.projections[name]
        except KeyError:
            raise NotFound(f"there is no projection {name}: {', '.join(self.projections)}") from None


def _lock_slots(cursor: Cursor, name: str) -> None:
    cursor.execute("SELECT slot FROM follower_slot WHERE projection = %s ORDER BY slot FOR UPDATE", [name])


def _register(connection: psycopg.Connection, name: str) -> None:
    """Makes the tracking rows and slots of a projection, once."""
    known = connection.execute("SELECT count(*) FROM follower_slot WHERE projection = %s", [name]).fetchone()
    if known == (SLOTS,):
        return
    connection.execute(
        "INSERT INTO tracking SELECT %s, b, 0 FROM generate_series(0, %s) b ON CONFLICT DO NOTHING",
        [name, ALL_BUCKETS - 1],
    )
    connection.execute(
        "INSERT INTO follower_slot SELECT %s, s FROM generate_series(0, %s) s ON CONFLICT DO NOTHING",
        [name, SLOTS - 1],
    )
