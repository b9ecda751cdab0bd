"""Methods on file, charged while the customer is away: PaymentIntents, created without money and confirmed apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import stripe

from adapters.providers.stripe.calls import WRONG_STATES, code_of, found, key_of, made, minor, name_of, told, unknown
from domain.chargeable import units
from domain.errors import Invalid
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
APPROVE = "authentication_required"
CLOCKS_APART = timedelta(days=1)
"""By how much Stripe's clock and ours may differ at most."""


class Intents:
    """PaymentIntents as the port speaks of payments."""

    def __init__(self, client: stripe.StripeClient, return_url: str) -> None:
        self._intents, self._return_url = client.v1.payment_intents, return_url

    def create(self, order: Order) -> Reply:
        """An intent that waits to be confirmed."""

        def make() -> Reply:
            wanted: Any = {**asked_for(order), "payment_method": order.method, "description": order.document,
                      "metadata": references(order)}  # fmt: skip
            return reply_of(self._intents.create(wanted, key_of(order.attempt, "create")))

        return made(make)

    def find(self, order: Order) -> Reply | None:
        """The intent that bears the attempt's id, among those of the customer."""
        wanted: Any = {"limit": 100, **among(order)}
        return found(order, lambda: self._intents.list(wanted).auto_paging_iter(), reply_of)

    def confirm(self, order: Order, object_id: str) -> Reply:
        """Moves the money, off session. An intent whose methods may redirect wants a way back even so."""
        wanted: Any = {"off_session": True, "return_url": order.return_url or self._return_url}
        key = key_of(order.attempt, "confirm")
        return self._settled(object_id, lambda: self._intents.confirm(object_id, wanted, key))

    def look(self, object_id: str) -> Reply:
        """Reads the intent."""
        try:
            return reply_of(self._intents.retrieve(object_id))
        except stripe.StripeError as error:
            return unknown(error, object_id)

    def cancel(self, object_id: str) -> Reply:
        """Cancels the intent; one that succeeded meanwhile says so."""
        return self._settled(object_id, lambda: self._intents.cancel(object_id))

    def authenticate(self, order: Order, object_id: str) -> Reply:
        """Confirms the same intent by the same method with the customer there; one that waits already says where."""
        seen = self.look(object_id)
        if seen.state != "action_required" or seen.url:
            return seen
        wanted: Any = {"payment_method": order.method, "return_url": order.return_url or self._return_url}
        key = key_of(order.attempt, "authenticate")
        return self._settled(object_id, lambda: self._intents.confirm(object_id, wanted, key))

    def _settled(self, object_id: str, call: Callable[[], Any]) -> Reply:
        """What a call comes to: a decline, and a refusal because of the intent's state, are read from the intent."""
        try:
            return reply_of(call())
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            seen = self.look(object_id)
            refused = not isinstance(error, stripe.CardError) and error.code not in WRONG_STATES
            if refused and seen.state == "open":
                # Stripe will never take this request: the attempt ends once its object is dead.
                return msgspec.structs.replace(seen, state="declined", code=code_of(error), text=told(error))
            return seen
        except stripe.StripeError as error:
            return unknown(error, object_id)


def asked_for(order: Order) -> Any:
    """The words that every request for money has. Raises: Invalid for an amount that Stripe does not take."""
    amount = units("stripe", order.amount, order.currency)
    customer = {"customer": order.customer} if order.customer else {}
    return {"amount": amount, "currency": order.currency.lower(), **customer}


def references(order: Order) -> dict[str, str]:
    """What an object bears, so that it is found again and known as ours."""
    return {"attempt": str(order.attempt), "invoice": str(order.invoice), "account": order.account}


def among(order: Order) -> dict[str, Any]:
    """Where an attempt's object can be: with its customer, else among what is not older than the attempt."""
    if order.customer:
        return {"customer": order.customer}
    return {"created": {"gte": int((order.opened_at - CLOCKS_APART).timestamp())}} if order.opened_at else {}


def reply_of(intent: Any) -> Reply:
    """Where an intent stands; a state that this program does not know is never taken for an end."""
    fault = intent.last_payment_error if intent.status == "requires_payment_method" else None
    code = (getattr(fault, "decline_code", None) or getattr(fault, "code", None) or "") if fault else ""
    approve = bool(fault) and APPROVE in (getattr(fault, "code", None), code)
    reply = Reply(
        "action_required" if approve else STATES.get(intent.status, "unknown"),
        object=intent.id,
        payment=name_of(intent.latest_charge) if intent.status == "succeeded" else "",
        currency=intent.currency.upper(),
        code=code,
        text=(getattr(fault, "message", None) or "") if fault else "",
        url=_where(intent),
    )
    try:
        return msgspec.structs.replace(reply, amount=minor(intent.amount_received or 0, intent.currency))
    except Invalid as error:
        return Reply("unknown", object=intent.id, text=str(error))


def _where(intent: Any) -> str:
    step = intent.next_action if intent.status == "requires_action" else None
    redirect = getattr(step, "redirect_to_url", None) if step else None
    return (redirect.url or "") if redirect else ""
