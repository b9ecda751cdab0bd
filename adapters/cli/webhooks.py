"""`tally webhooks`: what providers told, what became of it, and what waits for a person."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from adapters.bootstrap import Tally
from adapters.bootstrap.payments import collector_of
from adapters.cli.opened import opened
from adapters.cli.printing import progress, show, table_of
from adapters.cli.session import After, Limit
from domain.errors import Invalid
from jobs import inbox
from jobs.inbox import Entry
from jobs.take_in import LISTED_FOR, Processor, catch_up

app = typer.Typer()

STATES = ("", "new", "done", "parked", "foreign", "quarantined")
NAMES = ["event", "provider", "kind", "state", "tries", "received at", "reason"]
Event = Annotated[str, typer.Argument(help="the provider's id of it, as `tally webhooks list` shows it")]


def _row(one: Entry) -> tuple[object, ...]:
    return (one.event, one.provider, one.kind, one.state, one.tries, f"{one.received_at:%Y-%m-%d %H:%M}", one.why)


@app.command("list")
def list_events(
    state: Annotated[str, typer.Option(help="new, done, parked, foreign or quarantined")] = "",
    provider: Annotated[str, typer.Option(help="only of this one")] = "",
    limit: Limit = 50,
    after: After = "",
) -> None:
    """Lists what came in, the newest first: parked events are tried again, quarantined ones wait for a person."""
    if state not in STATES:
        raise Invalid(f"{state!r} is not one of {', '.join(STATES[1:])}")
    with opened() as tally:
        found = inbox.listed(tally.pool, state, provider, after, limit)
    show([one._asdict() for one in found], table_of("Webhooks", NAMES, map(_row, found), right=["tries"]))


@app.command("show")
def show_event(
    event: Event, seen: Annotated[bool, typer.Option(help="you looked at it: `verify` tells of it no more")] = False
) -> None:
    """Shows an event as it came, with the reason for where it stands."""
    with opened() as tally:
        if seen:
            inbox.mark_seen(tally.pool, event, datetime.now(UTC))
        found = [(one, *inbox.content(tally.pool, one)) for one in inbox.named(tally.pool, event)]
    answer = [
        {**one._asdict(), "headers": json.loads(headers), "body": body.decode(errors="replace")}
        for one, headers, body in found
    ]
    rows = [(name, value) for one in answer for name, value in one.items()]
    show(answer, table_of(event, ["what", "is"], rows))


@app.command("replay")
def replay(event: Event) -> None:
    """Takes an event in again, whatever became of it: what it tells of is read anew, and has no second effect."""
    with opened() as tally:
        inbox.replay(tally.pool, event, datetime.now(UTC))
        _processor(tally).process()
        found = inbox.named(tally.pool, event)
    says = "; ".join(f"{one.provider}: {one.state}: {one.why}" for one in found)
    show([one._asdict() for one in found], says)


@app.command("process")
def process() -> None:
    """Deals with what is due in the inbox; `tally serve` does it by itself. Any number may run at once."""
    with opened() as tally, progress("taking in", None) as done:
        processor, total = _processor(tally), dict[str, int]()
        while counts := processor.process(limit=100):
            done(counts.total())
            for state, number in counts.items():
                total[state] = total.get(state, 0) + number
    show(total, ", ".join(f"{number} {state}" for state, number in sorted(total.items())) or "nothing is due")


@app.command("catch-up")
def ask_providers(
    days: Annotated[int, typer.Option(min=0, max=30, help="so far back; 0: from where the last one was")] = 0,
) -> None:
    """Asks providers for what their webhooks missed, and keeps it; 30 days is as far as they remember."""
    now = datetime.now(UTC)
    since = now - min(timedelta(days=days), LISTED_FOR) if days else None
    answer: dict[str, dict[str, int]] = {}
    with opened() as tally:
        for name, provider in collector_of(tally).providers.items():
            counts = catch_up(provider, tally.pool, now, since)
            answer[name] = {"new": counts["new"], "known": counts["known"]}
    lines = [f"{name}: {one['new']} new, {one['known']} known" for name, one in answer.items()]
    show(answer, "\n".join(lines))


def _processor(tally: Tally) -> Processor:
    return Processor(collector_of(tally), tally.pool, tally.follower().catch_up)
