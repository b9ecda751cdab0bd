"""Keeps the cores awake while single round trips are timed: a virtual core that halts takes longer to wake than a
point read takes, and whether it halts is chance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context


@contextmanager
def awake() -> Iterator[None]:
    """Spins on every core at the lowest priority there is, which gives way to anything else at once."""
    spinning = [get_context("spawn").Process(target=_spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.join()


def _spin() -> None:
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)
    while True:
        pass
