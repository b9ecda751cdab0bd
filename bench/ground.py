"""What figures are measured on: one embedded server, a database for each, and processes of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import psycopg

from adapters.embedded import Embedded

T = TypeVar("T")

PART = 1 << 20
"""Bytes handed to a COPY at once."""


class Ground(NamedTuple):
    """Where and how large: the server's owner, the licenses of each billing run ascending, worker processes; rounds."""

    server: str
    licenses: tuple[int, ...]
    workers: int
    rounds: int = 1

    @contextmanager
    def database(self, name: str, like: str = "template1") -> Iterator[str]:
        """How to connect to a new database, a copy of another, which is gone afterwards."""
        _run(self.server, f"CREATE DATABASE {name} TEMPLATE {like}")
        try:
            yield self._dsn(name)
        finally:
            _run(self.server, f"DROP DATABASE {name} WITH (FORCE)")

    def copies(self, name: str, rounds: int) -> Iterator[str]:
        """A database for each round, one after the other, all as one is now; the last round has that one itself."""
        for number in range(1, rounds):
            with self.database(f"{name}_{number}", name) as dsn:
                yield dsn
        yield self._dsn(name)

    def _dsn(self, name: str) -> str:
        return psycopg.conninfo.make_conninfo(self.server, dbname=name)


@contextmanager
def server() -> Iterator[str]:
    """A durable server with nothing on it, reached over a unix socket only."""
    home = Path(tempfile.mkdtemp(prefix="tally-bench-"))
    home.chmod(0o755)
    embedded = Embedded(home)
    try:
        yield embedded.start()
    finally:
        embedded.stop()
        for left in (home, embedded.socket):
            shutil.rmtree(left, ignore_errors=True)


def checkpoint(dsn: str) -> None:
    """Writes out what earlier work left behind, so that it is not paid for by what is measured next."""
    _run(dsn, "CHECKPOINT")


def settle(dsn: str) -> None:
    """Lets a database be as if what is in it had been there for a while.

    PostgreSQL tidies up by itself in the course of a minute or more. Who reads rows first otherwise marks them as
    committed, and with checksums every page so marked is written to the log whole: half of what a run would log.
    """
    _run(dsn, "VACUUM ANALYZE")
    checkpoint(dsn)


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """What a function answers in a process of its own, whose memory and time nothing else has used."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def copy_out(connection: psycopg.Connection, what: str) -> BinaryIO:
    """Rows as one binary COPY, ready to be copied in again: a temporary file, because a million licenses have many."""
    made = tempfile.TemporaryFile()  # noqa: SIM115
    with connection.cursor().copy(f"COPY {what} TO STDOUT (FORMAT BINARY)".encode()) as copy:
        made.writelines(bytes(part) for part in copy)
    made.seek(0)
    return made


def copy_in(connection: psycopg.Connection, table: str, made: BinaryIO) -> None:
    """The fastest way in that PostgreSQL has: rows made beforehand, in one binary COPY."""
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as copy:
        while part := made.read(PART):
            copy.write(part)


def _run(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())
