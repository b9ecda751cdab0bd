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
from bench.figure import Figure
from bench.ground import Ground, apart, checkpoint, copy_in, copy_out
from bench.population import FEBRUARY, fill

SMALL = 10_000
MEMORY_MB = 512
WRITTEN = {
    "event": "topic IN ('invoice.issued', 'credit_note.issued')",
    "billed_line": "true",
    "coverage": "true",
    "document_v1": "true",
}


class Measured(NamedTuple):
    """One run: its licenses, the seconds that it and the COPY of its rows took, the most memory of any worker."""

    licenses: int
    seconds: float
    copied: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Licenses billed in a second."""
        return self.licenses / self.seconds


def figures(ground: Ground) -> list[Figure]:
    """The billing run against COPY of its rows; a worker's peak memory; what a license costs in a larger run."""
    runs = [measured(ground, licenses) for licenses in sorted({min(SMALL, ground.licenses), ground.licenses})]
    found = [
        Figure.beside(f"billing_run_{_size(run.licenses)}_vs_copy", run.rate, "licenses/s", run.licenses / run.copied)
        for run in runs
    ]
    found.append(Figure.beside("run_peak_memory_mb", max(run.peak_mb for run in runs), "MB", MEMORY_MB))
    if len(runs) > 1:
        name = f"cost_per_license_{_size(ground.licenses)}_vs_{_size(SMALL)}"
        found.append(Figure.beside(name, runs[0].rate / runs[1].rate, "times", 1))
    return found


@cache
def measured(ground: Ground, licenses: int) -> Measured:
    """Runs the billing run once for each size, however many figures ask for it."""
    with ground.database(f"billing_{licenses}") as dsn:
        apart(fill, dsn, licenses)
        seconds, peak_mb = apart(_billed, dsn, ground.workers)
        return Measured(licenses, seconds, apart(_copied, dsn), peak_mb)


def _billed(dsn: str, workers: int) -> tuple[float, float]:
    """Seconds of the run, and the peak memory in MB of this process, which is one of the workers, and of the others."""
    with Tally(dsn) as tally:
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
        for table, body in data.items():
            copy_in(connection, f"floor_{table}", body)
        return time.perf_counter() - begun


def _size(licenses: int) -> str:
    if licenses % 1_000_000 == 0:
        return f"{licenses // 1_000_000}m"
    return f"{licenses // 1000}k" if licenses % 1000 == 0 else str(licenses)
