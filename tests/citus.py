"""Databases on a Citus cluster, with our schema distributed as `adapters.doctor` declares it (ADR-0036, docs/citus.md).

Written by what Citus documents and by a trial with an earlier schema; this schema has not been on a cluster yet. So it
stands with the tests: nobody should distribute a database of theirs by statements that nobody has seen to work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from adapters.bootstrap import all_ddl
from adapters.doctor import SHARDED
from adapters.store.install import ROLE, install

SHARDS = 4
"""Of each table: few, because every test makes a database of its own."""
FIRST = "bucket_head"
APPENDING = (
    "advance(smallint, integer, timestamptz)",
    "append_one(smallint, timestamptz, uuid, integer, text, bytea, uuid, bytea)",
    "append(smallint, timestamptz, uuid[], integer[], text[], bytea[], uuid, bytea)",
)
"""Functions that touch the one bucket that they are given first: they may run where it lies."""

NODES = "SELECT groupid, nodename, nodeport FROM pg_dist_node WHERE noderole = 'primary' AND isactive ORDER BY groupid"
MAKE_ROLE = f"""DO $$ BEGIN CREATE ROLE {ROLE}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE {ROLE} LOGIN"""
"""The coordinator goes to the workers as the role that asks it, so there the role has to be let in."""


def coordinator(environment: Mapping[str, str]) -> str:
    """How to reach the cluster; skips where none is given, fails where it is no Citus."""
    dsn = environment.get("CITUS_DSN")
    if not dsn:
        pytest.skip("CITUS_DSN is not set: nothing was tried on Citus (docs/citus.md)", allow_module_level=True)
    with psycopg.connect(dsn) as connection:
        if not connection.execute("SELECT FROM pg_extension WHERE extname = 'citus'").fetchall():
            name = connection.info.dbname
            pytest.fail(f"CITUS_DSN: the extension citus is not in the database {name!r} that it names", pytrace=False)
    return dsn


def distribution() -> list[str]:
    """What distributes the schema: sharded tables by bucket, each bucket in one place; others stay."""
    place = {table: FIRST for table in sorted(SHARDED - {FIRST})}
    tables = [
        f"SELECT create_distributed_table('{table}', 'bucket', colocate_with => '{beside}')"
        for table, beside in ({FIRST: "none"} | place).items()
    ]
    functions = [
        f"SELECT create_distributed_function('{function}', 'p_bucket', colocate_with => '{FIRST}')"
        for function in APPENDING
    ]
    return tables + functions


@contextmanager
def fresh_database_on(cluster: str) -> Iterator[str]:
    """A database on all nodes with the schema installed and distributed, which is gone afterwards."""
    name = f"t{uuid4().hex}"
    with psycopg.connect(cluster) as connection:
        nodes = connection.execute(NODES).fetchall()
    servers = [cluster, *(_at(cluster, host=host, port=port) for group, host, port in nodes if group)]
    try:
        for server in servers:
            _run(server, f"CREATE DATABASE {name}", MAKE_ROLE)
            _run(_at(server, dbname=name), "CREATE EXTENSION citus")
        owner = _at(cluster, dbname=name)
        _run(owner, *(f"SELECT {_joins(group)}('{host}', {port})" for group, host, port in nodes))
        install(owner, all_ddl())
        _run(owner, f"SET citus.shard_count = {SHARDS}", *distribution())
        yield owner
    finally:
        for server in servers:
            _run(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _joins(group: int) -> str:
    return "citus_add_node" if group else "citus_set_coordinator_host"


def _at(dsn: str, **other: object) -> str:
    return psycopg.conninfo.make_conninfo(dsn, **other)


def _run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
