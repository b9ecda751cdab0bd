"""What a license costs in its sixth month beside its first: a run reads all that a license was ever billed.

Businesses that are alike but for their age, each billed for one month by one process: a younger right before and right
after the older, because processors do not keep their speed for long. What counts is the process's own processor time,
which grows with age; what PostgreSQL spends on reading more is not in it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import date

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from bench.figure import Figure
from bench.ground import Ground, apart, settle
from bench.population import append, counted, fill
from bench.progress import step

LICENSES = 10_000
FIRSTS = [date(2025, month, 1) for month in range(1, 8)]
"""The six months that the older business lives through, and the day that the last of them is billed on."""


def figures(ground: Ground) -> list[Figure]:
    """The run of a sixth month beside the run of a first one: how many times the cost of a license."""
    with ExitStack() as stack:
        before, older, after = (stack.enter_context(ground.database(name)) for name in ("before", "older", "after"))
        with step("making and billing five months of", LICENSES):
            fill(older, LICENSES, ground.workers)
            for month in FIRSTS[1:-1]:
                apart(_billed, older, month)
                apart(_counted, older, month)
        with step("making twice", LICENSES):
            fill(before, LICENSES, ground.workers)
            fill(after, LICENSES, ground.workers)
        with step("billing a month of three times", LICENSES):
            runs = [(before, FIRSTS[1]), (older, FIRSTS[-1]), (after, FIRSTS[1])]
            first, sixth, again = (apart(_billed, dsn, on) for dsn, on in runs)
    return [Figure.beside("cost_per_license_month_6_vs_month_1", 2 * sixth / (first + again), "times", 1)]


def _billed(dsn: str, on: date) -> float:
    """Seconds of processor time to bill everything due by a day."""
    settle(dsn)
    with Tally(dsn) as tally:
        begun = time.process_time()
        run_billing(tally, on, on)
        return time.process_time() - begun


def _counted(dsn: str, month: date) -> None:
    """A month of readings of every license, followed."""
    with Tally(dsn) as tally:
        append(tally, (counted(n, month) for n in range(LICENSES)))
        tally.follower().catch_up()
