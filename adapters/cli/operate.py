"""`tally db`, `projections`, `scheduler`, `worker`, `retention`, `doctor`: for whoever runs it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import psycopg
import typer

from adapters import schedule
from adapters.cli.opened import opened
from adapters.cli.printing import console, progress, show, show_table, table_of
from adapters.cli.session import session
from adapters.doctor import inspect
from adapters.embedded import Embedded
from adapters.settings import settings
from domain.errors import Invalid
from jobs import retention

database = typer.Typer(no_args_is_help=True, help="The embedded database: start, stop, status.")
projections = typer.Typer(no_args_is_help=True, help="Rows that follow the log: lag, rebuild, parked events.")


def register(app: typer.Typer) -> None:
    """Adds the commands that stand alone."""
    app.add_typer(projections, name="projections")
    app.command("scheduler")(scheduler)
    app.command("worker")(worker)
    app.command("doctor")(doctor)
    app.command("retention")(old_rows)


def _embedded() -> Embedded:
    chosen = settings(session.home)
    if chosen.database_url:
        raise Invalid("DATABASE_URL is set: that server is yours to start and stop")
    return Embedded(chosen.home)


@database.command("start")
def start() -> None:
    """Starts the embedded server; every command does it by itself."""
    dsn = _embedded().start()
    show({"dsn": dsn}, f"running: {dsn}")


@database.command("stop")
def stop() -> None:
    """Stops the embedded server."""
    stopped = _embedded().stop()
    show({"stopped": stopped}, "stopped" if stopped else "it did not run")


@database.command("status")
def status() -> None:
    """Says where the embedded server is and whether it runs."""
    found = _embedded().status()
    show(found, table_of("Embedded PostgreSQL", ["what", "is"], found.items()))


@projections.command("list")
def list_projections() -> None:
    """Lists projections with how far they are behind the log, and what is parked."""
    with opened() as tally:
        follower = tally.follower()
        lag, parked = follower.lag(), follower.parked()
    answer = {
        "lag": lag,
        "parked": [{"projection": p, "stream": s, "position": n, "error": e} for p, _, s, n, e in parked],
    }
    rows = [(name, behind, sum(one[0] == name for one in parked)) for name, behind in lag.items()]
    show(
        answer,
        table_of("Projections", ["projection", "events behind", "parked"], rows, right=["events behind", "parked"]),
    )
    if parked and not session.as_json:
        show_table(table_of("Parked", ["projection", "bucket", "stream", "position", "error"], parked))


@projections.command("rebuild")
def rebuild(name: str) -> None:
    """Makes a projection's rows again from the whole log, while the system runs."""
    with opened() as tally, progress(f"rebuilding {name}", None) as advance:
        follower = tally.follower()
        events = follower.rebuild(name, advance)
        follower.catch_up()
    show({"projection": name, "events": events}, f"{name}: {events} events taken in")


@projections.command("retry")
def retry(name: str) -> None:
    """Takes parked events in again, in order, after their fault was mended."""
    with opened() as tally:
        tried = tally.follower().retry(name)
    show({"projection": name, "tried": tried}, f"{name}: {tried} events tried again")


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


def worker(
    wait: Annotated[bool, typer.Option(help="wait for more jobs when there are none")] = True,
) -> None:
    """Carries out what the scheduler queued; start as many as you like, on as many machines."""
    with opened() as tally:
        if wait and not session.as_json:
            console.print("working; stop with Ctrl-C")
        schedule.work(tally, wait=wait)


def old_rows(
    drop: Annotated[bool, typer.Option("--drop", help="drop them now; the scheduler does once a day")] = False,
) -> None:
    """Counts messages that were delivered and webhooks that were dealt with, older than TALLY_KEEP_DAYS (90).

    Those go. What waits, is dead, parked or set aside stays until somebody deals with it, and so does all of the log.
    """
    days = settings(session.home).keep_days
    with opened() as tally:
        found = (retention.prune if drop else retention.old)(tally.pool, datetime.now(UTC) - timedelta(days=days))
    answer = {"older_than_days": days, "dropped": drop, **found}
    show(answer, table_of("Done with", ["what", "dropped" if drop else "will be dropped"], found.items()))


def doctor() -> None:
    """Looks at the live schema and the log: portability rules, heads, clock, the role that may only add."""
    with opened() as tally, psycopg.connect(tally.dsn) as connection:
        findings = inspect(connection)
        version = connection.info.server_version // 10000
    answer = {"postgresql": version, "findings": [finding._asdict() for finding in findings]}
    healthy = f"PostgreSQL {version}: nothing found"
    show(answer, table_of("Findings", ["rule", "object", "message"], findings) if findings else healthy)
    if findings:
        raise typer.Exit(3)
