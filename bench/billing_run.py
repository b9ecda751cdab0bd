"""How fast the billing run is beside a raw COPY of the very rows that it wrote, and what it costs in memory and size.

Each license has 30 readings, tiers and tax. The COPY goes into the same tables, indexes and constraints and all.
"""

from __future__ import annotations

import resource
import time
from functools import cache
from typing import NamedTuple

import psycopg

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from bench.figure import Figure, middle
from bench.ground import Ground, apart, checkpoint, copy_in, copy_out, settle
from bench.population import FEBRUARY, events_of, fill, filled
from bench.progress import share, step

MEMORY_MB = 512
SHORT = 100_000
"""Licenses up to which a run is short enough for a lucky or an unlucky moment to matter."""
BILLED = "SELECT sum(position) - {} FROM bucket_head"
WRITTEN = {
    "event": "topic IN ('invoice.issued', 'credit_note.issued')",
    "billed_line": "true",
    "coverage": "true",
    "document_v1": "true",
}


class Round(NamedTuple):
    """One run: licenses in a second that it billed and that COPY of its rows wrote, the most memory of any worker."""

    rate: float
    floor: float
    peak_mb: float


class Measured(NamedTuple):
    """The rounds of one size."""

    licenses: int
    rounds: list[Round]

    @property
    def rate(self) -> float:
        """Licenses billed in a second by the round in the middle."""
        return middle(sorted(one.rate for one in self.rounds))

    @property
    def peak_mb(self) -> float:
        """The most memory of any worker in any round."""
        return max(one.peak_mb for one in self.rounds)


def figures(ground: Ground) -> list[Figure]:
    """Billing runs of every size against COPY of their rows; a worker's peak memory; cost of a license by size."""
    runs = [measured(ground, licenses) for licenses in ground.licenses]
    found = [
        Figure.of_rounds(
            f"billing_run_{_size(run)}_vs_copy", "licenses/s", [(one.rate, one.floor) for one in run.rounds]
        )
        for run in runs
    ]
    found += [Figure.beside(f"run_peak_memory_{_size(run)}_mb", run.peak_mb, "MB", MEMORY_MB) for run in runs]
    found.append(Figure.beside("run_peak_memory_mb", max(run.peak_mb for run in runs), "MB", MEMORY_MB))
    return found + [
        Figure.beside(f"cost_per_license_{_size(run)}_vs_{_size(runs[0])}", runs[0].rate / run.rate, "times", 1)
        for run in runs[1:]
    ]


@cache
def measured(ground: Ground, licenses: int) -> Measured:
    """Runs the billing runs of a size, however many figures ask for them."""
    name = f"billing_{licenses}"
    with ground.database(name) as dsn:
        with step("making", licenses, filled(dsn, licenses)):
            fill(dsn, licenses, ground.workers)
            settle(dsn)
        rounds = ground.rounds if licenses <= SHORT else 1
        return Measured(licenses, [_round(ground, one, licenses) for one in ground.copies(name, rounds)])


def _round(ground: Ground, dsn: str, licenses: int) -> Round:
    with step("billing", licenses, share(dsn, BILLED.format(events_of(licenses)), licenses)):
        seconds, peak_mb = apart(_billed, dsn, ground.workers)
    with step("copying the rows of", licenses):
        copied = apart(_copied, dsn)
    return Round(licenses / seconds, licenses / copied, peak_mb)


def _billed(dsn: str, workers: int) -> tuple[float, float]:
    """Seconds of the run, and the peak memory in MB of this process, which is one of the workers, and of the others."""
    with Tally(dsn) as tally:
        checkpoint(dsn)
        begun = time.perf_counter()
        run_billing(tally, FEBRUARY, FEBRUARY, workers=workers)
        seconds = time.perf_counter() - begun
    peaks = [resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return seconds, max(peaks) / 1024


def _copied(dsn: str) -> float:
    """Seconds to COPY the same rows into the same tables."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        data = {}
        for table, where in WRITTEN.items():
            data[table] = copy_out(connection, f"(SELECT * FROM {table} WHERE {where})")
            connection.execute(f"CREATE TABLE floor_{table} (LIKE {table} INCLUDING ALL)".encode())
        checkpoint(dsn)
        begun = time.perf_counter()
        for table, made in data.items():
            copy_in(connection, f"floor_{table}", made)
        return time.perf_counter() - begun


def _size(run: Measured) -> str:
    licenses = run.licenses
    if licenses % 1_000_000 == 0:
        return f"{licenses // 1_000_000}m"
    return f"{licenses // 1000}k" if licenses % 1000 == 0 else str(licenses)
