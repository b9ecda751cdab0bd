"""What happens to an account: the party that is billed, or whose payer is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from domain.credit_rule import CreditRule
from domain.events import Event
from domain.ladder import Ladder


class Party(msgspec.Struct, frozen=True):
    """Name and address as they are printed on a document.

    Shapes: `language` is the one of mails and pages, ISO 639 ("de"); "" is English, on pages the browser's.
    """

    name: str
    address: tuple[str, ...] = ()
    country: str = ""
    tax_id: str = ""
    email: str = ""
    language: str = ""


class AccountOpened(Event):
    """A customer or reseller became an account.

    Shapes: `payer` None = pays for itself; `billing_day` 1–31, clamped to the month's end; `tax_percent` of net;
    `terms_days` from issue to due.
    """

    TOPIC = "account.opened"
    reference: str
    party: Party
    parent: UUID | None
    payer: UUID | None
    currency: str
    billing_day: int
    zone: str
    tax_percent: Decimal = Decimal(0)
    terms_days: int = 14
    series: str = "INV"
    credit_series: str = "CN"
    remittance: tuple[str, ...] = ()


class PartyChanged(Event):
    """Name or address changed; issued documents keep what was printed."""

    TOPIC = "account.party_changed"
    party: Party


class BillingDayChanged(Event):
    """The account is billed on another day of the month, for service from a day on."""

    TOPIC = "account.billing_day_changed"
    billing_day: int
    effective_on: date


class TaxRateChanged(Event):
    """Another rate of tax holds for documents issued from a day on."""

    TOPIC = "account.tax_rate_changed"
    tax_percent: Decimal
    effective_on: date


class PayerChanged(Event):
    """Somebody else pays for service from a day on: the account itself (None) or an ancestor."""

    TOPIC = "account.payer_changed"
    payer: UUID | None
    effective_on: date


class PaymentMethodAdded(Event):
    """The account may be charged by a provider while it is away; the latest method is the one that is used.

    Shapes: `customer` and `token` are the provider's; `label` is for people ("visa …4242"), never a card number.
    """

    TOPIC = "account.payment_method_added"
    provider: str
    customer: str
    token: str
    label: str = ""


class PaymentMethodRemoved(Event):
    """A method may not be used any more: by hand, or because its provider said so."""

    TOPIC = "account.payment_method_removed"
    token: str
    why: str = ""


class PoolSet(Event):
    """One limit is shared by all licenses of the account and everything below it; None ends it."""

    TOPIC = "account.pool_set"
    counter: str
    limit: int | None


class LadderSet(Event):
    """Invoices of the account that fall overdue are chased by a ladder of its own; None ends it."""

    TOPIC = "account.ladder_set"
    ladder: Ladder | None


class CreditRuleSet(Event):
    """Credit of the account is kept or paid out by a rule of its own; None ends it."""

    TOPIC = "account.credit_rule_set"
    rule: CreditRule | None
