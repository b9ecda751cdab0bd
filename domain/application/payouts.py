"""Commands on credit that is paid out by rule: what goes back by providers, and what finance pays out by bank.

None of them asks a provider or a bank: the job does. Source: ADR-0033.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.account import Account
from domain.aggregate import Aggregate
from domain.application import Billing, Outcome
from domain.application.catalog import version_of
from domain.application.payments import NAMES, receivables
from domain.application.returns import OpenRefund, named, new_names, returns_of
from domain.credit import Part, Plan, plan
from domain.credit_rule import KEEP, CreditRule, most_keeping
from domain.errors import Conflict
from domain.events.payout import PayoutOpened, PayoutPart
from domain.events.receivables import MoneyReturned
from domain.identity import Kind, bucket_of, make_id
from domain.license import License
from domain.money import with_currency
from domain.payout import Payout, payout_name, reference_of
from domain.receipt import RefundStanding
from domain.receivables import Receivables, refund_name

WHY = "credit is paid out"


class Decided(NamedTuple):
    """What is to go out, or why nothing is."""

    plan: Plan
    kept: str = ""


class PaidOut(NamedTuple):
    """What was begun: refunds that the provider is to be asked for, and what finance is to pay; or why nothing was."""

    refunds: tuple[RefundStanding, ...]
    payout: Payout | None
    kept: str = ""


NOTHING = Plan((), (), ())


class PayOut(msgspec.Struct, frozen=True):
    """Pays out an account's credit in a currency if its rule says so; the answer is what was begun.

    All of it counts as returned from now on, so that no invoice and no other payout takes it.
    Shapes: `licenses` are all that the account pays for; `providers` those that can be asked.
    """

    account: UUID
    currency: str
    licenses: tuple[UUID, ...]
    providers: tuple[str, ...]
    opened_at: datetime
    on: date

    def handle(self, billing: Billing) -> Outcome:
        money = receivables(billing, self.account, self.currency)
        decided = self.decide(billing, money)
        if decided.kept:
            return Outcome((), answer=PaidOut((), None, decided.kept))
        for one in decided.plan.exchanges:
            money.pay_instead(one.receipt, one.instead_of, one.invoice, one.amount, self.on)
        refunds = tuple(self._refund(billing, money, part) for part in decided.plan.refunds)
        payout = self._payout(money, decided.plan.by_bank)
        names = [refund_name(one.opened.refund) for one in refunds]
        names += [payout_name(payout.id)] if payout else []
        rows = {NAMES: [named(name, self.account) for name in names]}
        changed: tuple[Aggregate, ...] = (money, payout) if payout else (money,)
        return Outcome(changed, rows, answer=PaidOut(refunds, payout))

    def decide(self, billing: Billing, money: Receivables) -> Decided:
        """What the rule says of an account's credit: the same for a preview as for what is done."""
        account = billing.find(Account, self.account, "account")
        own = account.credit_rule
        asks = own is None or own.pay_out == "leaving"
        licenses = [billing.find(License, one, "license") for one in self.licenses] if asks else []
        kept = _kept(credit_rule(billing, account, licenses, self.on), money, self.currency, licenses, self.on)
        if kept:
            return Decided(NOTHING, kept)
        planned = plan(money, self.on, self.providers)
        return Decided(planned, "" if planned.amount else "no key for the provider that it came by")

    def _refund(self, billing: Billing, money: Receivables, part: Part) -> RefundStanding:
        return OpenRefund(self.account, self.currency, part.receipt, self.opened_at, part.amount, WHY).open(
            billing, money
        )

    def _payout(self, money: Receivables, parts: Sequence[Part]) -> Payout | None:
        if not parts:
            return None
        payout = Payout(make_id(Kind.PAYOUT, bucket_of(money.id), self.on, money.id, money.version))
        opened = PayoutOpened(
            reference=reference_of(payout.id), account=self.account, currency=self.currency,
            amount=sum(part.amount for part in parts), parts=tuple(PayoutPart(*part) for part in parts), on=self.on,
        )  # fmt: skip
        for part in parts:
            returned = MoneyReturned(
                receipt=part.receipt, return_id=payout_name(payout.id), kind="payout", amount=part.amount, on=self.on,
                text=opened.reference,
            )  # fmt: skip
            money.give_back(returned, {})
        payout.open(opened)
        return payout


def credit_rule(billing: Billing, account: Account, licenses: Sequence[License], on: date) -> CreditRule:
    """By which rule an account's credit is kept: its own, else the most keeping of the packages that it pays for."""
    if account.credit_rule is not None:
        return account.credit_rule
    sold = [one.current(on) for one in licenses if _runs(one, on)] or [one.current(on) for one in licenses]
    versions = dict.fromkeys((one.package, one.version) for one in sold)
    return most_keeping([version_of(billing, *one).credit or KEEP for one in versions] or [KEEP])


def _runs(license: License, on: date) -> bool:
    """Whether a license runs on a day, or is yet to begin."""
    return license.end_on is None or on < license.end_on


def _kept(rule: CreditRule, money: Receivables, currency: str, licenses: Sequence[License], on: date) -> str:
    """Why credit is not paid out; "" when it is."""
    idle = timedelta(days=rule.after)
    if rule.pay_out == "never":
        return "the rule keeps it"
    if money.credit <= rule.kept(currency):
        return "it is not over what the rule keeps"
    if any(one.state == "open" for one in money.disputes.values()):
        return "a dispute may need it"
    if money.moved_on + idle > on:
        return f"money moved within {rule.after} days"
    if rule.pay_out == "leaving" and (not licenses or any(_runs(one, on - idle) for one in licenses)):
        return "a license runs"
    return ""


class RecordPayout(msgspec.Struct, frozen=True):
    """Books that a transfer out made a payout; a second time it changes nothing. Raises: Conflict when it cannot be."""

    payout: UUID
    transfer: str
    amount: int
    currency: str
    on: date

    def handle(self, billing: Billing) -> Outcome:
        payout = billing.find(Payout, self.payout, "payout")
        if not payout.make(self.transfer, self.amount, self.currency, self.on):
            return Outcome((), answer=False)
        return Outcome((payout,), {NAMES: [named(f"return:bank:{self.transfer}", payout.said.account)]}, answer=True)


class FailPayout(msgspec.Struct, frozen=True):
    """Books that a payout was not made, or came back by a transfer: its money is the account's credit again.

    What a dispute took meanwhile is not: its bank has it.
    Raises: Conflict when it came back with another amount, as a bank's costs make it: a person has to look.
    """

    payout: UUID
    on: date
    why: str = ""
    transfer: str = ""
    amount: int = 0
    currency: str = ""

    def handle(self, billing: Billing) -> Outcome:
        payout = billing.find(Payout, self.payout, "payout")
        said = payout.said
        if self.transfer and (self.amount, self.currency) != (said.amount, said.currency):
            over, back = with_currency(said.amount, said.currency), with_currency(self.amount, self.currency)
            raise Conflict(f"{said.reference} is over {over}, not {back}")
        if not payout.fail(self.on, self.why, self.transfer):
            return Outcome((), answer=False)
        money = receivables(billing, said.account, said.currency)
        before = returns_of(money)
        for part in said.parts:
            money.undo_return(part.receipt, payout_name(self.payout), self.on, self.why)
        names = [named(f"bank:{self.transfer}", said.account)] if self.transfer else []
        names += new_names(money, before, said.account).get(NAMES, ())
        return Outcome((payout, money), {NAMES: names} if names else {}, answer=True)
