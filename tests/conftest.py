"""What tests share: one real PostgreSQL for the session, a fresh database for each test that asks for one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from adapters.bootstrap import Tally, all_ddl
from adapters.embedded import Embedded
from adapters.store.install import install
from tests.forwarder import Forwarder

settings.register_profile("tally", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("tally")

TEMPLATE = f"tally_template_{os.getpid()}"
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A server for the session (DATABASE_URL, else an embedded one) with a template database.

    Tests make databases of their own on it, and drop them; the one that DATABASE_URL names is left alone.
    """
    given = os.environ.get("DATABASE_URL")
    home = Path(tempfile.mkdtemp(prefix="tally-test-"))
    home.chmod(0o755)
    embedded = Embedded(home, durable=False)
    dsn = given or embedded.start()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    install(_named(dsn, TEMPLATE), all_ddl())
    yield dsn
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {TEMPLATE} WITH (FORCE)")
    if not given:
        embedded.stop()
    shutil.rmtree(home, ignore_errors=True)


def _named(dsn: str, database: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn, dbname=database)


@pytest.fixture
def dsn(server: str) -> Iterator[str]:
    """A fresh database with the schema installed."""
    with fresh_database(server) as dsn:
        yield dsn


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """A database with the schema installed, which is gone afterwards."""
    name = f"t{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield _named(server, name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def over_tcp(dsn: str) -> Iterator[str]:
    """The fresh database by TCP, as another machine would reach it."""
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    if not str(given.get("host", "")).startswith("/"):
        yield dsn
        return
    with Forwarder(f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}") as port:
        yield psycopg.conninfo.make_conninfo(dsn, host="127.0.0.1", port=port)


@pytest.fixture
def tally(dsn: str) -> Iterator[Tally]:
    """Tallystick on a fresh database."""
    with Tally(dsn) as opened:
        yield opened


@pytest.fixture
def shared() -> Path:
    """The reference data beside the project; tests that want it are skipped where it is not."""
    if not SHARED.exists():
        pytest.skip("the reference data (../shared) is not here")
    return SHARED
