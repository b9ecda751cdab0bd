"""Account: the party that is billed. A tree of any depth; an account pays for itself or an ancestor pays."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from operator import itemgetter
from typing import TypeVar
from uuid import UUID

from domain import credit_rule
from domain.aggregate import Aggregate
from domain.credit_rule import CreditRule
from domain.errors import Conflict, Invalid
from domain.events import Event
from domain.events import account as events
from domain.events.account import Party
from domain.ladder import Ladder, check
from domain.money import exponent

T = TypeVar("T")

Since = tuple[tuple[date, T], ...]
"""What holds from a day on, in the order in which it was told; it may be told long before its day, or behind it."""


class Account(Aggregate):
    """One account and how it is billed."""

    NAME = "account"

    # What cannot be changed in place is blank on the class: a run makes an account for each document.
    reference = ""
    party = Party(name="")
    parent: UUID | None = None
    payers: Since[UUID | None] = ((date.min, None),)
    billing_days: Since[int] = ((date.min, 1),)
    tax_rates: Since[Decimal] = ((date.min, Decimal(0)),)
    currency = ""
    zone = "UTC"
    terms_days = 0
    series = ""
    credit_series = ""
    remittance: tuple[str, ...] = ()
    lost_method = False
    ladder: Ladder | None = None
    credit_rule: CreditRule | None = None

    def blank(self) -> None:
        self.pools: dict[str, int] = {}
        self.methods: dict[str, events.PaymentMethodAdded] = {}
        self.removed_methods: set[str] = set()

    def open(self, opened: events.AccountOpened) -> None:
        """Records the account.

        Raises: Invalid for a currency, day, or rate that cannot be; Conflict when it is open already.
        """
        if self.version:
            raise Conflict(f"account {opened.reference} is open already")
        exponent(opened.currency)
        _check_day(opened.billing_day)
        _check_rate(opened.tax_percent)
        self.trigger(opened)

    def change_billing_day(self, billing_day: int, effective_on: date) -> None:
        """From a day on, service is billed on another day of the month."""
        _check_day(billing_day)
        self.trigger(events.BillingDayChanged(billing_day=billing_day, effective_on=effective_on))

    def change_tax_rate(self, tax_percent: Decimal, effective_on: date) -> None:
        """From a day on, documents carry another rate of tax."""
        _check_rate(tax_percent)
        self.trigger(events.TaxRateChanged(tax_percent=tax_percent, effective_on=effective_on))

    def change_payer(self, payer: UUID | None, effective_on: date) -> None:
        """From a day on, somebody else pays for the service."""
        self.trigger(events.PayerChanged(payer=payer, effective_on=effective_on))

    def change_party(self, party: Party) -> None:
        """Name or address changed; what was issued keeps what was printed."""
        self.trigger(events.PartyChanged(party=party))

    def set_pool(self, counter: str, limit: int | None) -> None:
        """One limit is shared by everything below the account; None ends it."""
        if limit is not None and limit < 0:
            raise Invalid("a pool cannot be below zero")
        self.trigger(events.PoolSet(counter=counter, limit=limit))

    def set_ladder(self, ladder: Ladder | None) -> None:
        """Another ladder for its overdue invoices; None: that of the packages. Raises: Invalid."""
        if ladder is not None:
            check(ladder)
        self.trigger(events.LadderSet(ladder=ladder))

    def set_credit_rule(self, rule: CreditRule | None) -> None:
        """Another rule for its credit; None: that of the packages. Raises: Invalid."""
        if rule is not None:
            credit_rule.check(rule)
        self.trigger(events.CreditRuleSet(rule=rule))

    def payer_on(self, day: date) -> UUID | None:
        """Who pays for it on a day; None when it does itself."""
        return _held(self.payers, day)

    def billing_day_on(self, day: date) -> int:
        """The day of the month that its service is billed on, as it is on a day."""
        return _held(self.billing_days, day)

    def tax_percent_on(self, day: date) -> Decimal:
        """The rate of tax on documents of a day."""
        return _held(self.tax_rates, day)

    @property
    def method(self) -> events.PaymentMethodAdded | None:
        """The method that invoices are charged by: the latest."""
        return next(reversed(self.methods.values()), None)

    def add_method(self, added: events.PaymentMethodAdded) -> None:
        """Lets the account be charged by a provider.

        Raises: Conflict when it has the method already; Invalid without a token: without one the customer pays himself.
        """
        if not added.token:
            raise Invalid(f"a method of {added.provider} has an id")
        if added.token in self.methods:
            raise Conflict(f"{self.reference} has {added.label or added.token} already")
        self.trigger(added)

    def remove_method(self, token: str, why: str = "") -> None:
        """Takes a method away. Raises: Conflict when it is not there."""
        if token not in self.methods:
            raise Conflict(f"{self.reference} has no payment method {token}")
        self.trigger(events.PaymentMethodRemoved(token=token, why=why))

    def when(self, event: Event) -> None:
        match event:
            case events.AccountOpened():
                self.reference, self.party = event.reference, event.party
                self.parent, self.currency, self.zone = event.parent, event.currency, event.zone
                self.payers = ((date.min, event.payer),)
                self.billing_days = ((date.min, event.billing_day),)
                self.tax_rates = ((date.min, event.tax_percent),)
                self.terms_days, self.remittance = event.terms_days, event.remittance
                self.series, self.credit_series = event.series, event.credit_series
            case events.PartyChanged():
                self.party = event.party
            case events.BillingDayChanged():
                self.billing_days = (*self.billing_days, (event.effective_on, event.billing_day))
            case events.TaxRateChanged():
                self.tax_rates = (*self.tax_rates, (event.effective_on, event.tax_percent))
            case events.PayerChanged():
                self.payers = (*self.payers, (event.effective_on, event.payer))
            case events.PaymentMethodAdded():
                self.methods[event.token] = event
                self.removed_methods.discard(event.token)
                self.lost_method = False
            case events.PaymentMethodRemoved():
                self.methods.pop(event.token, None)
                self.removed_methods.add(event.token)
                self.lost_method = not self.methods
            case events.LadderSet():
                self.ladder = event.ladder
            case events.CreditRuleSet():
                self.credit_rule = event.rule
            case events.PoolSet(limit=None):
                self.pools.pop(event.counter, None)
            case events.PoolSet():
                self.pools[event.counter] = event.limit or 0


def _held(changes: Since[T], day: date) -> T:
    """The latest that has begun; of two that begin on one day, the last told."""
    if len(changes) == 1:
        return changes[0][1]
    return sorted([change for change in changes if change[0] <= day], key=itemgetter(0))[-1][1]


def _check_day(billing_day: int) -> None:
    if not 1 <= billing_day <= 31:
        raise Invalid(f"a billing day is 1 to 31, not {billing_day}")


def _check_rate(tax_percent: Decimal) -> None:
    if not tax_percent.is_finite() or not 0 <= tax_percent < 100:
        raise Invalid(f"a tax rate is 0 to below 100 percent, not {tax_percent}")
