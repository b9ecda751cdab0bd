"""Runs the billing run in several processes of this machine; other machines join with `tally worker`."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from multiprocessing.connection import Connection
from uuid import UUID

from adapters.bootstrap import Tally
from domain.errors import TallyError
from jobs import bill
from jobs.close_counts import close_counts
from jobs.rate import Run
from projections.calm import calm, tidy


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
    with _helpers(tally.dsn, workers - 1) as give:
        run = _opened(tally, through, issued_on, accounts)
        give(run)
        finished = _worked(tally, run, _telling(tally, run, progress))
    if not finished:
        raise TallyError(f"run {run.run} is not finished: a worker ended early; run it again to resume")
    return run


def _opened(tally: Tally, through: date, issued_on: date, accounts: list[UUID] | None) -> Run:
    """A run over everything that was recorded until now."""
    follower = tally.follower()
    follower.catch_up()
    close_counts(tally.log, tally.pool, tally.packages, through)
    follower.catch_up()
    with tally.pool.connection() as connection:
        return bill.open_run(connection, through, issued_on, accounts)


def _worked(tally: Tally, run: Run, tell: Callable[[], None]) -> bool:
    """Whether the run is finished, by whomever, when there is nothing left to do."""
    with calm():
        bill.work(tally.log, tally.pool, tally.packages, run, tell)
        with tally.pool.connection() as connection:
            finished = bill.finish(connection, run) or bill.is_finished(connection, run)
        tally.follower().catch_up(tidy)
    return finished


def work_on(dsn: str, run: Run) -> None:
    """What one worker process does: bills, then helps the projections to catch up."""
    with Tally(dsn) as tally, calm():
        bill.work(tally.log, tally.pool, tally.packages, run)
        tally.follower().catch_up(tidy)


@contextmanager
def _helpers(dsn: str, count: int) -> Iterator[Callable[[Run], None]]:
    """More processes, which load at once and work on the run that they are given: nothing is given where we fail."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in range(count)]
    processes = [context.Process(target=_help, args=(dsn, given)) for given, _ in pipes]
    for process, (given, _) in zip(processes, pipes, strict=True):
        process.start()
        given.close()

    def give(run: Run) -> None:
        for _, giving in pipes:
            with suppress(BrokenPipeError):
                giving.send(run)

    try:
        yield give
    finally:
        for _, giving in pipes:
            giving.close()
        for process in processes:
            process.join()


def _help(dsn: str, given: Connection) -> None:
    try:
        run = given.recv()
    except (EOFError, KeyboardInterrupt):
        return
    work_on(dsn, run)
    # What is remembered of a run is many small things, and giving each back takes longer than ending without.
    os._exit(0)


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
