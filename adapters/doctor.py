"""Looks at the live schema and says what would not survive: the rules that keep it portable, and the log's own.

Every table is *sharded* (the bucket is the first column of every key), *reference* or *local*. Sharded tables have no
sequences, no triggers and no foreign keys without the bucket, so that the same schema can be distributed. ADR-0002.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import psycopg

from adapters.store.install import APPEND_ONLY, BY_FUNCTION, ROLE

SHARDED = frozenset(
    {"bucket_head", "event", "command", "tracking", "parked_event", "directory", "billed_line", "coverage"}
    | {"live_instrument", "receipt_name", "settlement_v1", "receipt_v1", "attempt_v1"}
    | {"refund_v1", "dispute_v1", "hold_v1", "payout_v1", "method_v1", "dunning_v1", "suspension_v1"}
    | {"bank_statement", "bank_transfer", "webhook_inbox", "outbox"}
    | {"billing_generation", "billing_exception"}
    | {"reading", "observation_report", "observation_parcel", "subject", "to_close"}
    | {"basis_v2", "account_v2", "account_change_v1", "pool_v1", "document_v1", "change_v1", "limit_v1", "beginning_v1"}
)
LOCAL = frozenset(
    {"billing_run", "billing_chunk", "wake", "installed", "counting_key"} | {"webhook_poll", "destination"}
)


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    rule: str
    object: str
    message: str


KEYS = """
SELECT c.conrelid::regclass::text, c.conname, (SELECT a.attname FROM pg_attribute a
    WHERE a.attrelid = c.conrelid AND a.attnum = c.conkey[1])
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = 'public' AND c.contype IN ('p', 'u', 'x')"""
UNIQUE_INDEXES = """
SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, (SELECT a.attname FROM pg_attribute a
    WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[0])
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = 'public' AND i.indisunique"""
FOREIGN_KEYS = """
SELECT c.conrelid::regclass::text, c.conname, array(SELECT a.attname::text FROM pg_attribute a
    WHERE a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey))
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = 'public' AND c.contype = 'f'"""
SEQUENCES = """
SELECT d.refobjid::regclass::text, s.relname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid
WHERE s.relkind = 'S' AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass"""
TRIGGERS = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"
TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"""
HEADS = """
SELECT h.bucket, h.position, count(e.position), coalesce(max(e.position), 0) FROM bucket_head h
LEFT JOIN event e ON e.bucket = h.bucket GROUP BY h.bucket, h.position
HAVING h.position <> count(e.position) OR h.position <> coalesce(max(e.position), 0) LIMIT 20"""
DEAD = """SELECT destination, count(*) FROM outbox JOIN destination d USING (destination)
WHERE outbox.state = 'dead' AND d.state <> 'removed' GROUP BY 1 ORDER BY 1"""
GIVEN_UP = """SELECT destination, why FROM destination
WHERE state = 'disabled' AND failing_since IS NOT NULL ORDER BY 1"""
QUEUE_IS_THERE = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"
UNBILLED = """SELECT DISTINCT args->>'zone', args->>'day' FROM procrastinate_jobs j
WHERE task_name = 'tallystick.bill' AND status = 'failed' AND NOT EXISTS (
    SELECT FROM billing_run WHERE finished AND accounts IS NULL AND through >= (args->>'day')::date)
AND NOT EXISTS (SELECT FROM procrastinate_jobs l WHERE l.task_name = j.task_name AND l.status = 'succeeded'
    AND l.args->>'zone' = j.args->>'zone' AND l.args->>'day' > j.args->>'day') ORDER BY 1, 2"""
"""A later day of the zone that was carried out has billed whom one that was given up had missed."""
WAITING = """SELECT args->>'zone', args->>'day', args->>'issued_on' FROM procrastinate_jobs
WHERE task_name = 'tallystick.bill' AND status IN ('todo', 'doing')
AND (args->>'issued_on')::date < current_date - 1 ORDER BY 1, 2 LIMIT 20"""
AHEAD = "SELECT bucket, recorded_at FROM bucket_head WHERE recorded_at > now() + interval '1 minute' LIMIT 20"


def inspect(connection: psycopg.Connection) -> list[Finding]:
    """Everything found; nothing is a good answer."""
    ours = [*_tables(connection), *_keys(connection), *_parts(connection), *_log(connection), *_role(connection)]
    return [*ours, *_untold(connection), *_unbilled(connection)]


def _ours(table: str) -> bool:
    return not table.startswith("procrastinate_")


def _tables(connection: psycopg.Connection) -> Iterator[Finding]:
    for (table,) in connection.execute(TABLES).fetchall():
        if _ours(table) and table not in SHARDED | LOCAL:
            yield Finding("declared", table, "is declared neither sharded nor reference nor local")


def _keys(connection: psycopg.Connection) -> Iterator[Finding]:
    rows = {*connection.execute(KEYS).fetchall(), *connection.execute(UNIQUE_INDEXES).fetchall()}
    for table, key, first in sorted(rows, key=str):
        if table in SHARDED and first != "bucket":
            yield Finding("bucket first", f"{table}.{key}", f"begins with {first}")
    for table, key, columns in connection.execute(FOREIGN_KEYS).fetchall():
        if table in SHARDED and "bucket" not in columns:
            yield Finding("bucket in references", f"{table}.{key}", "refers without the bucket")


def _parts(connection: psycopg.Connection) -> Iterator[Finding]:
    for table, sequence in connection.execute(SEQUENCES).fetchall():
        if table in SHARDED:
            yield Finding("no sequences", table, f"uses the sequence {sequence}")
    for table, trigger in connection.execute(TRIGGERS).fetchall():
        if table in SHARDED:
            yield Finding("no triggers", table, f"has the trigger {trigger}")


def _log(connection: psycopg.Connection) -> Iterator[Finding]:
    for bucket, head, count, last in connection.execute(HEADS).fetchall():
        yield Finding("heads", f"bucket {bucket}", f"head {head}, {count} events up to {last}")
    for bucket, at in connection.execute(AHEAD).fetchall():
        yield Finding("clock", f"bucket {bucket}", f"was last written at {at}, which is still to come")


def _untold(connection: psycopg.Connection) -> Iterator[Finding]:
    """What others were to be told and were not: somebody has to look."""
    for name, count in connection.execute(DEAD).fetchall():
        yield Finding("told", name, f"{count} dead messages: `tally deliveries list --state dead`, then replay or drop")
    for name, why in connection.execute(GIVEN_UP).fetchall():
        yield Finding("told", name, f"is disabled: {why}; `tally endpoints enable` sends what waits")


def _unbilled(connection: psycopg.Connection) -> Iterator[Finding]:
    """Days that the scheduler queued and that no worker carried out."""
    if connection.execute(QUEUE_IS_THERE).fetchone() != (True,):
        return
    for zone, day in connection.execute(UNBILLED).fetchall():
        yield Finding("billed", zone, f"{day} was given up: `tally bill --through {day}` issues what is owed")
    for zone, day, since in connection.execute(WAITING).fetchall():
        yield Finding("billed", zone, f"{day} waits since {since}: does a `tally worker` run?")


def _role(connection: psycopg.Connection) -> Iterator[Finding]:
    kept = [(table, privilege) for table in APPEND_ONLY for privilege in ("UPDATE", "DELETE", "TRUNCATE")]
    moved = [(table, privilege) for table in BY_FUNCTION for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE")]
    for table, privilege in (*kept, *moved):
        asked = connection.execute("SELECT has_table_privilege(%s, %s, %s)", [ROLE, table, privilege]).fetchone()
        if asked == (True,):
            yield Finding("append only", table, f"{ROLE} may {privilege}")
