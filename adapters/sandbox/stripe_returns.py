"""Money that goes back in the sandbox: refunds that may fail later, and disputes that take and return it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from adapters.sandbox.desk import Answer
from adapters.sandbox.stripe_books import Books, Object, Refused
from adapters.sandbox.stripe_methods import DAY, Method
from adapters.sandbox.stripe_money import DISPUTE_FEE, Money

REFUNDED = {"charge", "payment_intent", "amount", "metadata", "reason", "expand"}
ANSWERED = {"evidence", "submit", "metadata", "expand"}
FAILS_AFTER = 21 * DAY
PENDING_FOR = DAY
WORDS = {"winning_evidence": "won", "losing_evidence": "lost"}
"""What to write into the evidence so that a dispute ends, as Stripe's test mode has it."""


class Returns:
    """Refunds and disputes of charges."""

    def __init__(self, books: Books, money: Money) -> None:
        self.books, self.money = books, money

    def refund(self, wanted: Mapping[str, Any]) -> Answer:
        """Gives money of a charge back, never more than it has left."""
        charge = self._charge(wanted)
        left = charge["amount"] - charge["amount_refunded"]
        amount = int(wanted.get("amount", left))
        if charge["disputed"] and any(
            one["charge"] == charge["id"] and one["balance_transactions"]
            for one in self.books.objects["dispute"].values()
        ):
            raise Refused("charge_disputed", f"Charge {charge['id']} has been charged back.")
        if not left:
            raise Refused("charge_already_refunded", f"Charge {charge['id']} has already been refunded.")
        if not 0 < amount <= left:
            raise Refused("", f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
                          param="amount")  # fmt: skip
        return Answer(HTTPStatus.OK, self._refunded(charge, amount, wanted))

    def _charge(self, wanted: Mapping[str, Any]) -> Object:
        name = wanted.get("charge")
        if not name and wanted.get("payment_intent"):
            name = self.books.get("payment_intent", wanted["payment_intent"])["latest_charge"]
        charge = self.books.get("charge", name)
        if charge["status"] != "succeeded":
            raise Refused("charge_not_refundable", f"Charge {charge['id']} is {charge['status']}")
        return charge

    def _refunded(self, charge: Object, amount: int, wanted: Mapping[str, Any]) -> Object:
        how = self.books.behaviour(charge["payment_method"]).refunds
        made = self.books.new(
            "refund", amount=amount, charge=charge["id"], currency=charge["currency"],
            payment_intent=charge["payment_intent"], metadata=dict(wanted.get("metadata") or {}),
            reason=wanted.get("reason"), status="pending" if how == "pending" else "succeeded",
            destination_details={"type": charge["payment_method_details"]["type"]},
        )  # fmt: skip
        made["balance_transaction"] = self.money.line("refund", -amount, 0, made)["id"]
        self._moved(charge, made, amount)
        self.books.happened("refund.created", made)
        self.books.happened("charge.refunded", charge)
        if how == "pending":
            self.books.later(PENDING_FOR, lambda: self._arrived(made))
        elif how == "fails":
            self.books.later(FAILS_AFTER, lambda: self.fail(made["id"]))
        return made

    def _moved(self, charge: Object, refund: Object, amount: int) -> None:
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.books.returned[refund["metadata"].get("refund", "")] += amount

    def _arrived(self, refund: Object) -> None:
        if refund["status"] == "pending":
            refund["status"] = "succeeded"
            self.books.happened("refund.updated", refund)
            self.books.happened("charge.refund.updated", refund)

    def fail(self, name: str) -> None:
        """A refund that could not be delivered: its money is in the balance again."""
        refund = self.books.get("refund", name)
        if refund["status"] in ("failed", "canceled"):
            return
        refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
        line = self.money.line("refund_failure", refund["amount"], 0, refund)
        refund["failure_balance_transaction"] = line["id"]
        self._moved(self.books.get("charge", refund["charge"]), refund, -refund["amount"])
        self.books.happened("refund.failed", refund)
        self.books.happened("charge.refund.updated", refund)

    def dispute(self, charge: Object, method: Method) -> Object:
        """The customer's bank takes the money back, or only inquires; a returned debit is lost at once."""
        made = self.books.new(
            "dispute", amount=charge["amount"], charge=charge["id"], currency=charge["currency"],
            payment_intent=charge["payment_intent"], reason=method.disputed, is_charge_refundable=method.inquiry,
            status="warning_needs_response" if method.inquiry else "needs_response",
        )  # fmt: skip
        charge["disputed"] = True
        self.books.happened("charge.dispute.created", made)
        if not method.inquiry:
            self._line(made, "dispute", -1, DISPUTE_FEE)
            self.books.happened("charge.dispute.funds_withdrawn", made)
        if method.kind == "sepa_debit":
            self.end(made["id"], "lost")
        return made

    def _line(self, dispute: Object, category: str, sign: int, fee: int) -> None:
        line = self.money.line(category, sign * dispute["amount"], fee, dispute)
        dispute["balance_transactions"] = [*dispute["balance_transactions"], line]

    def answer(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """Takes evidence in; certain words in it decide."""
        dispute = self.books.get("dispute", name)
        word = str((wanted.get("evidence") or {}).get("uncategorized_text", ""))
        if dispute["status"] not in ("needs_response", "warning_needs_response"):
            raise Refused("", f"This dispute is {dispute['status']}")
        if word in WORDS:
            self.end(name, WORDS[word])
        return Answer(HTTPStatus.OK, dispute)

    def close(self, name: str) -> Answer:
        """The merchant gives in."""
        return Answer(HTTPStatus.OK, self.end(name, "lost"))

    def end(self, name: str, how: str) -> Object:
        """The end of a dispute, once; one that is won gives the money back."""
        dispute = self.books.get("dispute", name)
        if dispute["status"] in ("won", "lost", "warning_closed"):
            return dispute
        taken = bool(dispute["balance_transactions"])
        dispute["status"] = how if taken or how == "lost" else "warning_closed"
        if how == "won" and taken:
            self._line(dispute, "dispute_reversal", 1, 0)
            self.books.happened("charge.dispute.funds_reinstated", dispute)
        self.books.happened("charge.dispute.closed", dispute)
        return dispute
