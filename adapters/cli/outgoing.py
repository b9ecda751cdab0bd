"""`tally endpoints`, `tally deliveries` and `tally deliver`: webhooks, and what became of each message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import msgspec
import typer

from adapters.bootstrap import Tally
from adapters.cli.opened import opened
from adapters.cli.printing import errors, named, progress, show, table_of
from adapters.cli.session import After, Limit, session
from adapters.outgoing import guard, signature
from adapters.outgoing.webhooks import Webhooks
from domain.announcement import TYPES
from domain.application.accounts import account_named
from domain.errors import Invalid, NotFound, Unavailable
from jobs.deliver import Message
from jobs.destinations import Destination

app, endpoints, deliveries = typer.Typer(), typer.Typer(), typer.Typer()

MESSAGES = """SELECT o.message, o.type, o.destination, o.state, o.attempts, o.status, o.recorded_at, o.due_at
FROM outbox o WHERE o.recorded_at >= coalesce((SELECT a.recorded_at FROM outbox a WHERE a.message = %(after)s),
'-infinity') AND (o.message > %(after)s OR o.recorded_at > (SELECT a.recorded_at FROM outbox a
WHERE a.message = %(after)s)) AND (%(state)s = '' OR o.state = %(state)s)
AND (%(to)s = '' OR o.destination = %(to)s) ORDER BY o.recorded_at, o.message LIMIT %(limit)s"""
ONE = """SELECT o.message, o.type, o.destination, o.state, o.attempts, o.status, o.recorded_at, o.due_at, o.body
FROM outbox o WHERE o.message = %s"""
SHOWN = ["message", "type", "to", "state", "tries", "status", "recorded at", "due at"]
ENDPOINTS = ["endpoint", "url", "types", "account", "state", "why", "failing since"]

Endpoint = Annotated[str, typer.Argument(help="the endpoint's id (ep_…)")]


@endpoints.command("add")
def add(
    url: Annotated[str, typer.Argument(help="https://HOST/PATH, at port 443 of a public host")],
    types: Annotated[str, typer.Option(help="what it is told, by commas: invoice.*,license.suspended")] = "*",
    account: Annotated[str, typer.Option(help="only of this account and those below it")] = "",
) -> None:
    """Tells a URL of everything from now on, and prints the secret that its receiver checks signatures by: once.

    Messages follow the Standard Webhooks convention. Secrets are derived from TALLY_OUTGOING_KEY, which has to be the
    same wherever messages are sent from. TALLY_OUTGOING_LOOPBACK=1 allows http://127.0.0.1:PORT, for trials only.
    """
    with opened() as tally:
        key = _key(tally)
        guard.target(url, tally.outgoing.loopback)
        whose = account_named(tally.billing, account).id if account else None
        name, wanted = f"ep_{uuid4().hex[:12]}", [one.strip() for one in types.split(",") if one.strip()]
        tally.deliverer  # noqa: B018 - its follower is there before the first destination is
        made = tally.destinations.add(name, "webhook", url, wanted, whose, datetime.now(UTC))
    _warn(tally)
    _show_secret(key, made)


@endpoints.command("rotate")
def rotate(endpoint: Endpoint) -> None:
    """Gives an endpoint another secret and prints it; both sign for 24 hours."""
    with opened() as tally:
        key = _key(tally)
        made = tally.destinations.rotate(endpoint, datetime.now(UTC))
    _show_secret(key, made)


def _show_secret(key: str, made: Destination) -> None:
    secret = signature.shown(signature.secret(key, made.id, made.generation))
    answer = {"endpoint": made.id, "url": made.url, "types": list(made.types), "secret": secret}
    show(answer, f"{made.id} is told of {', '.join(made.types)}; its secret, shown this once:\n{secret}")


def _warn(tally: Tally) -> None:
    if tally.outgoing.loopback:
        errors.print(
            "TALLY_OUTGOING_LOOPBACK is set: endpoints on this machine are allowed. Never in production.",
            style="bold red",
        )


def _key(tally: Tally) -> str:
    if tally.outgoing.key is None:
        raise Invalid("set TALLY_OUTGOING_KEY, from which secrets are derived: try `openssl rand -hex 32`, and keep it")
    key = tally.outgoing.key.told
    signature.check(key)
    return key


@endpoints.command("list")
def list_endpoints() -> None:
    """Lists endpoints, and mail, with their state."""
    with opened() as tally:
        found = tally.destinations.all()
    rows = [(one.id, one.url, ",".join(one.types), one.account, one.state, one.why, one.failing_since) for one in found]
    show([named(ENDPOINTS, row) for row in rows], table_of("Endpoints", ENDPOINTS, rows))


@endpoints.command("types")
def list_types() -> None:
    """Lists the types that can be asked for."""
    show(list(TYPES), "\n".join(TYPES))


@endpoints.command("enable")
def enable(endpoint: Endpoint) -> None:
    """Delivers again; what waited meanwhile goes out."""
    with opened() as tally:
        tally.destinations.enable(endpoint)
    show({"endpoint": endpoint, "state": "enabled"}, f"{endpoint} is enabled")


@endpoints.command("disable")
def disable(endpoint: Endpoint) -> None:
    """Delivers nothing until it is enabled; what is to be told waits."""
    with opened() as tally:
        tally.destinations.disable(endpoint, "by hand")
    show({"endpoint": endpoint, "state": "disabled"}, f"{endpoint} is disabled; what is to be told waits")


@endpoints.command("remove")
def remove(endpoint: Endpoint) -> None:
    """Ends an endpoint; what waited for it is dropped."""
    with opened() as tally:
        tally.destinations.remove(endpoint)
    show({"endpoint": endpoint, "state": "removed"}, f"{endpoint} is removed")


@endpoints.command("test")
def test(endpoint: Endpoint) -> None:
    """Sends a message of type endpoint.test now, and says what came of it."""
    with opened() as tally:
        chosen, now = tally.destinations.named(endpoint), datetime.now(UTC)
        content = msgspec.json.encode({"type": "endpoint.test", "timestamp": now.isoformat(), "data": {}})
        message = Message(0, f"msg_{uuid4().hex}", "endpoint.test", content, 0, chosen)
        verdict = Webhooks(_key(tally), tally.outgoing.loopback).carry(message, now)
    show({"endpoint": endpoint, "outcome": verdict.what, "status": verdict.status}, f"{verdict.what}: {verdict.status}")
    if verdict.what != "sent":
        raise Unavailable(f"{endpoint} did not take it: {verdict.status}")


@deliveries.command("list")
def list_deliveries(
    state: Annotated[str, typer.Option(help="waiting, sent, dead, skipped or dropped")] = "",
    endpoint: Annotated[str, typer.Option(help="only to this endpoint (or mail)")] = "",
    limit: Limit = 50,
    after: After = "",
) -> None:
    """Lists messages in the order in which they were recorded."""
    with opened() as tally, tally.pool.connection() as connection:
        words = {"after": after, "state": state, "to": endpoint, "limit": limit}
        rows = connection.execute(MESSAGES.encode(), words).fetchall()
    printed = [(*row[:6], *(f"{at:%Y-%m-%d %H:%M:%S}" for at in row[6:])) for row in rows]
    show([named(SHOWN, row) for row in rows], table_of("Messages", SHOWN, printed, right=["tries"]))


@deliveries.command("show")
def show_delivery(message: Annotated[str, typer.Argument(help="the message's id (msg_…)")]) -> None:
    """Shows one message with its content, as it is signed and sent."""
    with opened() as tally, tally.pool.connection() as connection:
        row = connection.execute(ONE.encode(), [message]).fetchone()
    if row is None:
        raise NotFound(f"there is no message {message}")
    content = json.loads(bytes(row[8]))
    answer = {**named(SHOWN, row[:8]), "body": content}
    show(
        answer,
        table_of(message, ["what", "is"], [*zip(SHOWN, row[:8], strict=True), ("body", json.dumps(content, indent=2))]),
    )


@deliveries.command("replay")
def replay(
    message: Annotated[str, typer.Argument(help="the message's id (msg_…)")] = "",
    endpoint: Annotated[str, typer.Option(help="all dead messages of this endpoint")] = "",
) -> None:
    """Sends again, under the same id: one message whatever became of it, or all dead ones of an endpoint."""
    if bool(message) == bool(endpoint):
        raise Invalid("name a message, or an endpoint by --endpoint")
    with opened() as tally:
        count = tally.deliverer.replay(message, endpoint)
    show({"replayed": count}, f"{count} messages wait to be sent again")


@deliveries.command("drop")
def drop(message: Annotated[str, typer.Argument(help="the message's id (msg_…)")]) -> None:
    """Never sends a message that waits or is dead."""
    with opened() as tally:
        tally.deliverer.drop(message)
    show({"message": message, "state": "dropped"}, f"{message} is dropped")


@app.command("deliver")
def deliver() -> None:
    """Sends what is due to endpoints and mailboxes, now; `tally scheduler` does it by itself. Any number may run."""
    with opened() as tally, progress("delivering", None) as done:
        counts = tally.deliverer.deliver_due(done)
    _warn(tally)
    told = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    show(dict(counts), told or "nothing is due")
    if not tally.outgoing.key and not tally.outgoing.smtp and not session.as_json:
        errors.print("neither TALLY_OUTGOING_KEY nor TALLY_SMTP_URL is set: nothing can be sent")
