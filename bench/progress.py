"""Says what is going on, how far it is and about how long it will take: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

COLUMNS = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left:"))
LOOK = 1.0
"""Seconds between two looks at how far it is: each is one small query."""

_paces: dict[str, float] = {}
"""Seconds for one, by what was done: what a smaller size took says how long a larger one will."""


@contextmanager
def step(what: str, size: int, done: Callable[[], float] | None = None) -> Iterator[None]:
    """Shows that something is done to so many; `done` says how much of it is, from 0 to 1."""
    console, named = Console(), f"{what} {size:,} licenses"
    expected = f", about {_spoken(_paces[what] * size)}" if what in _paces else ""
    if not console.is_terminal:
        print(f"  {named}{expected} ...", flush=True)
    begun = time.perf_counter()
    with (
        Progress(
            *COLUMNS,
            TimeRemainingColumn(),
            console=console,
            transient=True,
            refresh_per_second=2,
            disable=not console.is_terminal,
        ) as bar,
        _looked_at(bar, named + expected, done),
    ):
        yield
    seconds = time.perf_counter() - begun
    _paces[what] = seconds / size
    console.print(f"  {named}: {_spoken(seconds)}", highlight=False)


@contextmanager
def _looked_at(bar: Progress, shown: str, done: Callable[[], float] | None) -> Iterator[None]:
    task, ended = bar.add_task(shown, total=1 if done else None), Event()

    def look() -> None:
        while done and not ended.wait(LOOK):
            bar.update(task, completed=min(done(), 1))

    looking = Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()


def share(dsn: str, query: str, whole: int) -> Callable[[], float]:
    """How much of a whole a query finds; nothing as long as its tables are not there."""

    def found() -> float:
        with suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
            return float(row[0] or 0) / whole if row else 0
        return 0

    return found


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
