"""Account: the party that is billed. A tree of any depth; an account pays for itself or an ancestor pays."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
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


class Account(Aggregate):
    """One account and how it is billed."""

    NAME = "account"

    # What cannot be changed in place is blank on the class: a run makes an account for each document.
    reference = ""
    party = Party(name="")
    parent: UUID | None = None
    payer: UUID | None = None
    later_payers: tuple[tuple[date, UUID | None], ...] = ()
    currency = ""
    zone = "UTC"
    billing_day = 1
    tax_percent = Decimal(0)
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
        self._check(opened.billing_day, opened.tax_percent)
        self.trigger(opened)

    def change_billing_day(self, billing_day: int, effective_on: date) -> None:
        """From a day on, service is billed on another day of the month."""
        self._check(billing_day, self.tax_percent)
        self.trigger(events.BillingDayChanged(billing_day=billing_day, effective_on=effective_on))

    def change_tax_rate(self, tax_percent: Decimal, effective_on: date) -> None:
        """From a day on, documents carry another rate of tax."""
        self._check(self.billing_day, tax_percent)
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
        """Who pays for it on a day, None when it does itself: by the latest change that has begun."""
        begun = [change for change in self.later_payers if change[0] <= day]
        return sorted(begun, key=_since)[-1][1] if begun else self.payer

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

    @staticmethod
    def _check(billing_day: int, tax_percent: Decimal) -> None:
        if not 1 <= billing_day <= 31:
            raise Invalid(f"a billing day is 1 to 31, not {billing_day}")
        if not tax_percent.is_finite() or not 0 <= tax_percent < 100:
            raise Invalid(f"a tax rate is 0 to below 100 percent, not {tax_percent}")

    def when(self, event: Event) -> None:
        match event:
            case events.AccountOpened():
                self.reference, self.party = event.reference, event.party
                self.parent, self.payer = event.parent, event.payer
                self.currency, self.zone = event.currency, event.zone
                self.billing_day, self.tax_percent = event.billing_day, event.tax_percent
                self.terms_days, self.remittance = event.terms_days, event.remittance
                self.series, self.credit_series = event.series, event.credit_series
            case events.PartyChanged():
                self.party = event.party
            case events.BillingDayChanged():
                self.billing_day = event.billing_day
            case events.TaxRateChanged():
                self.tax_percent = event.tax_percent
            case events.PayerChanged():
                self.later_payers = (*self.later_payers, (event.effective_on, event.payer))
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


def _since(change: tuple[date, UUID | None]) -> date:
    return change[0]
