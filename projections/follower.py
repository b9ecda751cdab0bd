"""Follows the log into rows: each new event is read and decoded once, for all projections that stand there.

Inside a bucket positions have no gaps and commit in order, so "after what is tracked" never skips an event. A step
locks the tracking of what it takes, passing over what others have locked, and writes rows and tracking in one
transaction. Projections go in groups: those that stand close together share a step, one that is far behind, as a new
one is, has steps of its own until it has come up with the others. Source: ADR-0011, ADR-0031.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.errors import IntegrityError, NotFound
from domain.identity import ALL_BUCKETS
from projections import parking
from projections.calm import calm, tidy
from projections.projection import Projection
from projections.step import BATCH, Stretch, TakeIn, claim, follow, whole_log

HEADS = "SELECT bucket, position FROM bucket_head WHERE position <> (%s::bigint[])[bucket + 1]"
STANDING = """
SELECT bucket, position, array_agg(projection) FROM tracking
WHERE bucket = ANY(%s::smallint[]) AND projection = ANY(%s) GROUP BY bucket, position"""
LOCK = f"SELECT hold(b::smallint, %s) FROM generate_series(0, {ALL_BUCKETS - 1}) b"
"""Keeps followers away from a projection until the end of the transaction; bucket by bucket, in rising order."""
LAG = """
SELECT t.projection, sum(h.position - t.position)::bigint FROM tracking t JOIN bucket_head h ON h.bucket = t.bucket
WHERE t.projection = ANY(%s) GROUP BY t.projection"""
REGISTERED = "SELECT projection FROM tracking WHERE bucket = %s AND projection = ANY(%s)"
REGISTER = """
INSERT INTO tracking (projection, bucket, position)
SELECT p, b, 0 FROM unnest(%s::text[]) p, generate_series(0, %s) b ORDER BY p, b ON CONFLICT DO NOTHING"""
"""In one order, whatever order a program names them in: two that begin at the same moment wait for each other once."""

Waiting = set[tuple[str, int]]
"""Projections that have not come up to the head of a bucket."""


class Behind(NamedTuple):
    """Projections that stand at one position of a bucket, and how far the bucket has come."""

    bucket: int
    head: int
    position: int
    projections: Sequence[str]


class Follower:
    """Brings projections up to the log; any number of followers may, in any number of processes."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection], projections: Sequence[Projection]) -> None:
        self.pool = pool
        self.projections = {projection.name: projection for projection in projections}
        self._turn = random.randrange(ALL_BUCKETS)
        # Tracking never goes back: a bucket that all were seen at the head of is looked at again when the head moves.
        self._reached = [0] * ALL_BUCKETS
        with pool.connection() as connection:
            _register(connection, list(self.projections))

    def step(self) -> int:
        """One batch for each group of projections; how many events were taken in."""
        seen = self._look()
        return self._follow(seen, seen)

    def catch_up(self, progress: Callable[[int], None] | None = None) -> int:
        """Steps until everything that was in the log at the beginning is taken in, by whomever.

        Only what it waits for is followed: buckets that others go on adding to cannot keep it from ending.
        """
        behind = seen = self._look()
        cut, total = {one.bucket: one.head for one in seen}, 0
        while behind:
            done = self._follow(behind, seen)
            total += done
            if progress:
                progress(done)
            if not done:
                time.sleep(0.02)
            seen = self._look()
            behind = [one for one in seen if one.position < cut.get(one.bucket, 0)]
        return total

    def lag(self) -> dict[str, int]:
        """How many events each projection has still to take in."""
        with self.pool.connection() as connection:
            lag: dict[str, int] = dict(connection.execute(LAG, [list(self.projections)]).fetchall())
        return {name: lag[name] for name in self.projections}

    def parked(self) -> list[tuple[str, int, UUID, int, str]]:
        """What waits for a mend: (projection, bucket, stream, position, error), the first of each stream first."""
        with self.pool.connection() as connection:
            return connection.execute(parking.LISTED).fetchall()

    def retry(self, name: str) -> int:
        """Takes a projection's parked events in again; how many there were. Raises: NotFound."""
        projection = self._named(name)
        with self.pool.connection() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
            cursor.execute(LOCK, [name])
            return parking.retry(cursor, projection)

    def rebuild(self, name: str, progress: Callable[[int], None] | None = None) -> int:
        """Makes a projection's rows again from the whole log, in one transaction.

        Readers see the old rows until it ends, appends and other projections go on, and what was added meanwhile is
        followed afterwards. Raises: NotFound for a projection that is not there.
        """
        projection, total = self._named(name), 0
        with calm(), self.pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            cursor.execute(LOCK, [name])
            for table in projection.tables:
                cursor.execute(f"DELETE FROM {table}".encode())
            cursor.execute("DELETE FROM parked_event WHERE projection = %s", [name])
            for stretches in whole_log(cursor, name):
                done = follow(cursor, self.projections, stretches, parking.take_in_with_care)
                total += done
                tidy()
                if progress:
                    progress(done)
        return total

    def _look(self) -> list[Behind]:
        """Who is behind, and where."""
        reached = f"{{{','.join(map(str, self._reached))}}}"
        with self.pool.connection() as connection:
            heads: dict[int, int] = dict(connection.execute(HEADS, [reached]).fetchall())
            standing = connection.execute(STANDING, [list(heads), list(self.projections)]) if heads else ()
            found = [Behind(bucket, heads[bucket], position, names) for bucket, position, names in standing]
        behind = [one for one in found if one.position < one.head]
        left = {one.bucket for one in behind}
        for one in found:
            if one.bucket not in left:
                self._reached[one.bucket] = one.head
        return behind

    def _follow(self, behind: Sequence[Behind], seen: Sequence[Behind]) -> int:
        """A step for each group. An event that is not known stops those that want it, after the others went on.

        Shapes: `behind` are those of the `seen` that are followed now; where none of them is left waiting, the bucket
        is reached.
        """
        heads = {one.bucket: one.head for one in behind}
        waiting = {(name, one.bucket) for one in seen for name in one.projections}
        groups, total = _groups(behind), 0
        stopped: IntegrityError | None = None
        for group in groups:
            try:
                total += self._step(group, heads, waiting)
            except IntegrityError as error:
                stopped = error
                groups += [[name] for name in group if len(group) > 1]
        for bucket in heads.keys() - {bucket for _, bucket in waiting}:
            self._reached[bucket] = heads[bucket]
        if stopped:
            raise stopped
        return total

    def _step(self, group: Sequence[str], heads: Mapping[int, int], waiting: Waiting) -> int:
        """All at once, which nearly always goes well; where it does not, again and with care."""
        with self.pool.connection() as connection:
            try:
                claimed, done = self._try(connection, group, heads, parking.take_in)
            except IntegrityError:
                raise
            except Exception:
                claimed, done = self._try(connection, group, heads, parking.take_in_with_care)
        waiting -= {(one.projection, one.bucket) for one in claimed if one.upto == heads[one.bucket]}
        return done

    def _try(
        self, connection: psycopg.Connection, group: Sequence[str], heads: Mapping[int, int], take_in: TakeIn
    ) -> tuple[list[Stretch], int]:
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            claimed = claim(cursor, group, heads, self._turn)
            return claimed, follow(cursor, self.projections, claimed, take_in)

    def _named(self, name: str) -> Projection:
        try:
            return self.projections[name]
        except KeyError:
            raise NotFound(f"there is no projection {name}: {', '.join(self.projections)}") from None


def _groups(behind: Sequence[Behind]) -> list[list[str]]:
    """Projections that stand within a batch of each other; those that are least behind come first."""
    lag: Counter[str] = Counter()
    for one in behind:
        for name in one.projections:
            lag[name] += one.head - one.position
    groups: list[list[str]] = []
    for name in sorted(lag, key=lag.__getitem__):
        if groups and lag[name] - lag[groups[-1][0]] <= BATCH:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def _register(connection: psycopg.Connection, names: list[str]) -> None:
    """Makes the tracking rows of projections, once."""
    last = ALL_BUCKETS - 1
    known = {name for (name,) in connection.execute(REGISTERED, [last, names])}
    if new := [name for name in names if name not in known]:
        connection.execute(REGISTER, [new, last])
