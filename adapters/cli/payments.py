"""`tally payments`: what is owed, what came in, and what accounts hold with us."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.cli.session import After, Limit, OptionalDay, money, opened, show, table_of, today
from domain.application.accounts import account_named
from jobs.settle import settle

app = typer.Typer(no_args_is_help=True, help="Money: open invoices, receipts, and the credit of accounts.")

OWED = """SELECT i.number, a.reference, i.currency, i.gross, i.left_open, i.due_on, greatest(%s::date - i.due_on, 0)
FROM receivable_v1 i JOIN account_v1 a ON a.bucket = i.bucket AND a.account = i.account
WHERE i.left_open > 0 AND i.number > %s AND (%s::uuid IS NULL OR i.account = %s) ORDER BY i.number LIMIT %s"""
RECEIPTS = """SELECT r.receipt, a.reference, r.received_on, r.currency, r.amount, r.returned, r.credit, r.text
FROM receipt_v1 r JOIN account_v1 a ON a.bucket = r.bucket AND a.account = r.account
WHERE r.receipt > %s AND (%s::uuid IS NULL OR r.account = %s) ORDER BY r.receipt LIMIT %s"""
OPEN = ["number", "account", "currency", "gross", "open", "due on", "days overdue"]
RECEIVED = ["receipt", "account", "received on", "currency", "amount", "returned", "credit", "text"]
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
    printed = [(n, a, money(g, c), money(left, c), *rest) for n, a, c, g, left, *rest in rows]  # type: ignore[arg-type]
    shown = [name for name in OPEN if name != "currency"]
    answer = [dict(zip(OPEN, row, strict=True)) for row in rows]
    show(answer, table_of("Open invoices", shown, printed, right=["gross", "open", "days overdue"]))


@app.command("list")
def list_receipts(account: Account = "", limit: Limit = 50, after: After = "") -> None:
    """Lists receipts: what came in, what went back, and what no invoice took yet."""
    rows = _rows(RECEIPTS, [], after, account, limit)
    printed = [
        (name, who, day, *(money(one, c) for one in (amount, back, credit)))  # type: ignore[arg-type]
        for name, who, day, c, amount, back, credit, _ in rows
    ]
    shown = [name for name in RECEIVED if name not in ("currency", "text")]
    answer = [dict(zip(RECEIVED, row, strict=True)) for row in rows]
    show(answer, table_of("Receipts", shown, printed, right=["amount", "returned", "credit"]))


@app.command("settle")
def settle_credit(on: OptionalDay = None) -> None:
    """Makes new credit notes credit of their accounts, and pays open invoices from credit, the oldest first."""
    with opened() as tally:
        tally.follower().catch_up()
        booked = settle(tally.billing, tally.pool, on or today())
        tally.follower().catch_up()
        drawn = settle(tally.billing, tally.pool, on or today())
    answer = {"credit_notes": booked.credit_notes, "payers": booked.drawn + drawn.drawn}
    show(answer, "{credit_notes} credit notes booked; invoices of {payers} payers paid from credit".format(**answer))
