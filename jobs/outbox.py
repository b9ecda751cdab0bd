"""The outbox: every event that has to be told becomes one message for each destination that wants it, once.

It follows the log like a projection, rows and tracking in one transaction, but its rows are never made again: the id
of a message is that of its event and destination, so that following twice adds nothing. Source: ADR-0026.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, NamedTuple
from uuid import UUID

from domain.announcement import TOPICS, Announcement, E, announce, body, wanted
from domain.errors import NotFound
from domain.events import Event, decode, topics
from domain.events.account import AccountOpened
from domain.identity import bucket_of, digest
from jobs.destinations import OUTBOX
from projections.projection import Cursor, Entry, Projection

DDL = (
    """CREATE TABLE IF NOT EXISTS outbox (
        bucket smallint NOT NULL, message text NOT NULL, position bigint NOT NULL, destination text NOT NULL,
        type text NOT NULL, body bytea NOT NULL, recorded_at timestamptz NOT NULL, due_at timestamptz NOT NULL,
        state text NOT NULL DEFAULT 'waiting', attempts integer NOT NULL DEFAULT 0, status text NOT NULL DEFAULT '',
        tried_at timestamptz, PRIMARY KEY (bucket, message))""",
    "CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due_at) WHERE state = 'waiting'",
    "CREATE INDEX IF NOT EXISTS outbox_recorded ON outbox (recorded_at, message)",
)

SUBSCRIBED = """SELECT d.destination, d.types, d.account, b.bucket, d.since[b.bucket + 1]
FROM destination d, unnest(%s::smallint[]) AS b(bucket) WHERE d.state <> 'removed' ORDER BY d.destination, b.bucket"""
RECORDED = "SELECT recorded_at FROM event WHERE bucket = %s AND position = %s"
FIRST = "SELECT topic, state FROM event WHERE bucket = %s AND stream = %s AND version = 1"
EARLIER = """SELECT topic, state FROM event WHERE bucket = %s AND stream = %s AND version < %s AND topic = ANY(%s)
ORDER BY version"""
INSERT = """INSERT INTO outbox (bucket, message, position, destination, type, body, recorded_at, due_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""


class Subscribed(NamedTuple):
    """What a destination wants to hear of one bucket: what comes after `since`."""

    destination: str
    types: Sequence[str]
    account: UUID | None
    bucket: int
    since: int

    def wants(self, made: Announcement, entry: Entry, chain: Sequence[UUID]) -> bool:
        """Shapes: `chain` is the account that it is of and everything above it."""
        new = self.bucket == entry.bucket and self.since < entry.position
        return new and wanted(self.types, made.type) and (self.account is None or self.account in chain)


class Outbox(Projection):
    """Messages that have to be sent; not among the projections that can be asked."""

    name = OUTBOX
    tables = ()
    ddl = ()
    topics: ClassVar[frozenset[str]] = frozenset(topic.partition(".")[0] for topic in TOPICS)

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        told = [entry for entry in entries if entry.topic in TOPICS]
        if not told:
            return
        buckets = sorted({entry.bucket for entry in told})
        subscribed = [Subscribed._make(row) for row in cursor.execute(SUBSCRIBED, [buckets]).fetchall()]
        for entry in told:
            _enqueue(cursor, entry, [one for one in subscribed if one.bucket == entry.bucket])


def _enqueue(cursor: Cursor, entry: Entry, subscribed: Sequence[Subscribed]) -> None:
    if not any(one.since < entry.position for one in subscribed):
        return
    before = Before(cursor, entry)
    made = announce(entry.event, entry.stream, before)
    if made is None:
        return
    chain = before.above(made.account) if any(one.account for one in subscribed) else ()
    takers = [one.destination for one in subscribed if one.wants(made, entry, chain)]
    if takers:
        at = _recorded_at(cursor, entry)
        content = body(made, at.isoformat(), entry.position)
        for name in takers:
            row = [entry.bucket, message_id(entry, name), entry.position, name, made.type, content, at, at]
            cursor.execute(INSERT, row)


def message_id(entry: Entry, destination: str) -> str:
    """The name of a message: the same whenever it is made, so that it is made once."""
    return "msg_" + digest("message", entry.bucket, entry.position, destination, size=15).hex()


def _recorded_at(cursor: Cursor, entry: Entry) -> datetime:
    row = cursor.execute(RECORDED, [entry.bucket, entry.position]).fetchone()
    assert row is not None
    at = row[0]
    assert isinstance(at, datetime)
    return at


class Before:
    """What stands in the log before an entry."""

    def __init__(self, cursor: Cursor, entry: Entry) -> None:
        self.cursor, self.entry = cursor, entry

    def first(self, stream: UUID, kind: type[E]) -> E:
        """The first event of a stream. Raises: NotFound when it is not there, or another."""
        row = self.cursor.execute(FIRST, [bucket_of(stream), stream]).fetchone()
        found = decode(*row) if row else None
        if not isinstance(found, kind):
            raise NotFound(f"stream {stream} does not begin with {kind.TOPIC}")
        return found

    def earlier(self, kind: type[E]) -> list[E]:
        """Events of a kind in the entry's own stream, before it."""
        place = [self.entry.bucket, self.entry.stream, self.entry.version, list(topics(kind))]
        found: list[Event] = [decode(*row) for row in self.cursor.execute(EARLIER, place).fetchall()]
        return [event for event in found if isinstance(event, kind)]

    def above(self, account: UUID) -> list[UUID]:
        """An account and everything above it."""
        chain: list[UUID] = []
        above: UUID | None = account
        while above is not None:
            chain.append(above)
            above = self.first(above, AccountOpened).parent
        return chain
