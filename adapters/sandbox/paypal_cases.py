"""Disputes in PayPal's sandbox: opened by a buyer or his bank, money taken for them, and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.sandbox.paypal_books import Books, Line
from adapters.sandbox.paypal_words import Json, instant, money


@dataclass
class Cases:
    """The disputes of one merchant. Units: amounts in PayPal's own."""

    books: Books
    disputes: dict[str, Json] = field(default_factory=dict)

    def open(self, capture: str, amount: int, reason: str = "UNAUTHORISED") -> str:
        """A buyer opens a case; no money moves yet."""
        number, currency = f"PP-D-{len(self.disputes) + 1}", self._currency(capture)
        self.disputes[number] = {
            "dispute_id": number, "status": "OPEN", "reason": reason, "dispute_amount": money(amount, currency),
            "create_time": instant(self.books.clock.now), "disputed_transactions": [{"seller_transaction_id": capture}],
            "dispute_life_cycle_stage": "CHARGEBACK", "money_movements": [], "links": [],
        }  # fmt: skip
        self._tell("CREATED", number)
        return number

    def take(self, number: str, amount: int, listed: bool = True) -> str:
        """PayPal takes the money back for a case; the id of the reversal.

        Shapes: `listed` when the case already says so.
        """
        capture = self.disputes[number]["disputed_transactions"][0]["seller_transaction_id"]
        if listed:
            self._moved(number, "DEBIT", amount)
        reversal = self.books.reverse(capture, amount)
        self._tell("UPDATED", number)
        return reversal

    def end(self, number: str, won: bool, back: int = 0) -> None:
        """PayPal decides; what it had taken comes back when we won."""
        dispute = self.disputes[number]
        dispute["status"] = "RESOLVED"
        code = "RESOLVED_SELLER_FAVOUR" if won else "RESOLVED_BUYER_FAVOUR"
        dispute["dispute_outcome"] = {"outcome_code": code}
        if back:
            self._moved(number, "CREDIT", back)
            capture = dispute["disputed_transactions"][0]["seller_transaction_id"]
            currency, now = self._currency(capture), self.books.clock.now
            self.books.balance.append(Line(f"{number}-BACK", "T1202", now, back, 0, currency, capture))
        self._tell("RESOLVED", number)

    def about(self, capture: str) -> Json:
        """The cases about a payment."""
        found = [
            {"dispute_id": number, "status": one["status"]}
            for number, one in self.disputes.items()
            if one["disputed_transactions"][0]["seller_transaction_id"] == capture
        ]
        return {"items": found, "links": []}

    def _moved(self, number: str, kind: str, amount: int) -> None:
        dispute = self.disputes[number]
        dispute["money_movements"].append({
            "affected_party": "SELLER", "type": kind, "reason": "DISPUTE_SETTLEMENT",
            "amount": money(amount, dispute["dispute_amount"]["currency_code"]),
            "initiated_time": instant(self.books.clock.now),
        })  # fmt: skip

    def _currency(self, capture: str) -> str:
        return str(self.books.found[capture]["body"]["amount"]["currency_code"])

    def _tell(self, what: str, number: str) -> None:
        self.books.events.tell(f"CUSTOMER.DISPUTE.{what}", "dispute", self.disputes[number])
