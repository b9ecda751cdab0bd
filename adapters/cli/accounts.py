"""`tally accounts`: who is billed."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer
from msgspec.structs import replace

from adapters.bootstrap.providers import provider_of
from adapters.cli.contact import check_contact
from adapters.cli.opened import back_to, opened
from adapters.cli.printing import named, show, show_table, table_of
from adapters.cli.session import After, CommandId, Day, Limit, command_id, session, today, whole
from domain.application.accounts import (
    AddPaymentMethod,
    ChangeAccount,
    OpenAccount,
    RemovePaymentMethod,
    account_named,
)
from domain.errors import Invalid, NotFound, Unavailable
from domain.events.account import Party
from domain.money import exact
from domain.payment import SetUp
from projections.accounts import ON_DAY

app = typer.Typer()

COLUMNS = "a.reference, a.name, p.reference, y.reference, a.currency, a.zone, a.billing_day, a.tax_percent"
JOINED = f"""FROM {ON_DAY} a LEFT JOIN account_v2 p ON p.bucket = a.bucket AND p.account = a.parent
LEFT JOIN account_v2 y ON y.bucket = a.bucket AND y.account = a.payer AND a.payer <> a.account"""
NAMES = ["reference", "name", "parent", "payer", "currency", "zone", "billing day", "tax percent"]
METHODS = ["provider", "label", "method", "charged"]

Reference = Annotated[str, typer.Argument(help="your own reference of the account")]
Tax = Annotated[str, typer.Option("--tax-percent", help="the rate of tax on its invoices")]


def number(text: str, option: str) -> Decimal:
    """A number as written, such as 7.7; `option` is named where it is none. Raises: Invalid."""
    try:
        exact(text)
    except Invalid as error:
        raise Invalid(f"{option}: {error}") from None
    return Decimal(text)


@app.command("open")
def open_account(
    reference: Reference,
    name: Annotated[str, typer.Option(help="as it is printed on documents")],
    currency: Annotated[str, typer.Option(help="ISO 4217, such as EUR")] = "EUR",
    parent: Annotated[str, typer.Option(help="the account above it")] = "",
    payer: Annotated[str, typer.Option(help="an account above that pays for it; else it pays itself")] = "",
    billing_day: Annotated[int, typer.Option(min=1, max=31, help="clamped to the month's end")] = 1,
    zone: Annotated[str, typer.Option(help="IANA time zone of its days")] = "UTC",
    tax_percent: Tax = "0",
    terms_days: Annotated[int, typer.Option(min=0, max=365, help="days from issue to due")] = 14,
    series: Annotated[str, typer.Option(help="the series of its invoice numbers")] = "INV",
    credit_series: Annotated[str, typer.Option(help="the series of its credit note numbers")] = "CN",
    address: Annotated[list[str] | None, typer.Option(help="a line of the address; repeat it")] = None,
    country: Annotated[str, typer.Option(help="ISO 3166 code")] = "",
    tax_id: Annotated[str, typer.Option(help="VAT number or the like")] = "",
    email: Annotated[str, typer.Option(help="where mails to it go")] = "",
    language: Annotated[str, typer.Option(help="of mails and pages to it: en, de")] = "",
    remittance: Annotated[list[str] | None, typer.Option(help="a line of payment details; repeat it")] = None,
    id: CommandId = "",
) -> None:
    """Opens an account."""
    check_contact(email, language, country)
    contact = {"email": email, "language": language}
    party = Party(name=name, address=tuple(address or ()), country=country, tax_id=tax_id, **contact)
    command = OpenAccount(
        reference=reference, party=party, currency=currency, parent=parent, payer=payer, billing_day=billing_day,
        zone=zone, tax_percent=number(tax_percent, "--tax-percent"), terms_days=terms_days, series=series,
        credit_series=credit_series, remittance=tuple(remittance or ()),
    )  # fmt: skip
    with opened() as tally:
        tally.billing.execute(command, command_id=command_id(id))
    show({"account": reference}, f"opened account {reference}")


@app.command("change")
def change_account(
    reference: Reference,
    on: Day,
    billing_day: Annotated[int | None, typer.Option(min=1, max=31)] = None,
    tax_percent: Annotated[str | None, typer.Option(help="another rate of tax")] = None,
    payer: Annotated[str | None, typer.Option(help="an account above, or self")] = None,
    pool: Annotated[str | None, typer.Option(help="counter=limit shared by everything below; counter= ends it")] = None,
    email: Annotated[str | None, typer.Option(help="where mails to it go from now on")] = None,
    language: Annotated[str | None, typer.Option(help="of mails and pages to it: en, de")] = None,
    id: CommandId = "",
) -> None:
    """Changes how an account is billed, from a day on."""
    check_contact(email, language)
    contact = {name: value for name, value in (("email", email), ("language", language)) if value is not None}
    with opened() as tally:
        party = replace(account_named(tally.billing, reference).party, **contact) if contact else None
        command = ChangeAccount(
            reference=reference, effective_on=on, billing_day=billing_day, payer=payer, pool=_pool(pool),
            tax_percent=None if tax_percent is None else number(tax_percent, "--tax-percent"), party=party,
        )  # fmt: skip
        tally.billing.execute(command, command_id=command_id(id))
    show({"account": reference}, f"changed account {reference} from {on}")


def _pool(text: str | None) -> tuple[str, int | None] | None:
    if text is None:
        return None
    counter, equals, limit = text.partition("=")
    if not equals or not counter:
        raise Invalid(f"{text!r} is not counter=limit")
    return counter, whole(limit, text) if limit else None


@app.command("list")
def list_accounts(limit: Limit = 50, after: After = "") -> None:
    """Lists accounts by reference, each as it is billed today."""
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            wanted = "WHERE a.reference > %(after)s ORDER BY a.reference LIMIT %(limit)s"
            values = {"on": today(), "after": after, "limit": limit}
            rows = connection.execute(f"SELECT {COLUMNS} {JOINED} {wanted}".encode(), values).fetchall()
    show([named(NAMES, row) for row in rows], table_of("Accounts", NAMES, rows))


@app.command("show")
def show_account(reference: Reference) -> None:
    """Shows one account as it is billed today, and by what it may be charged."""
    with opened() as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            statement = f"SELECT {COLUMNS} {JOINED} WHERE a.reference = %(reference)s".encode()
            row = connection.execute(statement, {"on": today(), "reference": reference}).fetchone()
        if row is None:
            raise NotFound(f"there is no account {reference}")
        account = account_named(tally.billing, reference)
    methods = [(one.provider, one.label, one.token, one == account.method) for one in account.methods.values()]
    answer = {**named(NAMES, row), "methods": [named(METHODS, one) for one in methods]}
    show(answer, table_of(reference, NAMES, [row]))
    if methods and not session.as_json:
        rows = [(*told, "is charged" if charged else "") for *told, charged in methods]
        show_table(table_of("Payment methods", METHODS, rows))


@app.command("pay-by")
def pay_by(
    reference: Reference,
    provider: Annotated[str, typer.Argument(help="stripe or paypal")],
    customer: Annotated[str, typer.Argument(help="its id of the customer (cus_… at Stripe)")],
    token: Annotated[
        str, typer.Argument(help="its id of the method (pm_…, at PayPal a vault id); card numbers never come here")
    ],
    label: Annotated[str, typer.Option(help="for people: visa …4242")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="take the method away")] = False,
) -> None:
    """Lets open invoices of an account be charged by a provider; the latest method is used."""
    if provider not in ("stripe", "paypal"):
        raise Invalid(f"{provider!r} is not a provider that can charge: stripe and paypal are")
    command = RemovePaymentMethod(reference, token, "by hand") if remove else None
    with opened() as tally:
        tally.billing.execute(command or AddPaymentMethod(reference, provider, customer, token, label))
    answer = {"account": reference, "method": token, "removed": remove}
    show(answer, f"{reference} is {'not ' if remove else ''}charged by {label or token} at {provider}")


@app.command("set-up")
def set_up(
    reference: Reference,
    provider: Annotated[str, typer.Argument(help="stripe or paypal")],
    return_url: Annotated[str, typer.Option(help="where the customer comes back to (or TALLY_PUBLIC_URL)")] = "",
) -> None:
    """Opens the provider's page on which the customer leaves a card, a mandate or a PayPal agreement.

    What was left is the account's method as soon as the provider's webhook tells of it (`tally serve`).
    """
    with opened() as tally:
        asked = provider_of(tally, provider)
        account = account_named(tally.billing, reference)
        held = [method.customer for method in account.methods.values() if method.provider == provider]
        wanted = SetUp(
            account=reference, name=account.party.name, email=account.party.email,
            return_url=back_to(return_url), customer=held[-1] if held else "",
        )  # fmt: skip
        reply = asked.set_up(wanted)
    if reply.state in ("over", "unknown"):
        raise Unavailable(f"{provider} says: {reply.text or reply.state}")
    show(
        {"account": reference, "state": reply.state, "url": reply.url},
        f"{reference}: {reply.state} {reply.url}".rstrip(),
    )
