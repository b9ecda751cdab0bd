"""Money at Stripe's in the sandbox: lines of the balance with their fees, and payouts of what has become available."""

from __future__ import annotations

from typing import Any

from adapters.sandbox.stripe_books import Books, Object
from adapters.sandbox.stripe_methods import DAY

AVAILABLE_AFTER = 2 * DAY
DISPUTE_FEE = 1500
TYPES = {"dispute": "adjustment", "dispute_reversal": "adjustment"}


def fee_of(amount: int, step: int = 1) -> int:
    """What a payment costs: 1.5 % and 25, halves up, in whole steps of the currency."""
    fee = (amount * 15 + 500) // 1000 + 25
    return -(-fee // step) * step


class Money:
    """Lines and payouts. Shapes: `waiting` are lines that were not paid out yet."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.waiting: list[Object] = []
        self.paid_out: dict[str, str] = {}
        self._planned = False

    def line(self, category: str, amount: int, fee: int, about: Object) -> Object:
        """Writes a line of the balance; the next payout is planned when it is the first."""
        fees = [{"amount": fee, "application": None, "currency": about["currency"], "description": "Stripe fees",
                 "type": "stripe_fee"}] if fee else []  # fmt: skip
        made = self.books.new(
            "balance_transaction", amount=amount, fee=fee, net=amount - fee, currency=about["currency"],
            available_on=int(self.books.now + AVAILABLE_AFTER), fee_details=fees, reporting_category=category,
            source=about["id"], type=TYPES.get(category, category),
        )  # fmt: skip
        self.waiting.append(made)
        self._plan()
        return made

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            self.books.later(DAY - self.books.now % DAY, self._daily)

    def _daily(self) -> None:
        self._planned = False
        for currency in sorted({one["currency"] for one in self.waiting}):
            self._pay_out(currency)
        if self.waiting:
            self._plan()

    def _pay_out(self, currency: str) -> None:
        ready = [one for one in self.waiting if one["currency"] == currency and one["available_on"] <= self.books.now]
        total = sum(one["net"] for one in ready)
        if total <= 0:
            return
        payout = self.books.new("payout", amount=total, currency=currency, arrival_date=int(self.books.now + DAY))
        for one in ready:
            one["status"], self.paid_out[one["id"]] = "available", payout["id"]
            self.waiting.remove(one)
        own: Any = self.books.new(
            "balance_transaction", amount=-total, net=-total, currency=currency, available_on=int(self.books.now),
            reporting_category="payout", source=payout["id"], type="payout", status="available",
        )  # fmt: skip
        payout["balance_transaction"], self.paid_out[own["id"]] = own["id"], payout["id"]
        self.books.happened("payout.created", payout)
        self.books.later(DAY, lambda: self._arrived(payout))

    def _arrived(self, payout: Object) -> None:
        payout |= {"status": "paid", "reconciliation_status": "completed"}
        self.books.happened("payout.paid", payout)
        self.books.happened("payout.reconciliation_completed", payout)
