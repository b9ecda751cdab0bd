"""Installs the schema: the log, what must be exact beside it, and the tables of projections and counts.

It may run any number of times and from several processes at once. The owner installs; the application works as the
role `tally_app`, which may add events and read them and nothing else. Source: ADR-0007.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import psycopg

from domain.identity import ALL_BUCKETS, digest

ROLE = "tally_app"
INSTALL_LOCK = 0x7A11
APPEND_ONLY = ("event", "command", "billed_line")
BY_FUNCTION = ("bucket_head", "coverage")
"""Tables that the role may read, and change through the functions of the schema only."""


def install(dsn: str, extra_ddl: Sequence[str] = ()) -> None:
    """Brings a database to this program's schema, in one transaction.

    Shapes: `extra_ddl` are idempotent statements of other modules (their CREATE TABLE IF NOT EXISTS …).
    """
    schema = files("adapters.store").joinpath("schema.sql").read_text()
    wanted = digest(schema, *extra_ddl, size=8).hex()
    with psycopg.connect(dsn) as connection:
        if _installed(connection) == wanted:
            return
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [INSTALL_LOCK])
        if _installed(connection) == wanted:
            return
        _create(connection, schema, extra_ddl)
        connection.execute("CREATE TABLE IF NOT EXISTS installed (schema text PRIMARY KEY)")
        connection.execute("DELETE FROM installed")
        connection.execute("INSERT INTO installed VALUES (%s)", [wanted])
        _grant(connection)


def _installed(connection: psycopg.Connection) -> str | None:
    if connection.execute("SELECT to_regclass('installed')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT schema FROM installed").fetchone()
    return row[0] if row else None


def _create(connection: psycopg.Connection, schema: str, extra_ddl: Sequence[str]) -> None:
    connection.execute(schema.encode())
    for statement in extra_ddl:
        connection.execute(statement.encode())
    for table in ("bucket_head", "billing_generation"):
        connection.execute(
            f"INSERT INTO {table} (bucket) SELECT generate_series(0, %s) ON CONFLICT DO NOTHING".encode(),
            [ALL_BUCKETS - 1],
        )


def _grant(connection: psycopg.Connection) -> None:
    connection.execute(
        f"""DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        GRANT {ROLE} TO CURRENT_USER;
        GRANT USAGE, CREATE ON SCHEMA public TO {ROLE};
        GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {ROLE};
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {ROLE};
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {ROLE};
        REVOKE UPDATE, DELETE, TRUNCATE ON {", ".join(APPEND_ONLY)} FROM {ROLE};
        REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {", ".join(BY_FUNCTION)}, installed FROM {ROLE};
        """.encode()
    )
