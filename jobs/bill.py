"""The billing run: every license brought to "billed = owed", chunk by chunk, by any number of workers.

A run is a row and its chunks, ranges of buckets of at most about 5,000 licenses. A worker claims one, reads its basis
in one snapshot, rates it in pure Python and issues in one transaction, which also marks the chunk done: killed at any
moment it can be repeated. One account's fault is recorded and never stops the others. Source: ADR-0012.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.identity import bucket_of
from domain.ports import Log
from domain.terms import Packages
from jobs.chunk import bill_chunk
from jobs.issue import Overtaken
from jobs.rate import Run
from projections.calm import tidy

LICENSES_PER_CHUNK = 5000
LEFT_IN_CHUNKS = 8
LEAST_PER_CHUNK = 500
"""A chunk holds an eighth of what is left at most, so that nobody waits long for another's last one."""

CONFLICTS = ("40001", "40P01")
CLAIM = """
SELECT chunk, buckets FROM billing_chunk WHERE run = %s AND NOT done ORDER BY chunk LIMIT 1 FOR UPDATE SKIP LOCKED"""
AWAIT = CLAIM.removesuffix(" SKIP LOCKED")
"""Waits for a chunk that somebody else works on: it is ours if they die, and done if they do not."""


def open_run(
    connection: psycopg.Connection, through: date, issued_on: date, accounts: Sequence[UUID] | None = None
) -> Run:
    """Opens a run, or joins the one that is not finished: a killed run is resumed by asking for it again."""
    wanted = sorted(accounts) if accounts is not None else None
    with connection.transaction():
        connection.execute("LOCK TABLE billing_run IN SHARE ROW EXCLUSIVE MODE")
        row = connection.execute(
            "SELECT run, issued_on FROM billing_run WHERE through = %s AND NOT finished "
            "AND accounts IS NOT DISTINCT FROM %s::uuid[]",
            [through, wanted],
        ).fetchone()
        chosen = None if accounts is None else frozenset(accounts)
        if row:
            return Run(row[0], through, row[1], chosen)
        number = connection.execute("SELECT count(*) + 1 FROM billing_run WHERE through = %s", [through]).fetchone()[0]  # type: ignore[index]
        run = Run(f"{through}#{number}", through, issued_on, chosen)
        connection.execute(
            "INSERT INTO billing_run (run, through, issued_on, number, accounts) VALUES (%s, %s, %s, %s, %s)",
            [run.run, through, issued_on, number, wanted],
        )
        _cut_in_chunks(connection, run)
        return run


def _cut_in_chunks(connection: psycopg.Connection, run: Run) -> None:
    """All buckets with licenses; or those of the chosen accounts, with licenses or not, so that all have been seen."""
    held: dict[int, int] = dict(connection.execute("SELECT bucket, count(*) FROM basis_v2 WHERE kind = 3 GROUP BY 1"))
    chosen = held if run.accounts is None else {bucket_of(account) for account in run.accounts}
    for number, buckets in enumerate(_chunks([(bucket, held.get(bucket, 0)) for bucket in sorted(chosen)])):
        connection.execute("INSERT INTO billing_chunk VALUES (%s, %s, %s)", [run.run, number, buckets])


def _chunks(sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    chunk: list[int] = []
    held, left = 0, sum([size for _, size in sizes])
    for bucket, size in sizes:
        if chunk and held + size > min(LICENSES_PER_CHUNK, max(left // LEFT_IN_CHUNKS, LEAST_PER_CHUNK)):
            yield chunk
            chunk, held, left = [], 0, left - held
        chunk.append(bucket)
        held += size
    if chunk:
        yield chunk


def work(
    log: Log,
    pool: ConnectionPool[psycopg.Connection],
    packages: Packages,
    run: Run,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Claims and bills chunks until all are done; several may work on one run, and each waits for the others.

    Shapes: `tell` is called after each chunk, and when all are done.
    """
    while True:
        try:
            with log.append() as append:
                claimed = append.query(CLAIM, [run.run]) or append.query(AWAIT, [run.run])
                if claimed:
                    bill_chunk(append, pool, packages, run, *claimed[0])
        except Overtaken:
            continue
        except psycopg.OperationalError as error:
            if error.sqlstate not in CONFLICTS:
                raise
            continue
        tidy()
        tell()
        if not claimed:
            return


def finish(connection: psycopg.Connection, run: Run) -> bool:
    """Marks a run finished when all its chunks are; whether it is."""
    done = connection.execute(
        "UPDATE billing_run SET finished = true WHERE run = %s "
        "AND NOT EXISTS (SELECT 1 FROM billing_chunk WHERE run = %s AND NOT done) RETURNING run",
        [run.run, run.run],
    ).fetchone()
    return done is not None


def is_finished(connection: psycopg.Connection, run: Run) -> bool:
    """Whether somebody marked the run finished."""
    return connection.execute("SELECT finished FROM billing_run WHERE run = %s", [run.run]).fetchone() == (True,)


def report(connection: psycopg.Connection, run: str) -> dict[str, int]:
    """The completeness report of a run: how many accounts were billed, had nothing due, were parked or failed.

    Shapes: counts of accounts, `licenses` looked at and `documents` issued; a parked account may be billed in part.
    """
    names = ("licenses", "billed", "nothing", "parked", "failed", "documents", "chunks", "chunks_done")
    row = connection.execute(
        "SELECT coalesce(sum(licenses), 0), coalesce(sum(billed), 0), coalesce(sum(nothing), 0), "
        "coalesce(sum(parked), 0), coalesce(sum(failed), 0), coalesce(sum(documents), 0), count(*), "
        "count(*) FILTER (WHERE done) FROM billing_chunk WHERE run = %s",
        [run],
    ).fetchone()
    assert row is not None
    return dict(zip(names, map(int, row), strict=True))


def exceptions(connection: psycopg.Connection, run: str) -> list[tuple[str, str, str]]:
    """Who was parked or failed in a run, and why: (account's reference, outcome, reason)."""
    return connection.execute(
        "SELECT coalesce(a.reference, e.account::text), e.outcome, e.reason FROM billing_exception e "
        "LEFT JOIN account_v2 a ON a.bucket = e.bucket AND a.account = e.account WHERE e.run = %s ORDER BY 1, 2, 3",
        [run],
    ).fetchall()
