"""More of `tally payments`: money that goes back, what is on hold for it, and what customers have to do themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from adapters.bootstrap.payments import collector_of, refunder_of
from adapters.bootstrap.providers import provider_of
from adapters.cli.amounts import Listing, Money, units_of
from adapters.cli.opened import back_to, opened
from adapters.cli.payments import RECEIPT
from adapters.cli.printing import progress, show, show_rows
from adapters.cli.session import After, CommandId, Limit, command_id, today
from domain.application.holds import ReleaseHold
from domain.application.payments import collection
from domain.application.returns import OpenRefund
from domain.errors import Conflict, NotFound
from jobs.bank import owed_on
from jobs.refund import follow_refunds

app = typer.Typer()

REFUNDS = """SELECT r.refund::text, a.reference, r.receipt, r.number, r.currency, r.amount, r.state, r.code, r.opened_at
FROM refund_v1 r JOIN account_v2 a USING (bucket, account)
WHERE r.refund::text > %s ORDER BY r.refund::text LIMIT %s"""
REFUNDED = Listing(
    ["refund", "account", "receipt", "number", "currency", "amount", "state", "code", "opened at"], ["amount"]
)
DISPUTES = """SELECT d.dispute, a.reference, d.receipt, d.currency, d.amount, d.withdrawn, d.given_back, d.state,
d.reason FROM dispute_v1 d JOIN account_v2 a USING (bucket, account) WHERE d.dispute > %s ORDER BY d.dispute LIMIT %s"""
DISPUTED = Listing(
    ["dispute", "account", "receipt", "currency", "amount", "withdrawn", "given back", "state", "reason"],
    amounts=["amount", "withdrawn", "given back"],
)
HOLDS = """SELECT * FROM (SELECT i.number, a.reference, i.currency, i.left_open, h.hold, h.since FROM hold_v1 h
JOIN receivable_v1 i USING (bucket, invoice) JOIN account_v2 a ON a.bucket = i.bucket AND a.account = i.account
WHERE i.number > %s ORDER BY i.number FETCH FIRST %s ROWS WITH TIES) h ORDER BY number, hold"""
HELD = Listing(["number", "account", "currency", "open", "hold", "since"], ["open"])
Number = Annotated[str, typer.Argument(help="the number of the invoice")]


@app.command("refund")
def refund(
    receipt: Annotated[str, typer.Argument(help="whose money goes back, as `tally payments list` names it")],
    amount: Annotated[str | None, typer.Option(help="how much, such as 12.50; all that is left unless told")] = None,
    why: Annotated[str, typer.Option(help="for the books")] = "",
    id: CommandId = "",
) -> None:
    """Gives money of a receipt back by the provider that it came by: once, whatever becomes of the call.

    Credit is given back first; an invoice that is opened again by it is on hold, so that nobody is charged for it.
    """
    with opened() as tally:
        refunder = refunder_of(tally)
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            row = connection.execute(RECEIPT, [receipt]).fetchone()
        if row is None:
            raise NotFound(f"there is no receipt {receipt}")
        units = 0 if amount is None else units_of(amount, row[1], "--amount")
        if amount is not None and units <= 0:
            raise Conflict(f"a refund is above zero, not {amount}")
        wanted = OpenRefund(row[0], row[1], receipt, datetime.now(UTC), units, why)
        given = refunder.begin(wanted, command_id(id))
    if given is None:
        show({"receipt": receipt, "state": "done before"}, f"{receipt}: this refund was asked for before")
        return
    back = Money(given.opened.amount, row[1])
    answer = {"refund": given.opened.refund, "receipt": receipt, "currency": row[1], "amount": back,
              "state": given.state, "code": given.code}  # fmt: skip
    show(answer, f"{back} of {receipt}: {given.state} {given.code}".rstrip())


@app.command("refunds")
def refunds(
    follow: Annotated[bool, typer.Option("--follow", help="ask the providers about those under way")] = False,
    limit: Limit = 50,
    after: After = "",
) -> None:
    """Lists refunds that we asked for, and where each stands."""
    if follow:
        with opened() as tally, progress("asking", None) as done:
            tally.follower().catch_up()
            follow_refunds(refunder_of(tally), tally.pool, done)
    _list("Refunds", REFUNDS, REFUNDED, after, limit)


@app.command("disputes")
def disputes(limit: Limit = 50, after: After = "") -> None:
    """Lists disputes: what was taken from us for each, and what came back."""
    _list("Disputes", DISPUTES, DISPUTED, after, limit)


@app.command("holds")
def holds(limit: Limit = 50, after: After = "") -> None:
    """Lists open invoices that nobody is charged for, because a refund or a dispute opened them again."""
    _list("On hold", HOLDS, HELD, after, limit)


@app.command("release")
def release(number: Number, why: Annotated[str, typer.Option(help="for the books")] = "") -> None:
    """Lets an invoice be collected again that was on hold."""
    with opened() as tally:
        tally.follower().catch_up()
        released = tally.billing.execute(ReleaseHold(owed_on(tally.pool, number).invoice, today(), why))
    show({"number": number, "released": released}, f"{number} may be collected again: {', '.join(released)} is over")


@app.command("page")
def page(
    number: Number,
    provider: Annotated[str, typer.Argument(help="stripe or paypal")],
    return_url: Annotated[str, typer.Option(help="where the customer comes back to (or TALLY_PUBLIC_URL)")] = "",
) -> None:
    """Opens the provider's page on which a customer pays an invoice, and prints where it is.

    A page that the customer left without paying or approving anything makes way for it.
    """
    with opened() as tally:
        collector = collector_of(tally)
        provider_of(tally, provider)
        tally.follower().catch_up()
        invoice, back = owed_on(tally.pool, number).invoice, back_to(return_url)
        collector.make_way(invoice)
        attempt = collector.offer(invoice, provider, back)
    show({"number": number, "state": attempt.state, "url": attempt.url}, f"{number}: {attempt.state} {attempt.url}")


@app.command("approve")
def approve(number: Number) -> None:
    """Brings a payment that the customer's bank wants approved back to the customer: prints where to go."""
    with opened() as tally:
        collector = collector_of(tally)
        tally.follower().catch_up()
        live = collection(tally.billing, owed_on(tally.pool, number).invoice).live
        if live is None or live.state != "action_required":
            raise Conflict(f"no payment of {number} waits for its customer")
        provider_of(tally, live.opened.provider)
        attempt = collector.authenticate(live)
    show({"number": number, "state": attempt.state, "url": attempt.url}, f"{number}: {attempt.state} {attempt.url}")


def _list(title: str, statement: str, listing: Listing, after: str, limit: int) -> None:
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            rows = connection.execute(statement.encode(), [after, limit]).fetchall()
    show_rows(title, listing, rows)
