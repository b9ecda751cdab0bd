"""`tally db`, `projections`, `retention`, `doctor`: for whoever looks after the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import psycopg
import typer

from adapters.cli.opened import opened
from adapters.cli.printing import progress, show, show_table, table_of
from adapters.cli.session import session
from adapters.doctor import inspect
from adapters.embedded import Embedded
from adapters.settings import settings
from domain.errors import Invalid
from jobs import retention

app, server, projections = typer.Typer(), typer.Typer(), typer.Typer()


def _embedded() -> Embedded:
    chosen = settings(session.home)
    if chosen.database_url:
        raise Invalid("DATABASE_URL is set: that server is yours to start and stop")
    return Embedded(chosen.home)


@server.command("start")
def start() -> None:
    """Starts the embedded server; every command does it by itself."""
    dsn = _embedded().start()
    show({"dsn": dsn}, f"running: {dsn}")


@server.command("stop")
def stop() -> None:
    """Stops the embedded server."""
    stopped = _embedded().stop()
    show({"stopped": stopped}, "stopped" if stopped else "it did not run")


@server.command("status")
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


@app.command("retention")
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


@app.command("doctor")
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
