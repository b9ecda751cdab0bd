"""Stripe's books in the sandbox, the judge of double charges: intents, and money that moved."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import RLock
from typing import Any

from adapters.sandbox.desk import Answer, Clock

DECLINES = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_authenticationRequired": ("authentication_required", "authentication_required"),
}
FIELDS = {"amount", "currency", "customer", "payment_method", "description", "metadata", "confirm", "off_session"}


def refused(code: str, message: str, status: int = 400, kind: str = "invalid_request_error", **more: Any) -> Answer:
    """An error as Stripe words it."""
    return Answer(status, {"error": {"type": kind, "code": code, "message": message, **more}})


@dataclass
class Books:
    """One merchant's account at the sandbox. Units: amounts in minor units."""

    clock: Clock = field(default_factory=Clock)
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    captured: Counter[str] = field(default_factory=Counter)
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    lock: RLock = field(default_factory=RLock)

    def create(self, wanted: Mapping[str, Any]) -> Answer:
        """Makes an intent, which moves no money."""
        unknown = sorted(set(wanted) - FIELDS)
        if unknown:
            return refused("parameter_unknown", f"Received unknown parameter: {unknown[0]}", param=unknown[0])
        amount = str(wanted.get("amount", ""))
        if not amount.isdigit() or int(amount) < 50:
            return refused("amount_too_small", "Amount must be at least 0.50", param="amount")
        number = f"pi_{next(self.numbers):024d}"
        status = "requires_confirmation" if wanted.get("payment_method") else "requires_payment_method"
        self.intents[number] = {
            "id": number, "object": "payment_intent", "amount": int(amount), "amount_received": 0,
            "created": int(self.clock.now), "currency": wanted["currency"], "customer": wanted.get("customer"),
            "payment_method": wanted.get("payment_method"), "description": wanted.get("description"),
            "metadata": dict(wanted.get("metadata") or {}), "status": status, "latest_charge": None,
            "last_payment_error": None, "livemode": False,
        }  # fmt: skip
        return Answer(HTTPStatus.OK, self.intents[number])

    def confirm(self, number: str) -> Answer:
        """Moves the money of an intent, once."""
        intent = self.intents[number]
        if intent["status"] != "requires_confirmation":
            return self._wrong_state(intent, "confirm")
        if decline := DECLINES.get(intent["payment_method"]):
            code, why = decline
            fault = {"type": "card_error", "code": code, "decline_code": why, "message": "Your card was declined."}
            intent |= {"status": "requires_payment_method", "payment_method": None, "last_payment_error": fault}
            return refused(code, fault["message"], 402, "card_error", decline_code=why, payment_intent=intent)
        charge = f"ch_{next(self.numbers):024d}"
        intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge}
        self.captured[intent["metadata"].get("invoice", "")] += intent["amount"]
        return Answer(HTTPStatus.OK, intent)

    def cancel(self, number: str) -> Answer:
        """Makes an intent dead."""
        intent = self.intents[number]
        if intent["status"] in ("succeeded", "canceled"):
            return self._wrong_state(intent, "cancel")
        intent["status"] = "canceled"
        return Answer(HTTPStatus.OK, intent)

    def listed(self, customer: str, limit: int, after: str) -> Answer:
        """Intents of a customer, the newest first, in pages."""
        found = [one for one in reversed(self.intents.values()) if one["customer"] == customer]
        names = [one["id"] for one in found]
        page = found[names.index(after) + 1 if after in names else 0 :]
        return Answer(HTTPStatus.OK, {"object": "list", "url": "/v1/payment_intents", "data": page[:limit],
                                      "has_more": len(page) > limit})  # fmt: skip

    @staticmethod
    def _wrong_state(intent: Mapping[str, Any], verb: str) -> Answer:
        message = f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}."
        return refused("payment_intent_unexpected_state", message, payment_intent=intent)
