"""`tally scheduler` and `tally worker`: what runs by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from adapters import schedule
from adapters.cli.opened import opened
from adapters.cli.printing import console
from adapters.cli.session import session
from adapters.settings import settings

app = typer.Typer()


@app.command("scheduler")
def scheduler(
    seconds: Annotated[float, typer.Option(help="stop after so many seconds; 0: serve until stopped")] = 0,
    interval: Annotated[float, typer.Option(help="seconds between wakes", min=0.1)] = 60.0,
) -> None:
    """Wakes billing by itself: every account on its billing day, in its zone. Several may run; one leads."""
    with opened() as tally:
        if not session.as_json:
            console.print("scheduling; stop with Ctrl-C")
        keep = timedelta(days=settings(session.home).keep_days)
        schedule.Scheduler(tally, interval=interval, keep=keep).run(seconds or None)


@app.command("worker")
def worker(
    wait: Annotated[bool, typer.Option(help="wait for more jobs when there are none")] = True,
) -> None:
    """Carries out what the scheduler queued; start as many as you like, on as many machines."""
    with opened() as tally:
        if wait and not session.as_json:
            console.print("working; stop with Ctrl-C")
        schedule.work(tally, wait=wait)
