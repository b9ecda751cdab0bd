"""Where announcements go: endpoints of webhooks, and mail. Plain rows, because they are settings and not history.

A destination is told of what happens after it was made: the heads of the log at that moment are kept with it. Secrets
are not here; a generation is, from which they are derived with a key that the database never sees. Source: ADR-0026.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.announcement import TYPES, wanted
from domain.errors import Conflict, Invalid, NotFound
from projections.follower import LOCK

Pool = ConnectionPool[psycopg.Connection]
OUTBOX = "outbox_v1"
BOTH_SIGN = timedelta(hours=24)
"""How long the secret before a rotation goes on signing."""

DDL = (
    """CREATE TABLE IF NOT EXISTS destination (
        destination text PRIMARY KEY, kind text NOT NULL, url text NOT NULL, types text[] NOT NULL, account uuid,
        state text NOT NULL DEFAULT 'enabled', why text NOT NULL DEFAULT '', created_at timestamptz NOT NULL,
        generation integer NOT NULL DEFAULT 1, rotated_at timestamptz, failing_since timestamptz,
        since bigint[] NOT NULL)""",
)

COLUMNS = "destination, kind, url, types, account, state, why, created_at, generation, rotated_at, failing_since"
TO_THE_HEAD = """UPDATE tracking t SET position = h.position FROM bucket_head h
WHERE t.projection = %s AND h.bucket = t.bucket AND NOT EXISTS (SELECT 1 FROM destination)"""
ADD = """INSERT INTO destination (destination, kind, url, types, account, created_at, since)
SELECT %s, %s, %s, %s, %s, %s, array_agg(position ORDER BY bucket) FROM bucket_head"""


class Destination(NamedTuple):
    """One place where announcements go. Shapes: `kind` webhook | mail; `state` enabled | disabled | removed."""

    id: str
    kind: str
    url: str
    types: Sequence[str]
    account: UUID | None
    state: str
    why: str
    created_at: datetime
    generation: int
    rotated_at: datetime | None
    failing_since: datetime | None

    def generations(self, now: datetime) -> list[int]:
        """The secrets that sign now, the present one first."""
        both = self.rotated_at is not None and now < self.rotated_at + BOTH_SIGN
        return [self.generation, self.generation - 1] if both else [self.generation]


@dataclass(frozen=True)
class Destinations:
    """All of them, as rows."""

    pool: Pool

    def add(
        self, name: str, kind: str, url: str, types: Sequence[str], account: UUID | None, now: datetime
    ) -> Destination:
        """Tells a destination of everything from now on.

        The follower is kept out while the heads are read, so that nothing falls between it and them; before the first
        destination there was nobody to tell, and the follower begins here.
        Raises: Invalid for a type that there is none of.
        """
        _check(types)
        with self.pool.connection() as connection, connection.transaction():
            connection.execute(LOCK, [OUTBOX])
            connection.execute(TO_THE_HEAD, [OUTBOX])
            connection.execute(ADD, [name, kind, url, list(types), account, now])
        return self.named(name)

    def listen(self, name: str, types: Sequence[str]) -> Destination:
        """Tells a destination of other types from now on. Raises: Invalid for a type that there is none of."""
        _check(types)
        self._update(name, "types = %s", [list(types)])
        return self.named(name)

    def named(self, name: str) -> Destination:
        """One by its id. Raises: NotFound."""
        found = self._rows("destination = %s AND state <> 'removed'", [name])
        if not found:
            raise NotFound(f"there is no endpoint {name}")
        return found[0]

    def all(self) -> list[Destination]:
        """Those that were not removed, in the order they were made."""
        return self._rows("state <> 'removed'", [])

    def rotate(self, name: str, now: datetime) -> Destination:
        """Gives an endpoint another secret; the one before signs too, for a day.

        Raises: Conflict while two sign already: a receiver would lose the one it has.
        """
        if len(self.named(name).generations(now)) > 1:
            raise Conflict(f"{name} was rotated less than 24 hours ago: two secrets are valid")
        self._update(name, "generation = generation + 1, rotated_at = %s", [now])
        return self.named(name)

    def enable(self, name: str) -> Destination:
        """Delivers again; what waited meanwhile goes out."""
        self._update(name, "state = 'enabled', why = '', failing_since = NULL", [])
        return self.named(name)

    def disable(self, name: str, why: str) -> Destination:
        """Delivers nothing until it is enabled; what is to be told waits."""
        self._update(name, "state = 'disabled', why = %s, failing_since = NULL", [why])
        return self.named(name)

    def remove(self, name: str) -> None:
        """Ends a destination; what it was sent stays readable, what waited is dropped."""
        self._update(name, "state = 'removed'", [])
        with self.pool.connection() as connection:
            connection.execute("DELETE FROM outbox WHERE destination = %s AND state = 'waiting'", [name])

    def _update(self, name: str, what: str, values: list[Any]) -> None:
        self.named(name)
        with self.pool.connection() as connection:
            statement = f"UPDATE destination SET {what} WHERE destination = %s"
            connection.execute(statement.encode(), [*values, name])

    def _rows(self, where: str, values: list[Any]) -> list[Destination]:
        with self.pool.connection() as connection:
            statement = f"SELECT {COLUMNS} FROM destination WHERE {where} ORDER BY created_at, destination"
            return [Destination._make(row) for row in connection.execute(statement.encode(), values).fetchall()]


def _check(types: Sequence[str]) -> None:
    for pattern in types or [""]:
        if not any(wanted([pattern], one) for one in TYPES):
            raise Invalid(f"there is no type {pattern!r}: {', '.join(TYPES)}")
