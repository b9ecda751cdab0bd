"""Runs the billing run in several processes of this machine; other machines join with `tally worker`."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from datetime import date
from uuid import UUID

from adapters.bootstrap import Tally
from domain.errors import TallyError
from jobs import bill
from jobs.bill import Run
from jobs.close_counts import close_counts


def run_billing(
    tally: Tally,
    through: date,
    issued_on: date,
    accounts: list[UUID] | None = None,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Brings everything due through a date onto documents: closes counts, waits for the projections, bills.

    Raises: TallyError when workers ended before the run did; asking again resumes it.
    """
    follower = tally.follower()
    follower.catch_up()
    close_counts(tally.log, tally.pool, tally.packages, through)
    follower.catch_up()
    with tally.pool.connection() as connection:
        run = bill.open_run(connection, through, issued_on, accounts)
    if workers == 1:
        bill.work(tally.log, tally.pool, tally.packages, run, progress)
    else:
        _in_processes(tally, run, workers, progress)
    with tally.pool.connection() as connection:
        finished = bill.finish(connection, run) or bill.is_finished(connection, run)
    follower.catch_up()
    if not finished:
        raise TallyError(f"run {run.run} is not finished: a worker ended early; run it again to resume")
    return run


def work_on(dsn: str, run: Run) -> None:
    """What one worker process does: bills, then helps the projections to catch up."""
    with Tally(dsn) as tally:
        bill.work(tally.log, tally.pool, tally.packages, run)
        tally.follower().catch_up()


def _in_processes(tally: Tally, run: Run, workers: int, progress: Callable[[int], None] | None) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work_on, args=(tally.dsn, run)) for _ in range(workers)]
    for process in processes:
        process.start()
    told = 0
    while any(process.is_alive() for process in processes):
        told = _tell(tally, run, told, progress)
        time.sleep(0.1)
    _tell(tally, run, told, progress)
    for process in processes:
        process.join()


def _tell(tally: Tally, run: Run, told: int, progress: Callable[[int], None] | None) -> int:
    with tally.pool.connection() as connection:
        done = bill.report(connection, run.run)["licenses"]
    if progress:
        progress(done - told)
    return int(done)
