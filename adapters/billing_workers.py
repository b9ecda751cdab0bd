"""Runs the billing run in several processes of this machine; other machines join with `tally worker`."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    Shapes: this process is one of the `workers`. Raises: TallyError when the run did not end; asking again resumes it.
    """
    follower = tally.follower()
    follower.catch_up()
    close_counts(tally.log, tally.pool, tally.packages, through)
    follower.catch_up()
    with tally.pool.connection() as connection:
        run = bill.open_run(connection, through, issued_on, accounts)
    tell = _telling(tally, run, progress)
    with _helpers(tally.dsn, run, workers - 1), _calm_collector():
        bill.work(tally.log, tally.pool, tally.packages, run, tell)
        with tally.pool.connection() as connection:
            finished = bill.finish(connection, run) or bill.is_finished(connection, run)
        follower.catch_up(_tidy)
    if not finished:
        raise TallyError(f"run {run.run} is not finished: a worker ended early; run it again to resume")
    return run


def work_on(dsn: str, run: Run) -> None:
    """What one worker process does: bills, then helps the projections to catch up."""
    with Tally(dsn) as tally, _calm_collector():
        bill.work(tally.log, tally.pool, tally.packages, run)
        tally.follower().catch_up(_tidy)


@contextmanager
def _calm_collector() -> Iterator[None]:
    """Keeps the garbage collector from walking millions of live facts again and again; each part is tidied after it."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _tidy(_: int) -> None:
    gc.collect(0)


@contextmanager
def _helpers(dsn: str, run: Run, count: int) -> Iterator[None]:
    """More processes that work on the run for as long as this one does."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work_on, args=(dsn, run)) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.join()


def _telling(tally: Tally, run: Run, progress: Callable[[int], None] | None) -> Callable[[], None]:
    """Says after a chunk how many licenses were looked at since the last time, by whomever."""
    told = 0

    def tell() -> None:
        nonlocal told
        with tally.pool.connection() as connection:
            done = bill.report(connection, run.run)["licenses"]
        if progress and done > told:
            progress(done - told)
        told = done

    return tell
