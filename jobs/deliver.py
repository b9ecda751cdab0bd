"""Delivers what waits in the outbox: at least once, tried again for three days, by any number of processes.

A message is locked by its row while it is on its way, so that two deliverers never send the same, and one that dies
lets go of it with its connection. The reply is recorded before the lock ends; killed in between, the message goes out
again under the same id. Source: ADR-0026.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, Protocol

import psycopg

from domain.errors import NotFound
from domain.identity import digest
from jobs.destinations import COLUMNS, OUTBOX, Destination, Destinations, Pool
from projections.follower import Follower

SCHEDULE = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""How long to wait after each failure, a tenth more or less: three days together. Then the message is dead."""
GIVEN_UP_AFTER = timedelta(days=3)
THREADS = 4
"""At most; and half of the connections that there are, because a letter is read while its message is locked."""

CLAIM = f"""SELECT o.bucket, o.message, o.type, o.body, o.attempts, {", ".join(f"d.{c}" for c in COLUMNS.split(", "))}
FROM outbox o JOIN destination d USING (destination)
WHERE o.state = 'waiting' AND o.due_at <= %s AND d.state = 'enabled' AND d.kind = ANY(%s)
AND NOT d.destination = ANY(%s)
ORDER BY o.due_at, o.bucket, o.position LIMIT 1 FOR UPDATE OF o SKIP LOCKED""".encode()
RECORD = """UPDATE outbox SET state = %s, attempts = attempts + 1, status = %s, tried_at = %s, due_at = %s
WHERE bucket = %s AND message = %s"""
ANSWERED = "UPDATE destination SET failing_since = NULL WHERE destination = %s AND failing_since IS NOT NULL"
FAILING = "UPDATE destination SET failing_since = coalesce(failing_since, %s) WHERE destination = %s"
GIVE_UP = """UPDATE destination SET state = 'disabled', why = %s
WHERE destination = %s AND state = 'enabled' AND (%s OR failing_since <= %s)"""
AGAIN = """UPDATE outbox SET state = 'waiting', attempts = 0, due_at = %s
WHERE message = %s OR (destination = %s AND state = 'dead') RETURNING message"""
DROP = "UPDATE outbox SET state = 'dropped' WHERE message = %s AND state IN ('waiting', 'dead') RETURNING message"


class Message(NamedTuple):
    """One announcement on its way to one destination. Shapes: `tries` that failed so far."""

    bucket: int
    id: str
    type: str
    body: bytes
    tries: int
    destination: Destination


class Verdict(NamedTuple):
    """What became of a try.

    Shapes: `failed` is tried again; `refused` never will be taken; `gone` ends the destination too; `skipped` had
    nobody to go to. `status` is all that is kept of the answer.
    """

    what: Literal["sent", "failed", "refused", "gone", "skipped"]
    status: str


class Carrier(Protocol):
    """Brings messages to one kind of destination."""

    def carry(self, message: Message, now: datetime) -> Verdict:
        """Sends a message, within seconds; whatever goes wrong outside is a verdict."""


@dataclass(frozen=True)
class Deliverer:
    """Carriers by kind of destination, and the clock."""

    pool: Pool
    follower: Follower
    carriers: Mapping[str, Carrier]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def deliver_due(self, progress: Callable[[int], None] = lambda done: None) -> Counter[str]:
        """Follows the log and sends what is due now; how many messages came to which end.

        A destination that fails rests until the next time, so that one dead receiver does not hold up the others.
        """
        counts: Counter[str] = Counter()
        if not Destinations(self.pool).all():
            return counts
        self._follow()
        due, resting = self.now(), set[str]()

        def work(_: int) -> None:
            while ended := self._one(due, resting):
                counts[ended] += 1
                progress(1)

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(work, range(max(min(THREADS, self.pool.max_size // 2), 1))))
        return counts

    def _follow(self) -> None:
        """Events that could not be announced are tried again: the program may have been mended meanwhile."""
        if any(name == OUTBOX for name, *_ in self.follower.parked()):
            self.follower.retry(OUTBOX)
        self.follower.catch_up()

    def _one(self, due: datetime, resting: set[str]) -> str:
        """Sends one message that nobody else sends; "" when there is none."""
        with self.pool.connection() as connection, connection.transaction():
            row = connection.execute(CLAIM, [due, list(self.carriers), list(resting)]).fetchone()
            if row is None:
                return ""
            message = Message._make([*row[:5], Destination._make(row[5:])])
            verdict = self._carry(message)
            if verdict.what in ("failed", "gone"):
                resting.add(message.destination.id)
            return self._record(connection, message, verdict)

    def _carry(self, message: Message) -> Verdict:
        """One message's fault is a failure of its own and never holds up the others."""
        try:
            return self.carriers[message.destination.kind].carry(message, self.now())
        except Exception as error:
            return Verdict("failed", f"{type(error).__name__}: {error}"[:200])

    def _record(self, connection: psycopg.Connection, message: Message, verdict: Verdict) -> str:
        now = self.now()
        state, due = _next(message, verdict, now)
        connection.execute(RECORD, [state, verdict.status, now, due, message.bucket, message.id])
        name = message.destination.id
        if verdict.what in ("failed", "gone"):
            connection.execute(FAILING, [now, name])
            if message.destination.kind == "webhook":
                why = "it answered 410 Gone" if verdict.what == "gone" else "nothing but failures for three days"
                connection.execute(GIVE_UP, [why, name, verdict.what == "gone", now - GIVEN_UP_AFTER])
        else:
            connection.execute(ANSWERED, [name])
        return "failed" if state == "waiting" else state

    def replay(self, message: str = "", destination: str = "") -> int:
        """Sends again, under the same id: one message, or all dead ones of a destination. Raises: NotFound."""
        with self.pool.connection() as connection:
            found = connection.execute(AGAIN, [self.now(), message, destination]).fetchall()
        if message and not found:
            raise NotFound(f"there is no message {message}")
        return len(found)

    def drop(self, message: str) -> None:
        """Never sends a message. Raises: NotFound for one that does not wait and is not dead."""
        with self.pool.connection() as connection:
            if connection.execute(DROP, [message]).fetchone() is None:
                raise NotFound(f"there is no message {message} that waits or is dead")


def _next(message: Message, verdict: Verdict, now: datetime) -> tuple[str, datetime]:
    """The state of a message after a try, and when it is due again."""
    if verdict.what in ("sent", "skipped"):
        return verdict.what, now
    if verdict.what == "refused" or message.tries >= len(SCHEDULE):
        return "dead", now
    return "waiting", now + _spread(SCHEDULE[message.tries], message)


def _spread(wait: timedelta, message: Message) -> timedelta:
    """A tenth more or less, by the message, so that what failed together does not come back together."""
    return wait * (900 + int.from_bytes(digest(message.id, message.tries, size=4), "big") % 201) / 1000
