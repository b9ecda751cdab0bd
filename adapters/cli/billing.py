"""`tally bill`, `preview`, `explain`, `limits` and `verify`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import typer

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.cli.amounts import Money
from adapters.cli.invoices import lines_table, shown_line
from adapters.cli.opened import opened
from adapters.cli.printing import console, progress, show, show_table, table_of
from adapters.cli.session import After, Limit, OptionalDay, on_day, session, today
from domain.application.accounts import account_named
from domain.billing import Issue
from domain.charge import Missing
from domain.errors import NotFound
from domain.identity import Kind
from jobs import bill
from jobs.close_counts import close_counts
from jobs.explain import document, explain
from jobs.limits import standings
from jobs.preview import preview
from jobs.rate import Run, why_parked
from jobs.verify import verify

app = typer.Typer()

Accounts = Annotated[list[str] | None, typer.Option("--account", help="only this account and those below; repeat it")]
IssuedOn = Annotated[date | None, on_day("the date on the documents (default: today)")]


@app.command("bill")
def bill_command(
    through: Annotated[date, on_day("bill everything due through this date")],
    workers: Annotated[int, typer.Option(min=1, max=64, help="processes")] = 1,
    issued_on: IssuedOn = None,
    account: Accounts = None,
) -> None:
    """Issues everything that is owed through a date and not yet billed.

    It may be repeated, killed and run twice at once: the books come out the same. Ends with a completeness report,
    and with status 1 when an account failed: the others are billed.
    """
    with opened() as tally:
        chosen = _accounts(tally, account)
        with progress("billing licenses", _licenses(tally)) as advance:
            run = run_billing(tally, through, issued_on or today(), chosen, workers, advance)
        with tally.pool.connection() as connection:
            report, exceptions = bill.report(connection, run.run), bill.exceptions(connection, run.run)
            totals = connection.execute(
                "SELECT currency, kind, count(*), sum(gross)::bigint FROM document_v1 WHERE run = %s GROUP BY 1, 2 "
                "ORDER BY 1, 2",
                [run.run],
            ).fetchall()
    _show_report(run, report, exceptions, totals)
    if report["failed"]:
        raise typer.Exit(1)


def _licenses(tally: Tally) -> int:
    with tally.pool.connection() as connection:
        row = connection.execute("SELECT count(*) FROM basis_v2 WHERE kind = 3").fetchone()
    return int(row[0]) if row else 0


BELOW = """
WITH RECURSIVE below AS (
    SELECT bucket, account FROM account_v2 WHERE account = ANY(%s::uuid[])
    UNION ALL SELECT a.bucket, a.account FROM account_v2 a JOIN below b ON a.bucket = b.bucket AND a.parent = b.account)
SELECT DISTINCT account FROM below"""


def _accounts(tally: Tally, references: list[str] | None) -> list[UUID] | None:
    """The accounts named and everything below them; None for all."""
    if not references:
        return None
    named = [account_named(tally.billing, one).id for one in references]
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        return [account for (account,) in connection.execute(BELOW, [named]).fetchall()]


def _show_report(
    run: Run, report: dict[str, int], exceptions: list[tuple[str, str, str]], totals: list[tuple[Any, ...]]
) -> None:
    answer = {
        "run": run.run,
        "through": run.through,
        "issued_on": run.issued_on,
        **report,
        "totals": [
            {"currency": c, "kind": kind, "documents": count, "gross": Money(gross, c)}
            for c, kind, count, gross in totals
        ],
        "exceptions": [{"account": a, "outcome": o, "reason": r} for a, o, r in exceptions],
    }
    rows = [(name, report[name]) for name in ("billed", "nothing", "parked", "failed", "licenses", "documents")]
    show(answer, table_of(f"Run {run.run}", ["accounts, licenses, documents", "number"], rows, right=["number"]))
    if session.as_json:
        return
    for currency, kind, count, gross in totals:
        name = kind.replace("_", " ") + ("s" if count > 1 else "")
        console.print(f"{count} {name}: {Money(gross, currency)}")
    _show_exceptions(exceptions)


def _show_exceptions(exceptions: Sequence[tuple[str, str, str]]) -> None:
    if exceptions:
        show_table(table_of("Not (wholly) billed", ["account", "outcome", "reason"], exceptions))


@app.command("preview")
def preview_command(
    through: Annotated[date, on_day("everything due through this date")],
    issued_on: IssuedOn = None,
    account: Accounts = None,
    lines: Annotated[bool, typer.Option(help="show the lines too")] = True,
) -> None:
    """Shows what `bill` would issue: the same function without the append.

    Accounts that it could not rate are named, and make the status 1, as those of `bill` do.
    """
    with opened() as tally:
        tally.follower().catch_up()
        close_counts(tally.log, tally.pool, tally.packages, through)
        tally.follower().catch_up()
        chosen = _accounts(tally, account)
        run = Run("preview", through, issued_on or today(), frozenset(chosen) if chosen else None)
        found = preview(tally.pool, tally.packages, run)
        tables = [_previewed(tally, issue, lines) for issue in found.issues]
        parked, failed = _parked(tally, found.missing), _failed(tally, found.failed)
    documents = [_drafted(issue) for issue in found.issues]
    show({"through": through, "documents": documents, "parked": parked, "failed": failed})
    if not session.as_json:
        _show_previewed(tables, parked, failed)
    if failed:
        raise typer.Exit(1)


def _parked(tally: Tally, missing: Sequence[tuple[UUID, Missing]]) -> list[dict[str, Any]]:
    """Periods that cannot be billed yet, by the account of the license, as `bill` reports them."""
    accounts = tally.log.references(Kind.ACCOUNT, {account for account, _ in missing})
    licenses = tally.log.references(Kind.LICENSE, {lack.stream.license for _, lack in missing})
    return [
        {
            "account": accounts.get(account, account),
            "license": licenses.get(lack.stream.license, lack.stream.license),
            "component": lack.stream.component,
            "counter": lack.counter,
            "from": date.fromordinal(lack.start),
            "until": date.fromordinal(lack.end),
            "reason": why_parked(lack),
        }
        for account, lack in missing
    ]


def _failed(tally: Tally, failed: Sequence[tuple[UUID, str]]) -> list[dict[str, Any]]:
    names = tally.log.references(Kind.ACCOUNT, {account for account, _ in failed})
    return [{"account": names.get(account, account), "reason": why} for account, why in failed]


def _show_previewed(tables: list[Any], parked: list[dict[str, Any]], failed: list[dict[str, Any]]) -> None:
    for table in tables:
        show_table(table)
    if not (tables or parked or failed):
        console.print("nothing is due")
    exceptions = [(one["account"], "failed", one["reason"]) for one in failed]
    _show_exceptions([*exceptions, *((one["account"], "parked", one["reason"]) for one in parked)])


def _previewed(tally: Tally, issue: Issue, lines: bool) -> Any:
    title = f"{issue.payer.party.name}: {Money(issue.draft.gross, issue.currency)}"
    return lines_table(tally, title, issue.draft.lines, issue.currency) if lines else title


def _drafted(issue: Issue) -> dict[str, Any]:
    return {
        "account": issue.payer.reference,
        "kind": "credit_note" if issue.is_credit else "invoice",
        "currency": issue.currency,
        "net": Money(issue.draft.net, issue.currency),
        "tax": Money(issue.draft.tax, issue.currency),
        "gross": Money(issue.draft.gross, issue.currency),
        "lines": [shown_line(line, issue.currency) for line in issue.draft.lines],
    }


@app.command("explain")
def explain_command(
    number: Annotated[str, typer.Argument(help="the number of an invoice or credit note")],
    line: Annotated[int, typer.Argument(help="a line of it; 0: every line, in short")] = 0,
) -> None:
    """Tells where a number came from: rule, price version, events and counted names."""
    with opened() as tally, tally.pool.connection() as connection:
        tally.follower().catch_up()
        _, issued = document(connection, number)
        chosen = [one for one in issued.lines if line in (0, one.number)]
        if not chosen:
            raise NotFound(f"{number} has no line {line}")
        told = [explain(connection, tally.packages, issued, one) for one in chosen]
    show(told[0] if line else told)
    if not session.as_json:
        for one in told:
            _print_explained(one, whole=bool(line))


def _print_explained(told: dict[str, Any], whole: bool) -> None:
    say, price = partial(console.print, soft_wrap=True), told["price"]
    say(f"{told['document']} line {told['line']}", style="bold", end=" ")
    say(f"{told['text']} ({told['kind']}):", end=" ")
    say(f"{told['amount']} {told['currency']}", style="bold", end=" ")
    say(f"net, {told['tax']} tax")
    say(f"  service    {told['service']['from']} until {told['service']['until']}")
    say(f"  quantity   {told['quantity']}   rule {told['rule']}")
    say(f"  price      {price['package']} v{price['version']}, {price['in_words']}")
    say(f"  computed   {told['computation']}")
    if told["undoes"]:
        say(f"  undoes     {told['undoes']}")
    if not whole:
        return
    for event in told["events"]:
        say(f"  event      {event['event']} v{event['version']} of {event['stream']}, {event['recorded_at']}")
    if told["counted"]:
        say(f"  counted    {len(told['counted'])}: {', '.join(told['counted'])}")
    for one in told["excluded"]:
        say(f"  excluded   {one['subject']}: {one['reason']}")


@app.command("limits")
def limits_command(
    license: Annotated[str, typer.Argument(help="a license (default: all)")] = "",
    on: OptionalDay = None,
    adding: Annotated[int, typer.Option(min=0, help="ask whether so many users may be added")] = 1,
    limit: Limit = 50,
    after: After = "",
) -> None:
    """Shows limits against use: within, warn, grace, over or blocked, since when, pooled where so.

    `may add` answers the product: a hard limit (or the hard part of a soft one) says no, and so does a license that
    does not serve; `reason` tells by what, such as `unpaid: filter off`.
    """
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            found = standings(connection, tally.billing, tally.packages, license, on or today(), limit, after, adding)
    may = {True: "yes", False: "no"}
    rows = [(s.license, s.limit, s.value, s.used, s.state, s.since, s.pool, may[s.may_add], s.why) for s in found]
    columns = ["license", "limit", "value", "used", "state", "since", "pool", "may add", "reason"]
    show([one._asdict() for one in found], table_of("Limits", columns, rows, right=["value", "used"]))


@app.command("verify")
def verify_command() -> None:
    """Checks the books: numbers without gaps, days billed once, sums, the log against the register."""
    with opened() as tally:
        tally.follower().catch_up()
        with progress("checking buckets", None) as advance:
            checks = list(verify(tally.pool, advance))
    rows = [(check.name, "ok" if not check.found else "; ".join(check.found), check.says) for check in checks]
    show([check._asdict() for check in checks], table_of("Books", ["check", "found", "what must hold"], rows))
    if any(check.found for check in checks):
        raise typer.Exit(3)
