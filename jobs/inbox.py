"""What providers tell is kept before anybody says thank you: raw, once, and until it is dealt with.

The same event again is one row. The same event with another body is an alarm: it is set aside beside the first one,
which it never overwrites. Reading what an event is about comes later, in `jobs/take_in.py`. Source: ADR-0023.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import psycopg
from psycopg_pool import ConnectionPool

from domain.errors import NotFound
from domain.identity import digest, name_bucket
from domain.news import Hint

Pool = ConnectionPool[psycopg.Connection]
Headers = Sequence[tuple[bytes, bytes]]
State = Literal["new", "done", "parked", "foreign", "quarantined"]

DDL = (
    """CREATE TABLE IF NOT EXISTS webhook_inbox (
        bucket smallint NOT NULL, provider text NOT NULL, event text NOT NULL, kind text NOT NULL,
        happened_at timestamptz NOT NULL, received_at timestamptz NOT NULL, headers text NOT NULL, body bytea NOT NULL,
        digest bytea NOT NULL, state text NOT NULL, why text NOT NULL, tries integer NOT NULL DEFAULT 0,
        next_at timestamptz, seen_at timestamptz, PRIMARY KEY (bucket, provider, event))""",
    "CREATE INDEX IF NOT EXISTS webhook_inbox_due ON webhook_inbox (next_at) WHERE state IN ('new', 'parked')",
    "CREATE TABLE IF NOT EXISTS webhook_poll (provider text PRIMARY KEY, polled_at timestamptz NOT NULL)",
)
"""Shapes: `digest` is empty for what came by a provider's list of events, which words the same event differently;
`next_at` is when it is due, none when only a person goes on with it; `seen_at` when a person looked at it."""

ADD = """INSERT INTO webhook_inbox (bucket, provider, event, kind, happened_at, received_at, headers, body, digest,
state, why, next_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
KNOWN = "SELECT digest FROM webhook_inbox WHERE bucket = %s AND provider = %s AND event = %s"
COLUMNS = "provider, event, kind, state, why, tries, happened_at, received_at, next_at, seen_at"
LISTED = f"""SELECT {COLUMNS} FROM webhook_inbox WHERE (%s = '' OR state = %s) AND (%s = '' OR provider = %s)
AND (%s::timestamptz IS NULL OR (received_at, event) < (%s, %s)) ORDER BY received_at DESC, event DESC LIMIT %s"""
NAMED = f"SELECT {COLUMNS} FROM webhook_inbox WHERE bucket = %s AND event = %s ORDER BY provider"
CONTENT = "SELECT headers, body FROM webhook_inbox WHERE bucket = %s AND provider = %s AND event = %s"
AGAIN = """UPDATE webhook_inbox SET state = 'new', why = 'replayed', tries = 0, next_at = %s, seen_at = NULL
WHERE bucket = %s AND event = %s"""
SEEN = "UPDATE webhook_inbox SET seen_at = %s WHERE bucket = %s AND event = %s"
APART = "~"
"""Stands between an event's id and the digest of its second body; no provider's ids have it."""
KEPT_HEADERS = (b"stripe-signature", b"paypal-", b"content-type", b"user-agent")
VARIES = frozenset({"pending_webhooks"})
"""What a provider words differently in each delivery of one event."""


class Entry(NamedTuple):
    """One event in the inbox, without its body."""

    provider: str
    event: str
    kind: str
    state: State
    why: str
    tries: int
    happened_at: datetime
    received_at: datetime
    next_at: datetime | None
    seen_at: datetime | None


def keep(pool: Pool, hint: Hint, headers: Headers, now: datetime, wait: float = 30) -> Literal["new", "known", "other"]:
    """Keeps a hint, committed when this returns; "other" was known with another body, and is set aside.

    Shapes: no headers when it came by the provider's list of events; connections may commit each statement by itself,
    which spares the two round trips of a transaction. Units: `wait` in seconds for a connection.
    """
    said = digest(_same_words(hint.body)) if headers else b""
    with pool.connection(wait) as connection:
        if _add(connection, hint, hint.event, headers, said, now, "new"):
            return "new"
        row = connection.execute(KNOWN, [name_bucket(hint.event), hint.provider, hint.event]).fetchone()
        if row is None or not said or not row[0] or row[0] == said:
            return "known"
        _add(connection, hint, f"{hint.event}{APART}{said.hex()[:16]}", headers, said, now, "quarantined")
    return "other"


def _add(
    connection: psycopg.Connection, hint: Hint, event: str, headers: Headers, said: bytes, now: datetime, state: State
) -> bool:
    kept = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.startswith(KEPT_HEADERS)}
    why = "" if state == "new" else f"{hint.event} came before with another body"
    row = [name_bucket(event), hint.provider, event, hint.kind, hint.at, now, json.dumps(kept), hint.body, said]
    return connection.execute(ADD, [*row, state, why, now if state == "new" else None]).rowcount > 0


def _same_words(body: bytes) -> bytes:
    """A body without what varies between deliveries of the same event."""
    try:
        found = json.loads(body)
    except ValueError:
        return body
    if not isinstance(found, dict):
        return body
    return json.dumps({key: found[key] for key in sorted(found) if key not in VARIES}, sort_keys=True).encode()


def listed(pool: Pool, state: str = "", provider: str = "", after: str = "", limit: int = 50) -> list[Entry]:
    """Events, the newest first, behind one. Raises: NotFound for one that did not come or is kept no more."""
    since = named(pool, after)[-1].received_at if after else None
    told = [state, state, provider, provider, since, since, after, limit]
    with pool.connection() as connection:
        rows = connection.execute(LISTED.encode(), told).fetchall()
    return [Entry(*row) for row in rows]


def named(pool: Pool, event: str) -> list[Entry]:
    """The event of a name; several only if several providers use the same. Raises: NotFound."""
    with pool.connection() as connection:
        rows = connection.execute(NAMED.encode(), [name_bucket(event), event]).fetchall()
    if not rows:
        raise NotFound(f"no event {event} is in the inbox")
    return [Entry(*row) for row in rows]


def content(pool: Pool, entry: Entry) -> tuple[str, bytes]:
    """The headers that were kept, as JSON, and the body as it came."""
    with pool.connection() as connection:
        row = connection.execute(CONTENT, [name_bucket(entry.event), entry.provider, entry.event]).fetchone()
    assert row is not None
    return row[0], bytes(row[1])


def replay(pool: Pool, event: str, now: datetime) -> int:
    """Makes an event due again, whatever became of it: taking it in twice has no second effect. Raises: NotFound."""
    with pool.connection() as connection:
        found = connection.execute(AGAIN, [now, name_bucket(event), event]).rowcount
    if not found:
        raise NotFound(f"no event {event} is in the inbox")
    return found


def mark_seen(pool: Pool, event: str, now: datetime) -> None:
    """A person looked at an event that was set aside: `tally verify` tells of it no more."""
    with pool.connection() as connection:
        connection.execute(SEEN, [now, name_bucket(event), event])
