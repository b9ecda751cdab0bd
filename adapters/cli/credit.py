"""Credit of accounts: the rule that keeps it or pays it out, what goes out, and what finance is to pay."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from adapters.bootstrap import Tally
from adapters.bootstrap.payments import payer_of
from adapters.cli.accounts import Reference
from adapters.cli.amounts import Listing, Money, by_currency, units_of
from adapters.cli.opened import opened
from adapters.cli.printing import named, progress, show, show_rows, table_of
from adapters.cli.session import After, Limit, OptionalDay, today
from domain.application.accounts import SetCreditRule, account_named
from domain.application.payouts import FailPayout
from domain.credit_rule import KEEP, WHEN, CreditRule
from domain.errors import Conflict, Invalid
from jobs.credit import credit_of
from jobs.payout import Paid, payout_named

of_accounts, of_payments = typer.Typer(), typer.Typer()

PAYOUTS = """SELECT p.reference, a.reference, a.name, p.currency, p.amount, p.opened_on, p.state, p.transfer, p.why,
(SELECT string_agg(DISTINCT t.iban, ', ') FROM unnest(p.receipts) AS r(receipt)
    JOIN bank_transfer t ON 'bank:' || t.transfer = r.receipt WHERE t.iban <> '')
FROM payout_v1 p JOIN account_v2 a USING (bucket, account)
WHERE p.reference > %s AND (%s OR p.state = 'open') ORDER BY p.reference LIMIT %s"""
PROPOSED = Listing(
    ["reference", "account", "name", "currency", "amount", "opened on", "state", "transfer", "why", "came from"],
    ["amount"],
)
WAYS = Listing(["account", "currency", "amount", "by", "of", "state"], ["amount"])


@of_accounts.command("credit")
def credit(
    reference: Reference,
    pay_out: Annotated[str, typer.Option(help="never, idle or leaving: when credit is paid out")] = "",
    after: Annotated[int | None, typer.Option(help="days without any movement of money")] = None,
    over: Annotated[str, typer.Option(help="so much or less is kept: 5.00, in the account's currency")] = "",
    packages: Annotated[bool, typer.Option("--packages", help="the rule of its packages again")] = False,
) -> None:
    """Shows the credit of an account and by which rule it is kept, or gives it a rule of its own.

    idle pays out when nothing is open or due and no money moved for some days; leaving when, besides, no license runs.
    """
    with opened() as tally:
        if pay_out or packages:
            rule = None if packages else _rule(tally, reference, pay_out, after, over)
            if packages and (pay_out or after is not None or over):
                raise Invalid("say --packages, or a rule of its own")
            tally.billing.execute(SetCreditRule(reference, rule))
        elif after is not None or over:
            raise Invalid("say --pay-out too: never, idle or leaving")
        tally.follower().catch_up()
        found = credit_of(tally.billing, tally.pool, account_named(tally.billing, reference), today())
    held, going = by_currency(found.credit), by_currency(found.on_its_way)
    answer = {"account": reference, "rule": _ruled(found.rule), "whose": found.whose, "credit": held,
              "on_its_way": going}  # fmt: skip
    rows = [[one.get(c, Money(0, c)) for one in (held, going)] for c in sorted({*held, *going})]
    title = f"{reference}: {_said(found.rule)} ({found.whose})"
    show(answer, table_of(title, ["credit", "on its way back"], rows, right=["credit", "on its way back"]))


def _rule(tally: Tally, reference: str, pay_out: str, after: int | None, over: str) -> CreditRule:
    if pay_out not in WHEN:
        raise Invalid(f"{pay_out!r} is none of {', '.join(WHEN)}")
    currency = account_named(tally.billing, reference).currency
    if over:
        units_of(over, currency, "--over")
    kept = ((currency, Decimal(over)),) if over else ()
    return CreditRule(pay_out, KEEP.after if after is None else after, kept)


def _kept(rule: CreditRule) -> dict[str, Money]:
    """So much or less of each currency is kept."""
    return by_currency({currency: rule.kept(currency) for currency, _ in rule.over})


def _ruled(rule: CreditRule) -> dict[str, Any]:
    return {"pay_out": rule.pay_out, "after": rule.after, "over": list(_kept(rule).items())}


def _said(rule: CreditRule) -> str:
    if rule.pay_out == "never":
        return "credit is kept"
    over = "".join(f", over {amount}" for amount in _kept(rule).values())
    return f"credit is paid out when {rule.pay_out} for {rule.after} days{over}"


@of_payments.command("pay-out")
def pay_out(
    on: OptionalDay = None,
    preview: Annotated[bool, typer.Option("--preview", help="only show what would go out, and change nothing")] = False,
) -> None:
    """Pays out credit that nobody needs, by the rules of accounts and packages; a second time it finds nothing.

    What a provider brought goes back as a refund; the rest is listed by `tally payments payouts` for finance to pay.
    The scheduler does the same each day. Nothing goes while an invoice is open, a bill is due, or a dispute is open.
    """
    if on and on > today() and not preview:
        raise Invalid(f"{on} is yet to come: what would go out then can only be previewed")
    with opened() as tally:
        payer = payer_of(tally)
        if preview:
            paid = payer.preview(on or today())
        else:
            with progress("paying out", None) as done:
                paid = payer.pay_out(on or today(), progress=done)
    ways = [WAYS.filled(way) for way in paid.ways]
    show({"ways": [named(WAYS.columns, way) for way in ways], "kept": dict(paid.kept)}, _table(paid, ways))


def _table(paid: Paid, ways: list[list[Any]]) -> Any:
    kept = "; ".join(f"{number} kept: {why}" for why, number in sorted(paid.kept.items()))
    if not ways:
        return f"nothing is paid out. {kept}".rstrip()
    return table_of(f"Credit that goes out. {kept}".rstrip(), WAYS.shown, map(WAYS.cells, ways), right=["amount"])


@of_payments.command("payouts")
def payouts(
    everything: Annotated[bool, typer.Option("--all", help="those that were paid or failed too")] = False,
    limit: Limit = 50,
    after: After = "",
) -> None:
    """Lists what finance is to pay out by bank: to whom, how much, and the reference that the transfer has to bear.

    The bank's next statement shows the transfer (`tally bank import`), and books it.
    """
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            rows = connection.execute(PAYOUTS.encode(), [after, everything, limit]).fetchall()
    show_rows("Payouts", PROPOSED, rows)


@of_payments.command("take-back")
def take_back(
    reference: Annotated[str, typer.Argument(help="of the payout, as `tally payments payouts` shows it")],
    why: Annotated[str, typer.Option(help="for the books")] = "",
) -> None:
    """Takes back a payout that finance did not make: its money is credit again, and the days of the rule begin anew."""
    with opened() as tally:
        tally.follower().catch_up()
        found = payout_named(tally.pool, reference)
        if not tally.billing.execute(FailPayout(found.payout, today(), why)):
            raise Conflict(f"{reference} was taken back before")
    show({"reference": reference, "state": "failed"}, f"{reference} is not paid out: it is credit again")
