"""`tally payments`: what is owed, what came in, and what accounts hold with us."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.bootstrap.payments import collector_of
from adapters.cli.amounts import Listing, Money, in_currency
from adapters.cli.opened import opened
from adapters.cli.printing import progress, show, show_rows, table_of
from adapters.cli.session import After, Limit, OptionalDay, today
from domain.account import Account as Payer
from domain.application.accounts import account_named
from domain.application.payments import issued, receivables
from domain.errors import Conflict, NotFound
from jobs.bank import owed_on
from jobs.collect_open import charge, collect_open
from jobs.settle import settle

app = typer.Typer()

OWED = """SELECT i.number, a.reference, i.currency, i.gross, i.left_open, i.due_on, greatest(%s::date - i.due_on, 0)
FROM receivable_v1 i JOIN account_v2 a ON a.bucket = i.bucket AND a.account = i.account
WHERE i.left_open > 0 AND i.number > %s AND (%s::uuid IS NULL OR i.account = %s) ORDER BY i.number LIMIT %s"""
RECEIPTS = """SELECT r.receipt, a.reference, r.received_on, r.currency, r.amount, r.returned, r.credit, r.text
FROM receipt_v1 r JOIN account_v2 a ON a.bucket = r.bucket AND a.account = r.account
WHERE r.receipt > %s AND (%s::uuid IS NULL OR r.account = %s) ORDER BY r.receipt LIMIT %s"""
RECEIPT = "SELECT account, currency FROM receipt_v1 WHERE receipt = %s"
ATTEMPTS = """SELECT * FROM (SELECT number, provider, currency, amount, state, code, opened_at, object FROM attempt_v1
WHERE number > %s ORDER BY number FETCH FIRST %s ROWS WITH TIES) a ORDER BY number, opened_at, object"""
"""Shapes: all attempts of an invoice are on one page, which begins behind a number."""
TRIED = Listing(["number", "provider", "currency", "amount", "state", "code", "opened at", "object"], ["amount"])
OPEN = Listing(["number", "account", "currency", "gross", "open", "due on", "days overdue"], ["gross", "open"])
RECEIVED = Listing(
    ["receipt", "account", "received on", "currency", "amount", "returned", "credit", "text"],
    amounts=["amount", "returned", "credit"], hidden=["text"],
)  # fmt: skip
Account = Annotated[str, typer.Option(help="only of this payer")]


def _rows(statement: str, before: list[object], after: str, account: str, limit: int) -> list[tuple[object, ...]]:
    with opened() as tally:
        tally.follower().catch_up()
        payer = account_named(tally.billing, account).id if account else None
        with tally.pool.connection() as connection:
            values = [*before, after, payer, payer, limit]
            return connection.execute(statement.encode(), values).fetchall()


@app.command("open")
def open_invoices(on: OptionalDay = None, account: Account = "", limit: Limit = 50, after: After = "") -> None:
    """Lists the invoices that are not paid, with what is open on each and how long it is overdue."""
    rows = _rows(OWED, [on or today()], after, account, limit)
    show_rows("Open invoices", OPEN, rows, right=["days overdue"])


@app.command("list")
def list_receipts(account: Account = "", limit: Limit = 50, after: After = "") -> None:
    """Lists receipts: what came in, what went back, and what no invoice took yet."""
    show_rows("Receipts", RECEIVED, _rows(RECEIPTS, [], after, account, limit))


@app.command("show")
def show_receipt(receipt: Annotated[str, typer.Argument(help="its name, as `tally payments list` shows it")]) -> None:
    """Shows where the money of one receipt is: the invoices that it paid, what went back and why, and what is left."""
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            row = connection.execute(RECEIPT, [receipt]).fetchone()
        if row is None:
            raise NotFound(f"there is no receipt {receipt}")
        held = receivables(tally.billing, *row).receipt(receipt)
        numbers = {issued(tally.billing, invoice).document: amount for invoice, amount in held.paid.items()}
        paid = in_currency(numbers, row[1])
    amount, credit = Money(held.booked.amount, row[1]), Money(held.credit, row[1])
    back = in_currency(held.returned, row[1])
    answer = {
        "receipt": receipt, "source": held.booked.source, "received_on": held.booked.received_on, "currency": row[1],
        "amount": amount, "paid": paid, "returned": back, "credit": credit,
    }  # fmt: skip
    rows = [*(("paid", *one) for one in paid.items()), *(("went back", *one) for one in back.items())]
    title = f"{receipt}: {amount} on {held.booked.received_on}"
    show(answer, table_of(title, ["part", "of", "amount"], [*rows, ("credit", "", credit)], right=["amount"]))


@app.command("settle")
def settle_credit(on: OptionalDay = None) -> None:
    """Makes new credit notes credit of their accounts, and pays open invoices from credit, the oldest first."""
    with opened() as tally:
        settled = settle(tally.billing, tally.pool, on or today(), tally.follower().catch_up)
    answer = {"credit_notes": settled.credit_notes, "payers": settled.drawn}
    show(answer, "{credit_notes} credit notes booked; invoices of {payers} payers paid from credit".format(**answer))


@app.command("collect")
def collect() -> None:
    """Charges open invoices of accounts with a payment method, and takes up attempts that a crash left behind.

    What accounts have as credit pays first (`tally payments settle`).
    Any number may run at once: an invoice has one live attempt. The key of Stripe is read from TALLY_STRIPE_KEY.
    """
    with opened() as tally:
        collector = collector_of(tally)
        settle(tally.billing, tally.pool, today(), tally.follower().catch_up)
        with progress("collecting", None) as done:
            counts = collect_open(collector, tally.pool, done)
    show(dict(counts), ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "nothing is open")


@app.command("retry")
def retry(number: Annotated[str, typer.Argument(help="the number of the invoice")]) -> None:
    """Charges one invoice again by its account's present payment method; a page that waits unpaid makes way."""
    with opened() as tally:
        collector = collector_of(tally)
        tally.follower().catch_up()
        invoice = owed_on(tally.pool, number)
        method = tally.billing.find(Payer, invoice.account, "account").method
        if method is None or method.provider not in collector.providers:
            raise Conflict(f"the payer of {number} has no payment method that there is a key for")
        collector.make_way(invoice.invoice)
        state = charge(collector, invoice.invoice, method)
    show({"number": number, "state": state}, f"{number}: {state}")


@app.command("attempts")
def attempts(limit: Limit = 50, after: After = "") -> None:
    """Lists attempts by providers, by invoice: where each stands, and why it was declined."""
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            rows = connection.execute(ATTEMPTS.encode(), [after, limit]).fetchall()
    show_rows("Attempts", TRIED, rows)
