"""Stripe by its own SDK: PaymentIntents, created without money and confirmed apart.

Every writing call is made under a key of the attempt, and once: what is not known afterwards is read, not repeated.
Source: ADR-0018; docs/providers.md says what we assume of Stripe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

import stripe

from domain.payment import Order, Reply, State

STATES: dict[str, State] = {
    "requires_confirmation": "open",
    "requires_payment_method": "declined",
    "requires_action": "action_required",
    "processing": "pending",
    "requires_capture": "unknown",
    "succeeded": "succeeded",
    "canceled": "cancelled",
}
WRONG_STATE = "payment_intent_unexpected_state"


class StripePayments:
    """Charges methods kept at Stripe while the customer is away."""

    name = "stripe"

    def __init__(self, key: str, base: str = "https://api.stripe.com", timeout: float = 60) -> None:
        self._intents = stripe.StripeClient(
            key,
            base_addresses={"api": base},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=timeout),
        ).v1.payment_intents

    def create(self, order: Order) -> Reply:
        """An intent that waits to be confirmed; a request that Stripe refuses made nothing."""
        wanted: Any = {
            "amount": order.amount,
            "currency": order.currency.lower(),
            "customer": order.customer,
            "payment_method": order.method,
            "description": order.document,
            "metadata": {"attempt": str(order.attempt), "invoice": str(order.invoice), "account": order.account},
        }
        try:
            return _reply(self._intents.create(wanted, {"idempotency_key": _key(order.attempt, "create")}))
        except stripe.InvalidRequestError as error:
            return Reply("cancelled", code=error.code or "refused", text=error.user_message or str(error))
        except stripe.StripeError as error:
            return _unknown(error)

    def find(self, order: Order) -> Reply | None:
        """The intent that bears the attempt's id, among those of the customer."""
        try:
            listed = self._intents.list({"customer": order.customer, "limit": 100})
            for intent in listed.auto_paging_iter():
                if dict(intent.metadata.to_dict() if intent.metadata else {}).get("attempt") == str(order.attempt):
                    return _reply(intent)
        except stripe.InvalidRequestError:
            return None
        except stripe.StripeError as error:
            return _unknown(error)
        return None

    def confirm(self, order: Order, object_id: str) -> Reply:
        """Moves the money, off session."""
        key = _key(order.attempt, "confirm")
        return self._settled(
            object_id, lambda: self._intents.confirm(object_id, {"off_session": True}, {"idempotency_key": key})
        )

    def look(self, object_id: str) -> Reply:
        """Reads the intent."""
        try:
            return _reply(self._intents.retrieve(object_id))
        except stripe.StripeError as error:
            return _unknown(error, object_id)

    def cancel(self, object_id: str) -> Reply:
        """Cancels the intent; one that succeeded meanwhile says so."""
        return self._settled(object_id, lambda: self._intents.cancel(object_id))

    def _settled(self, object_id: str, call: Callable[[], Any]) -> Reply:
        """What a call comes to: a refusal because of the intent's state, and a decline, are read from the intent."""
        try:
            return _reply(call())
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            definite = isinstance(error, stripe.CardError) or error.code == WRONG_STATE
            return self.look(object_id) if definite else _unknown(error, object_id)
        except stripe.StripeError as error:
            return _unknown(error, object_id)


def _key(attempt: UUID, step: str) -> str:
    return str(uuid5(attempt, step))


def _unknown(error: stripe.StripeError, object_id: str = "") -> Reply:
    return Reply("unknown", object=object_id, text=f"{type(error).__name__}: {error.user_message or error}"[:200])


def _reply(intent: Any) -> Reply:
    fault = intent.last_payment_error if intent.status == "requires_payment_method" else None
    code = (getattr(fault, "decline_code", None) or getattr(fault, "code", None) or "") if fault else ""
    charge = intent.latest_charge or ""
    return Reply(
        # A state that this program does not know is never taken for an end.
        STATES.get(intent.status, "unknown"),
        object=intent.id,
        payment=charge if isinstance(charge, str) else charge.id,
        amount=intent.amount_received or 0,
        currency=intent.currency.upper(),
        code=code,
        text=(getattr(fault, "message", None) or "") if fault else "",
    )
