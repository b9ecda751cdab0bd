"""Rows that are done with are dropped after a time: messages that were delivered, and webhooks that were dealt with.

Nothing of the log is ever dropped. What waits, failed, is parked or was set aside stays until somebody deals with it.
The time is longer than any provider or receiver repeats: an event that came again would only be read anew (ADR-0022).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import psycopg
from psycopg_pool import ConnectionPool

Pool = ConnectionPool[psycopg.Connection]
KEPT_FOR = timedelta(days=90)
AT_LEAST = timedelta(days=31)
"""Providers list their events for 30 days: dropped earlier, one would be caught up again and again."""
AT_ONCE = 10_000
DONE = {
    "messages": (
        "outbox",
        "bucket, message",
        "state IN ('sent', 'skipped', 'dropped') AND coalesce(tried_at, recorded_at) < %s",
    ),
    "webhooks": ("webhook_inbox", "bucket, provider, event", "state IN ('done', 'foreign') AND received_at < %s"),
}


def old(pool: Pool, before: datetime) -> dict[str, int]:
    """How many rows are done with and older than an instant, by what they are."""
    with pool.connection() as connection:
        counts = {
            what: connection.execute(f"SELECT count(*) FROM {table} WHERE {done}".encode(), [before]).fetchone()
            for what, (table, _, done) in DONE.items()
        }
    return {what: row[0] if row else 0 for what, row in counts.items()}


def prune(pool: Pool, before: datetime) -> dict[str, int]:
    """Drops them, some at a time so that nobody waits for it; how many went."""
    return {what: _dropped(pool, *words, before) for what, words in DONE.items()}


def _dropped(pool: Pool, table: str, key: str, done: str, before: datetime) -> int:
    some = f"SELECT {key} FROM {table} WHERE {done} LIMIT {AT_ONCE} FOR UPDATE SKIP LOCKED"
    statement, total = f"DELETE FROM {table} WHERE ({key}) IN ({some})".encode(), 0
    while True:
        with pool.connection() as connection:
            gone = connection.execute(statement, [before]).rowcount
        total += gone
        if gone < AT_ONCE:
            return total
