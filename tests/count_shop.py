"""What tests of count files share: a shop that counts users, lines of files, and what the database holds of them."""

from __future__ import annotations

from datetime import date

import psycopg

from adapters.bootstrap import Tally
from domain.counted_users import counted_users_id
from domain.events import decode
from domain.identity import Kind
from tests.builders import OBSERVATIONS, READINGS, counted_package, open_account, publish, start, take_in, write_csv

IMPORT = """
import sys
from adapters.bootstrap import Tally
from adapters.count_files import read_rows
from domain.identity import Kind
from jobs import import_counts as job

def half(rows, read):
    if "pause" in sys.argv and rows >= 5000:
        print("half", flush=True)
        sys.stdin.read()

def before_commit(append, source):
    appended(append, source)
    print("half", flush=True)
    sys.stdin.read()

appended = job._append_readings
if "before-commit" in sys.argv:
    job._append_readings = before_commit
dsn, path = sys.argv[1:3]
with Tally(dsn) as tally:
    done = job.import_counts(
        tally.log, lambda names: tally.billing.resolve(Kind.LICENSE, names), path, read_rows(path, half)
    )
    print(done.rows, done.new)
"""
"""A program that imports a file in a process of its own; it waits half-way where it is told to."""


def stocked(tally: Tally) -> Tally:
    """Two licenses that count users."""
    publish(tally, counted_package())
    for name in ("acme", "rival"):
        open_account(tally, name)
        start(tally, f"{name}-1", name, "counted")
    return tally


def reading(quantity="5", license="acme-1", counter="users", day="2025-01-10", report="r1"):
    return f"{READINGS}\n{license},{counter},{day},{quantity},{report}\n"


def observation(at="2025-01-10T09:00:00Z", subject="ann", report="r1"):
    return f"{OBSERVATIONS}\nacme-1,users,{at},{subject},{report}\n"


def state(dsn):
    """Everything in the database, as text."""
    with psycopg.connect(dsn) as connection:
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        return {
            table: connection.execute(
                f"SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {table} t".encode()
            ).fetchone()
            for (table,) in connection.execute(names).fetchall()
        }


def stored(dsn):
    """Report and instant of every observation."""
    with psycopg.connect(dsn) as connection:
        return sorted(
            connection.execute("SELECT unnest(reports), unnest(observed_at) FROM observation_parcel").fetchall()
        )


def month_of(tally, license="acme-1", month=date(2025, 1, 1)):
    """The events of a license's users in a month."""
    stream = counted_users_id(tally.billing.resolve(Kind.LICENSE, [license])[license], "users", month)
    return [decode(event.topic, event.state) for event in tally.log.select_events(stream)]


def observe(tally, path, *rows):
    take_in(tally, write_csv(path, OBSERVATIONS, [f"acme-1,users,{row}" for row in rows]))
