"""Every table of the jobs: stated apart from the code that uses them, since whoever opens a database makes them."""

from __future__ import annotations

from jobs import count_tables, destinations, inbox, outbox

RUNS = (
    """CREATE TABLE IF NOT EXISTS billing_run (
        run text PRIMARY KEY, through date NOT NULL, issued_on date NOT NULL, number integer NOT NULL,
        finished boolean NOT NULL DEFAULT false, accounts uuid[], UNIQUE (through, number))""",
    """CREATE TABLE IF NOT EXISTS billing_chunk (
        run text NOT NULL, chunk integer NOT NULL, buckets smallint[] NOT NULL, done boolean NOT NULL DEFAULT false,
        licenses integer NOT NULL DEFAULT 0, billed integer NOT NULL DEFAULT 0, nothing integer NOT NULL DEFAULT 0,
        parked integer NOT NULL DEFAULT 0, failed integer NOT NULL DEFAULT 0, documents integer NOT NULL DEFAULT 0,
        PRIMARY KEY (run, chunk))""",
    "ALTER TABLE billing_chunk ADD COLUMN IF NOT EXISTS cuts bigint[]",
    """CREATE TABLE IF NOT EXISTS billing_exception (
        bucket smallint NOT NULL, run text NOT NULL, account uuid NOT NULL, outcome text NOT NULL, reason text NOT NULL,
        PRIMARY KEY (bucket, run, account, outcome, reason))""",
    "CREATE TABLE IF NOT EXISTS wake (zone text NOT NULL, day date NOT NULL, PRIMARY KEY (zone, day))",
)
"""Runs and their chunks are local work lists, not history; `cuts` are how far each bucket of a chunk was read."""
STATEMENTS = (
    """CREATE TABLE IF NOT EXISTS bank_statement (
        bucket smallint NOT NULL, account text NOT NULL, number text NOT NULL, closed_on date NOT NULL,
        currency text NOT NULL, opening bigint NOT NULL, closing bigint NOT NULL,
        PRIMARY KEY (bucket, account, closed_on, number, opening, closing))""",
    """CREATE TABLE IF NOT EXISTS bank_transfer (
        bucket smallint NOT NULL, transfer text NOT NULL, account text NOT NULL, booked_on date NOT NULL,
        amount bigint NOT NULL, currency text NOT NULL, text text NOT NULL, name text NOT NULL, iban text NOT NULL,
        is_return boolean NOT NULL, state text NOT NULL DEFAULT 'new', why text NOT NULL DEFAULT '',
        payer uuid, PRIMARY KEY (bucket, transfer))""",
    "CREATE INDEX IF NOT EXISTS bank_transfer_open ON bank_transfer (state) WHERE state IN ('new', 'suspense')",
)
DDL: tuple[str, ...] = (
    *RUNS, *count_tables.DDL, *STATEMENTS, *inbox.DDL, *destinations.DDL, *outbox.DDL
)  # fmt: skip
