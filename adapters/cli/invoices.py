"""`tally invoices`: documents as they were issued."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from adapters.bootstrap import Tally
from adapters.cli.session import After, Limit, console, opened, session, show, show_table, table_of
from domain.application.accounts import account_named
from domain.events.documents import InvoiceIssued, Line
from domain.identity import Kind
from domain.money import with_currency, written
from jobs.explain import document

app = typer.Typer(no_args_is_help=True, help="Issued invoices and credit notes.")

LISTED = "number, kind, party, currency, issued_on, due_on, through, net, tax, gross, lines"


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
    answers = [_listed(dict(zip(LISTED.split(", "), row, strict=True))) for row in rows]
    columns = ["number", "kind", "party", "issued_on", "due_on", "gross", "currency", "lines"]
    shown = [[answer[column] for column in columns] for answer in answers]
    names = [column.replace("_", " ") for column in columns]
    show(answers, table_of("Documents", names, shown, right=["gross", "lines"]))


def _listed(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {name: written(answer[name], answer["currency"]) for name in ("net", "tax", "gross")}


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
        console.print(
            f"tax {tax.percent} % on {written(tax.net, issued.currency)}: {written(tax.tax, issued.currency)}"
        )
    console.print(f"total {with_currency(issued.gross, issued.currency)}", style="bold", end=", ")
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
        "net": written(issued.net, currency),
        "tax": written(issued.tax, currency),
        "gross": written(issued.gross, currency),
        "taxes": [
            {"percent": t.percent, "net": written(t.net, currency), "tax": written(t.tax, currency)}
            for t in issued.taxes
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
        "amount": written(line.amount, currency),
        "tax": written(line.tax, currency),
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
            written(line.amount, currency),
        )
        for line in shown
    ]
    columns = ["", "license", "line", "kind", "from", "until", "quantity", "net"]
    return table_of(title, columns, rows, right=["quantity", "net"])


def _short(number: str) -> str:
    numerator, slash, denominator = number.partition("/")
    return f"{int(numerator) / int(denominator):.4f}" if slash else number
