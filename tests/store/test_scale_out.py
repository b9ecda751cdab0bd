"""One run by several machines on one PostgreSQL server: each joins by TCP, one dies, one comes later."""

from __future__ import annotations

import multiprocessing
import os
import signal

from adapters.billing_workers import run_billing, work_on
from adapters.bootstrap import Tally
from jobs import bill, issue
from jobs.verify import verify
from tests.builders import books
from tests.store.test_billing_run import FEBRUARY, a_business

SPAWNED = multiprocessing.get_context("spawn")
"""A forked process would inherit the forwarder's sockets, and keep the dead worker's connection and locks alive."""


def dies_in_its_second_chunk(dsn, run) -> None:
    """Bills one chunk and is killed in the middle of the next, after its documents were written."""
    begun, numbers = [], issue._numbers

    def step(*arguments):
        begun.append(True)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return numbers(*arguments)

    issue._numbers = step
    work_on(dsn, run)


def test_several_machines_bill_one_run_by_tcp_one_is_killed_and_one_added(tally, over_tcp, monkeypatch):
    monkeypatch.setattr(bill, "LICENSES_PER_CHUNK", 3)
    a_business(tally)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        run = bill.open_run(connection, FEBRUARY, FEBRUARY)
    killed = SPAWNED.Process(target=dies_in_its_second_chunk, args=(over_tcp, run))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    with tally.pool.connection() as connection:
        report = bill.report(connection, run.run)
    assert report["chunks_done"] == 1 < report["chunks"]
    added = [SPAWNED.Process(target=work_on, args=(over_tcp, run)) for _ in range(2)]
    for process in added:
        process.start()
    for process in added:
        process.join(60)
        assert process.exitcode == 0
    with tally.pool.connection() as connection:
        assert bill.finish(connection, run)
    numbers = [row[0] for row in books(tally)]
    assert numbers == [f"INV-{n:06d}" for n in range(1, 12 + 12 * 3 + 1)]
    assert [check.name for check in verify(tally.pool) if check.found] == []
    with Tally(over_tcp) as other:
        run_billing(other, FEBRUARY, FEBRUARY)
    assert len(books(tally)) == len(numbers)
