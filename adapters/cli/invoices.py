"""`tally invoices`: documents as they were issued."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from adapters.bootstrap import Tally
from adapters.cli.amounts import Listing, Money
from adapters.cli.opened import opened
from adapters.cli.printing import console, show, show_rows, show_table, table_of
from adapters.cli.session import After, Limit, session
from domain.application.accounts import account_named
from domain.events.documents import InvoiceIssued, Line
from domain.identity import Kind
from jobs.explain import document

app = typer.Typer()

LISTED = "number, kind, party, currency, issued_on, due_on, through, net, tax, gross, lines"
DOCUMENT = Listing(
    [name.replace("_", " ") for name in LISTED.split(", ")], ["net", "tax", "gross"], hidden=["through", "net", "tax"]
)


@app.command("list")
def list_invoices(
    account: Annotated[str, typer.Option(help="of one account")] = "",
    run: Annotated[str, typer.Option(help="of one billing run")] = "",
    limit: Limit = 50,
    after: After = "",
) -> None:
    """Lists documents by number."""
    with opened() as tally:
        tally.follower().catch_up()
        payer = account_named(tally.billing, account).id if account else None
        with tally.pool.connection() as connection:
            rows = connection.execute(
                f"SELECT {LISTED} FROM document_v1 WHERE number > %s AND (%s::uuid IS NULL OR account = %s) "
                "AND (%s = '' OR run = %s) ORDER BY number LIMIT %s".encode(),
                [after, payer, payer, run, run, limit],
            ).fetchall()
    show_rows("Documents", DOCUMENT, rows, right=["lines"])


@app.command("show")
def show_invoice(number: str) -> None:
    """Shows a document as it was issued."""
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            _, issued = document(connection, number)
        table = lines_table(tally, "", issued.lines, issued.currency)
    show(_shown(issued))
    if session.as_json:
        return
    console.print(issued.document, style="bold", end=" ")
    console.print(f"to {issued.party.name}, issued {issued.issued_on}, due {issued.due_on}")
    show_table(table)
    for tax in issued.taxes:
        net, due = Money(tax.net, issued.currency), Money(tax.tax, issued.currency)
        console.print(f"tax {tax.percent} % on {net}: {due}")
    console.print(f"total {Money(issued.gross, issued.currency)}", style="bold", end=", ")
    console.print(f"reference {issued.document}")


def _shown(issued: InvoiceIssued) -> dict[str, Any]:
    currency = issued.currency
    return {
        "number": issued.document,
        "kind": issued.TOPIC.partition(".")[0],
        "party": issued.party,
        "currency": currency,
        "issued_on": issued.issued_on,
        "due_on": issued.due_on,
        "through": issued.through,
        "net": Money(issued.net, currency),
        "tax": Money(issued.tax, currency),
        "gross": Money(issued.gross, currency),
        "taxes": [
            {"percent": t.percent, "net": Money(t.net, currency), "tax": Money(t.tax, currency)} for t in issued.taxes
        ],
        "lines": [shown_line(line, currency) for line in issued.lines],
        "run": issued.run,
        "remittance": issued.remittance,
    }


def shown_line(line: Line, currency: str) -> dict[str, Any]:
    """A line as JSON has it, issued or not yet."""
    return {
        "number": line.number,
        "kind": line.kind,
        "component": line.component,
        "text": line.text,
        "from": line.start,
        "until": line.end,
        "quantity": line.quantity,
        "amount": Money(line.amount, currency),
        "tax": Money(line.tax, currency),
        "license": line.license,
        "link": line.link,
    }


def lines_table(tally: Tally, title: str, lines: tuple[Line, ...], currency: str) -> Any:
    """The lines for people: those of zero are kept in the books and left out on paper."""
    shown = [line for line in lines if line.amount or line.kind == "reversal"] or list(lines)
    names = tally.log.references(Kind.LICENSE, {line.license for line in shown})
    rows = [
        (
            line.number,
            names.get(line.license, line.license),
            line.text,
            line.kind,
            line.start,
            line.end,
            _short(line.quantity),
            Money(line.amount, currency),
        )
        for line in shown
    ]
    columns = ["", "license", "line", "kind", "from", "until", "quantity", "net"]
    return table_of(title, columns, rows, right=["quantity", "net"])


def _short(number: str) -> str:
    numerator, slash, denominator = number.partition("/")
    return f"{int(numerator) / int(denominator):.4f}" if slash else number
