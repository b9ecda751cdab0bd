"""Commands on accounts."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from domain.account import Account
from domain.application import Billing, Outcome
from domain.credit_rule import CreditRule
from domain.errors import Conflict, Invalid, NotFound
from domain.events.account import AccountOpened, Party, PaymentMethodAdded
from domain.identity import Kind, account_bucket, bucket_of, make_id, name_bucket
from domain.ladder import Ladder

SERIES = re.compile(r"[A-Z0-9](?:[A-Z0-9-]{0,18}[A-Z0-9])?")
"""Names of series that banks carry whole, in the capitals that transfers are read in."""


def account_named(billing: Billing, reference: str) -> Account:
    """An account by its reference. Raises: NotFound."""
    found = billing.resolve(Kind.ACCOUNT, [reference]).get(reference)
    if found is None:
        raise NotFound(f"there is no account {reference}")
    return billing.find(Account, found, f"account {reference}")


def ancestors(billing: Billing, account: Account) -> list[Account]:
    """The accounts above one, the nearest first."""
    above: list[Account] = []
    while account.parent is not None:
        account = billing.find(Account, account.parent, "parent account")
        above.append(account)
    return above


class OpenAccount(msgspec.Struct, frozen=True):
    """Opens an account; below a parent it lives in the parent's bucket, so that a tree can be billed together.

    Shapes: `payer` is the reference of an ancestor, or empty: it pays for itself.
    """

    reference: str
    party: Party
    currency: str
    parent: str = ""
    payer: str = ""
    billing_day: int = 1
    zone: str = "UTC"
    tax_percent: Decimal = Decimal(0)
    terms_days: int = 14
    series: str = "INV"
    credit_series: str = "CN"
    remittance: tuple[str, ...] = ()

    def handle(self, billing: Billing) -> Outcome:
        check_reference(self.reference)
        check_zone(self.zone)
        for series in (self.series, self.credit_series):
            check_series(series)
        if billing.resolve(Kind.ACCOUNT, [self.reference]):
            raise Conflict(f"account {self.reference} is open already")
        parent = account_named(billing, self.parent) if self.parent else None
        bucket = bucket_of(parent.id) if parent else account_bucket(self.reference)
        account = Account(make_id(Kind.ACCOUNT, bucket, None, self.reference))
        account.open(self._opened(parent, self._payer(billing, parent)))
        name = (name_bucket(self.reference), int(Kind.ACCOUNT), self.reference, account.id)
        return Outcome((account,), {"directory (bucket, kind, name, id)": [name]}, answer=account.id)

    def _payer(self, billing: Billing, parent: Account | None) -> UUID | None:
        if not self.payer:
            return None
        above = [parent, *ancestors(billing, parent)] if parent else []
        return _paying(above, self.payer, self.reference, self.currency)

    def _opened(self, parent: Account | None, payer: UUID | None) -> AccountOpened:
        return AccountOpened(
            reference=self.reference,
            party=self.party,
            parent=parent.id if parent else None,
            payer=payer,
            currency=self.currency,
            billing_day=self.billing_day,
            zone=self.zone,
            tax_percent=self.tax_percent,
            terms_days=self.terms_days,
            series=self.series,
            credit_series=self.credit_series,
            remittance=self.remittance,
        )


class ChangeAccount(msgspec.Struct, frozen=True):
    """Changes how an account is billed, from a day on; what is None stays as it is.

    Shapes: `payer` a reference above the account, or "self"; `pool` (counter, limit or None).
    """

    reference: str
    effective_on: date
    billing_day: int | None = None
    tax_percent: Decimal | None = None
    payer: str | None = None
    party: Party | None = None
    pool: tuple[str, int | None] | None = None

    def handle(self, billing: Billing) -> Outcome:
        account = account_named(billing, self.reference)
        if self.billing_day is not None:
            account.change_billing_day(self.billing_day, self.effective_on)
        if self.tax_percent is not None:
            account.change_tax_rate(self.tax_percent, self.effective_on)
        if self.payer is not None:
            account.change_payer(self._payer(billing, account), self.effective_on)
        if self.party is not None:
            account.change_party(self.party)
        if self.pool is not None:
            account.set_pool(*self.pool)
        return Outcome((account,))

    def _payer(self, billing: Billing, account: Account) -> UUID | None:
        if self.payer == "self":
            return None
        return _paying(ancestors(billing, account), self.payer or "", self.reference, account.currency)


def _paying(above: list[Account], payer: str, reference: str, currency: str) -> UUID:
    found = next((account for account in above if account.reference == payer), None)
    if found is None:
        raise Invalid(f"{payer} is not above {reference}, so it cannot pay for it")
    if found.currency != currency:
        raise Invalid(f"{payer} pays in {found.currency}, not in {currency}")
    return found.id


def check_reference(reference: str) -> None:
    """Whether people and files can name something by it. Raises: Invalid."""
    if not reference or len(reference) > 100 or not reference.isprintable() or reference != reference.strip():
        raise Invalid(f"{reference!r} cannot be a reference: 1 to 100 printable characters")


def check_series(series: str) -> None:
    """Whether a customer can write its numbers in a transfer, and we find them there. Raises: Invalid."""
    if not SERIES.fullmatch(series):
        raise Invalid(f"{series!r} cannot be a series: 1 to 20 of A-Z, 0-9 and dashes, a letter or digit at both ends")


def check_zone(zone: str) -> None:
    """Whether there is a time zone of that name. Raises: Invalid."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"{zone!r} is not a time zone of the IANA database") from error


class AddPaymentMethod(msgspec.Struct, frozen=True):
    """Lets every invoice of an account be charged by a provider; card numbers never come here, tokens do."""

    account: str
    provider: str
    customer: str
    token: str
    label: str = ""

    def handle(self, billing: Billing) -> Outcome:
        account = account_named(billing, self.account)
        account.add_method(
            PaymentMethodAdded(provider=self.provider, customer=self.customer, token=self.token, label=self.label)
        )
        return Outcome((account,))


class LeavePaymentMethod(msgspec.Struct, frozen=True):
    """A customer left a method on a provider's page, as its news says; the answer: whether it is charged by it.

    One that the account had and that was taken away stays away: news may be late, and only a person brings it back.
    """

    account: str
    provider: str
    customer: str
    token: str
    label: str = ""

    def handle(self, billing: Billing) -> Outcome:
        account = account_named(billing, self.account)
        if self.token in account.methods or self.token in account.removed_methods:
            return Outcome((), answer=self.token in account.methods)
        adding = AddPaymentMethod(self.account, self.provider, self.customer, self.token, self.label)
        return adding.handle(billing)._replace(answer=True)


class RemovePaymentMethod(msgspec.Struct, frozen=True):
    """Takes a payment method away from an account."""

    account: str
    token: str
    why: str = ""

    def handle(self, billing: Billing) -> Outcome:
        account = account_named(billing, self.account)
        account.remove_method(self.token, self.why)
        return Outcome((account,))


class SetLadder(msgspec.Struct, frozen=True):
    """Chases overdue invoices of an account by a ladder of its own; None: by that of the packages again."""

    account: str
    ladder: Ladder | None

    def handle(self, billing: Billing) -> Outcome:
        account = account_named(billing, self.account)
        account.set_ladder(self.ladder)
        return Outcome((account,))


class SetCreditRule(msgspec.Struct, frozen=True):
    """Keeps or pays out an account's credit by a rule of its own; None: by that of the packages again."""

    account: str
    rule: CreditRule | None

    def handle(self, billing: Billing) -> Outcome:
        account = account_named(billing, self.account)
        account.set_credit_rule(self.rule)
        return Outcome((account,))
