"""Commands on money that goes back: refunds, disputes, reversals. None of them asks a provider.

What a refund or a dispute opens again is put on hold (`holds`). Source: ADR-0018.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.application import Billing, Outcome
from domain.application.holds import pay_again, put_on_hold
from domain.application.payments import NAMES, issued, receivables
from domain.errors import Conflict, IntegrityError, Invalid
from domain.events.receivables import DisputeLearned, MoneyReturned, RefundOpened, Return
from domain.identity import Kind, bucket_of, make_id, name_bucket
from domain.money import as_said, with_currency
from domain.news import DisputeNews
from domain.payment import RefundReply
from domain.ports import Rows
from domain.receipt import RefundStanding
from domain.receivables import Receivables, dispute_name, refund_name

HOLDING: frozenset[Return] = frozenset({"refund", "dispute"})
"""Returns that are not to be chased: we gave the money, or its owner and his bank argue about it."""


class GiveBack(msgspec.Struct, frozen=True):
    """Books that money of a receipt went back, once over all receipts; what it paid for is open again."""

    account: UUID
    currency: str
    receipt: str
    return_id: str
    kind: Return
    amount: int
    on: date
    text: str = ""

    def handle(self, billing: Billing) -> Outcome:
        money = receivables(billing, self.account, self.currency)
        returned = MoneyReturned(
            receipt=self.receipt, return_id=self.return_id, kind=self.kind, amount=self.amount, on=self.on,
            text=self.text,
        )  # fmt: skip
        if not money.give_back(returned, _gross(billing, money, self.receipt)):
            return Outcome((), answer=False)
        held = put_on_hold(billing, money, self.return_id, self.on) if self.kind in HOLDING else ()
        return Outcome((money, *held), {NAMES: [named(f"return:{self.return_id}", self.account)]}, answer=True)


class UndoReturn(msgspec.Struct, frozen=True):
    """Books that money which had gone back is here again: it pays what its going had opened, the rest is credit."""

    account: UUID
    currency: str
    receipt: str
    return_id: str
    on: date
    why: str = ""

    def handle(self, billing: Billing) -> Outcome:
        money = receivables(billing, self.account, self.currency)
        before = returns_of(money)
        undone = money.undo_return(self.receipt, self.return_id, self.on, self.why)
        restored = pay_again(billing, money, self.receipt, self.return_id, self.on, self.why) if undone else ()
        return Outcome((money, *restored), new_names(money, before, self.account), answer=undone)


class OpenRefund(msgspec.Struct, frozen=True):
    """Begins to give money of a receipt back by the provider that it came by; the answer is the refund.

    Units: `amount` in minor units; 0 is all that the receipt still holds.
    Raises: Conflict for money that did not come by a provider, or that is not there any more.
    """

    UNSAID: ClassVar[tuple[str, ...]] = ("opened_at",)
    account: UUID
    currency: str
    receipt: str
    opened_at: datetime
    amount: int = 0
    why: str = ""

    def handle(self, billing: Billing) -> Outcome:
        money = receivables(billing, self.account, self.currency)
        standing = self.open(billing, money)
        name = refund_name(standing.opened.refund)
        held_back = put_on_hold(billing, money, name, self.opened_at.date())
        return Outcome((money, *held_back), {NAMES: [named(name, self.account)]}, answer=standing)

    def open(self, billing: Billing, money: Receivables) -> RefundStanding:
        """Begins the refund in the payer's money."""
        held = money.receipt(self.receipt)
        booked = held.booked
        if booked.source not in ("stripe", "paypal"):
            raise Conflict(f"{self.receipt} came by {booked.source}: only what came by a provider is refunded by it")
        if self.amount < 0:
            raise Invalid(f"a refund is above zero, not {held.told(self.amount)}")
        refund = make_id(Kind.REFUND, bucket_of(money.id), self.opened_at.date(), money.id, len(money.refunds) + 1)
        opened = RefundOpened(
            refund=refund, account=self.account, receipt=self.receipt, provider=booked.source,
            payment=self.receipt.partition(":")[2], amount=self.amount or held.kept, currency=self.currency,
            opened_at=self.opened_at, document=booked.text, why=self.why,
        )  # fmt: skip
        money.open_refund(opened, _gross(billing, money, self.receipt))
        return money.refund(refund)


class RecordRefund(msgspec.Struct, frozen=True):
    """Records where a refund stands at its provider; the money of one that failed pays again what it had opened.

    Raises: IntegrityError when the provider gave back another amount than it was asked for: it has to be looked at.
    """

    account: UUID
    currency: str
    refund: UUID
    reply: RefundReply
    on: date

    def handle(self, billing: Billing) -> Outcome:
        money = receivables(billing, self.account, self.currency)
        self._check(money.refund(self.refund).opened)
        receipt = money.refund(self.refund).opened.receipt
        before = returns_of(money)
        if not money.learn_refund(self.refund, self.reply, self.on):
            return Outcome((), answer=False)
        back = (receipt, refund_name(self.refund), self.on, self.reply.code)
        restored = pay_again(billing, money, *back) if self.reply.state == "failed" else ()
        return Outcome((money, *restored), new_names(money, before, self.account), answer=True)

    def _check(self, opened: RefundOpened) -> None:
        reply = self.reply
        if reply.state not in ("pending", "succeeded"):
            return
        if (reply.amount, reply.currency) != (opened.amount, opened.currency):
            said, asked = as_said(reply.amount, reply.currency), with_currency(opened.amount, opened.currency)
            name = f"refund {reply.object} ({self.refund}) of {opened.receipt}"
            raise IntegrityError(f"{opened.provider} gives {said} back for {name}, and was asked for {asked}")


class RecordDispute(msgspec.Struct, frozen=True):
    """Records where a dispute about a receipt stands; what it opened is on hold until it is won and the money back."""

    account: UUID
    receipt: str
    provider: str
    news: DisputeNews
    on: date

    def handle(self, billing: Billing) -> Outcome:
        money, news = receivables(billing, self.account, self.news.currency), self.news
        learned = DisputeLearned(
            dispute=f"{self.provider}:{news.object}", account=self.account, receipt=self.receipt, state=news.state,
            amount=news.amount, withdrawn=news.withdrawn, given_back=news.given_back, currency=news.currency,
            on=self.on, reason=news.reason,
        )  # fmt: skip
        name, before = dispute_name(learned.dispute), returns_of(money)
        if not money.learn_dispute(learned, _gross(billing, money, self.receipt)):
            return Outcome((), answer=False)
        now = money.disputes[learned.dispute]
        if now.withdrawn <= now.given_back and (now.withdrawn or now.state == "won"):
            changed = pay_again(billing, money, self.receipt, name, self.on, now.state)
        else:  # one that is won before its money is back is not to be charged again either
            changed = put_on_hold(billing, money, name, self.on)
        return Outcome((money, *changed), new_names(money, before, self.account), answer=True)


def _gross(billing: Billing, money: Receivables, receipt: str) -> dict[UUID, int]:
    return {invoice: issued(billing, invoice).gross for invoice in money.receipt(receipt).paid}


def returns_of(money: Receivables) -> set[str]:
    """The names of all returns that are booked."""
    return {name for receipt in money.receipts.values() for name in receipt.returned}


def new_names(money: Receivables, before: set[str], account: UUID) -> Rows:
    """The rows that keep the names of returns which a command booked, also for disputes that had to wait for money."""
    names = [named(name, account) for name in sorted(returns_of(money) - before)]
    return {NAMES: names} if names else {}


def named(name: str, account: UUID) -> tuple[int, str, UUID]:
    """The row that keeps a name of money from being used twice, over all accounts."""
    return name_bucket(name), name, account
