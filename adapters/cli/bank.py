"""`tally bank`: statements of our accounts, what they pay, and what waits for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.bank.read import read_statements
from adapters.cli.amounts import Money
from adapters.cli.opened import opened
from adapters.cli.printing import progress, show, table_of
from adapters.cli.session import After, Limit
from jobs import bank

app = typer.Typer()

NAMES = ["transfer", "booked on", "amount", "name", "text", "reason", "may be"]
Transfer = Annotated[str, typer.Argument(help="its name, as `tally bank unmatched` shows it")]


@app.command("import")
def import_file(
    file: Annotated[str, typer.Argument(help="camt.053, MT940, or CSV with --mapping")],
    mapping: Annotated[str, typer.Option(help="YAML: account, currency, columns, … of a CSV; see docs/bank.md")] = "",
    opening: Annotated[str, typer.Option(help="the opening balance of a CSV")] = "",
    closing: Annotated[str, typer.Option(help="the closing balance of a CSV")] = "",
    new_account: Annotated[bool, typer.Option(help="the statement is of an account of ours seen first")] = False,
) -> None:
    """Imports a statement and settles the invoices that its transfers name; a second time it changes nothing."""
    statements = read_statements(file, mapping, opening, closing)
    with opened() as tally:
        imported = bank.import_statements(tally.pool, statements, new_account)
        tally.follower().catch_up()
        with progress("settling", imported.new) as done:
            went = bank.settle_transfers(tally.billing, tally.pool, done)
    answer = {"new": imported.new, "known": imported.known, **went, "alarms": imported.alarms}
    says = f"{imported.new} new, {imported.known} known; {went['settled']} settled, {went['suspense']} in suspense"
    show(answer, "\n".join([says, *(f"look: {alarm}" for alarm in imported.alarms)]))


@app.command("unmatched")
def unmatched(limit: Limit = 50, after: After = "") -> None:
    """Lists what waits for a person: why, and which open invoices have just this amount."""
    with opened() as tally:
        tally.follower().catch_up()
        found = [(one, bank.suggestions(tally.pool, one)) for one in bank.listed(tally.pool, "suspense", after, limit)]
    amounts = [Money(one.amount, one.currency) for one, _ in found]
    rows = [
        (one.transfer, one.booked_on, amount, one.name, one.text, one.why, ", ".join(may))
        for amount, (one, may) in zip(amounts, found, strict=True)
    ]
    answer = [
        {**one._asdict(), "amount": amount, "suggestions": may}
        for amount, (one, may) in zip(amounts, found, strict=True)
    ]
    show(answer, table_of("In suspense", NAMES, rows, right=["amount"]))


@app.command("allocate")
def allocate(
    transfer: Transfer,
    invoice: Annotated[list[str], typer.Argument(help="the number of an invoice that it pays; several in their order")],
) -> None:
    """Lets a transfer pay invoices; what they do not need is credit of their account."""
    with opened() as tally:
        tally.follower().catch_up()
        bank.allocate_transfer(tally.billing, tally.pool, transfer, invoice)
    show({"transfer": transfer, "invoices": invoice}, f"{transfer} pays {', '.join(invoice)}")


@app.command("return")
def give_back(
    transfer: Transfer,
    receipt: Annotated[str, typer.Argument(help="a receipt of `tally payments list`, or a payout's PO-…")],
) -> None:
    """Says that a transfer out took back the money of a receipt: what it had paid is open again.

    With a payout's reference: that it made the payout, or, for a transfer in, brought it back as credit.
    """
    with opened() as tally:
        tally.follower().catch_up()
        bank.return_transfer(tally.billing, tally.pool, transfer, receipt)
    show({"transfer": transfer, "receipt": receipt}, f"{transfer} is booked as a return of {receipt}")
