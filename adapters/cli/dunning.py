"""`tally dunning`: overdue invoices, how far each is on its ladder, and what a person decides about one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated

import typer

from adapters.bootstrap import Tally
from adapters.cli.amounts import Listing
from adapters.cli.opened import opened
from adapters.cli.printing import progress, show, show_rows, table_of
from adapters.cli.session import After, Limit, OptionalDay, on_day, today
from domain.application import Command
from domain.application.dunning import ClaimTransfer, PauseDunning, ResumeDunning, WriteOff
from domain.errors import Invalid, NotFound
from domain.matching import Owed
from jobs.bank import owed
from jobs.collect import Collector
from jobs.dun import dun_zones
from jobs.settle import settle
from jobs.timeline import timeline

FIRST_ZONE = "Pacific/Kiritimati"
"""Where each day begins first."""
app = typer.Typer()

Number = Annotated[str, typer.Argument(help="the number of the invoice")]
Why = Annotated[str, typer.Option(help="why, for whoever reads the timeline")]
CHASES = """SELECT i.number, a.reference, i.currency, i.left_open, i.due_on, d.state, d.stage, d.effect, d.next_on,
(SELECT string_agg(CASE WHEN value = 'null' THEN key ELSE key || ' until ' || (value #>> '{}') END, ', ' ORDER BY key)
FROM jsonb_each(d.pauses)) FROM dunning_v1 d
JOIN receivable_v1 i ON i.bucket = d.bucket AND i.invoice = d.invoice
JOIN account_v2 a ON a.bucket = i.bucket AND a.account = i.account
WHERE i.number > %s AND (%s OR d.state <> 'ended') ORDER BY i.number LIMIT %s"""
CHASED = Listing(
    ["number", "account", "currency", "open", "due on", "state", "stage", "effect", "next on", "waits for"],
    amounts=["open"], terms=["state", "effect", "waits for"],
)  # fmt: skip


@app.command("list")
def list_chases(
    ended: Annotated[bool, typer.Option("--ended", help="those that are over too")] = False,
    limit: Limit = 50,
    after: After = "",
) -> None:
    """Lists invoices that are chased: how far each is, what it waits for, and when its next step is."""
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            rows = connection.execute(CHASES.encode(), [after, ended, limit]).fetchall()
    show_rows("Overdue", CHASED, rows)


@app.command("show")
def show_timeline(number: Number) -> None:
    """Shows everything that happened to an invoice, in order: charges, receipts, disputes, reminders, what stopped."""
    with opened() as tally:
        invoice = _invoice(tally, number)
        moments = timeline(tally.pool, invoice.invoice, invoice.account, invoice.currency)
    rows = [(f"{one.at:%Y-%m-%d %H:%M}", one.text) for one in moments]
    show([one._asdict() for one in moments], table_of(f"{number}, as recorded", ["at", "text"], rows))


@app.command("run")
def run(on: OptionalDay = None) -> None:
    """Lets every overdue invoice take its turn: what the scheduler does each day. A second time it changes nothing.

    Without --on the day is today in each payer's zone. Nobody is charged where no key of a provider is set: charges
    that are due wait. A day that has begun nowhere yet is refused: steps cannot be taken back.
    """
    if on is not None and on > today(FIRST_ZONE):
        raise Invalid(f"{on} is yet to come: nobody is overdue on it")
    with opened() as tally:
        collector = Collector(tally.billing, tally.providers) if tally.providers else None
        settle(tally.billing, tally.pool, on or today(), tally.follower().catch_up)
        with progress("overdue invoices", None) as done:
            found = dun_zones(tally.billing, tally.pool, collector, lambda zone: on or today(zone), done)
    counts = ", ".join(f"{number} {what}" for what, number in sorted(found.counts.items())) or "nothing to do"
    faults = [f"{number}: {fault}" for number, fault in found.faults.items()]
    show({"counts": dict(found.counts), "faults": found.faults}, "\n".join([counts, *faults]))
    if faults:
        raise typer.Exit(1)


@app.command("claim")
def claim(
    number: Number,
    on: Annotated[date, on_day("the day on which the customer says to have transferred it")],
) -> None:
    """Takes down that a customer says to have paid by bank: the ladder waits for the money, once."""
    with opened() as tally:
        until = tally.billing.execute(ClaimTransfer(_invoice(tally, number).invoice, on, today()))
    show({"number": number, "until": until}, f"{number} waits for the transfer until {until}")


@app.command("pause")
def pause(
    number: Number,
    until: OptionalDay = None,
    why: Why = "",
    restore: Annotated[bool, typer.Option("--restore", help="let its licenses serve meanwhile")] = False,
) -> None:
    """Stops the ladder of an invoice until it is resumed, or until a day; what is left keeps its distances."""
    with opened() as tally:
        command = PauseDunning(_invoice(tally, number).invoice, today(), until, why, restore)
        tally.billing.execute(command)
    show(
        {"number": number, "paused": True, "until": until},
        f"{number} is not chased{f' until {until}' if until else ''}",
    )


@app.command("resume")
def resume(number: Number, why: Why = "") -> None:
    """Lets the ladder of an invoice go on that a person had stopped."""
    _done(number, lambda tally: ResumeDunning(_invoice(tally, number).invoice, today(), why), "goes on")


@app.command("write-off")
def write_off(number: Number, why: Why = "") -> None:
    """Gives an invoice up: it is neither chased nor charged any more; it stays open, and its licenses stay stopped."""
    _done(number, lambda tally: WriteOff(_invoice(tally, number).invoice, today(), why), "is written off")


def _done(number: str, command: Callable[[Tally], Command], what: str) -> None:
    with opened() as tally:
        tally.billing.execute(command(tally))
    show({"number": number, "done": what}, f"{number} {what}")


def _invoice(tally: Tally, number: str) -> Owed:
    tally.follower().catch_up()
    found = next(iter(owed(tally.pool, [number])), None)
    if found is None:
        raise NotFound(f"there is no invoice {number}")
    return found
