"""Orders: created without money, captured once, and made dead by taking their intent away.

Only our own capture moves money, and PayPal captures an order once. Source: ADR-0018, ADR-0029; docs/providers.md.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from adapters.providers.paypal.shapes import Capture, money, named, read, where_to_go
from adapters.providers.paypal.shapes import Order as Seen
from adapters.providers.paypal.transport import Told, Transport
from domain.errors import Invalid
from domain.payment import Order, Reply, State

CAPTURED: dict[str, State] = {
    "COMPLETED": "succeeded",
    "PARTIALLY_REFUNDED": "succeeded",
    "REFUNDED": "succeeded",
    "PENDING": "pending",
    "DECLINED": "declined",
    "FAILED": "declined",
}
MOST_FIRST: tuple[State, ...] = ("succeeded", "pending", "unknown", "declined")
STATES: dict[str, State] = {
    "CREATED": "open",
    "APPROVED": "open",
    "PAYER_ACTION_REQUIRED": "action_required",
    "VOIDED": "cancelled",
}
READ_AGAIN = {
    "ORDER_ALREADY_CAPTURED", "ORDER_NOT_APPROVED", "ORDER_COMPLETION_IN_PROGRESS", "ACTION_DOES_NOT_MATCH_INTENT",
    "PAYER_ACTION_REQUIRED", "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID",
}  # fmt: skip
"""Refusals of a capture because of the order's state: only reading it says what that is."""
ON_FILE = {"payment_initiator": "MERCHANT", "usage": "SUBSEQUENT", "usage_pattern": "RECURRING_POSTPAID"}
DEAD = [{"op": "replace", "path": "/intent", "value": "AUTHORIZE"}]


class Orders:
    """PayPal's orders as payment objects."""

    def __init__(self, transport: Transport) -> None:
        self._to = transport

    def create(self, order: Order) -> Reply:
        """An order that waits: for our capture by the method on file, or for the customer's approval on its page."""
        try:
            wanted = _wanted(order)
        except Invalid as error:
            return Reply("cancelled", code=error.code, text=str(error))
        told = self._to.ask("POST", "/v2/checkout/orders", wanted, request_id(order.attempt, "create"))
        if told.refused:
            return Reply("cancelled", code=told.issue or "refused", text=told.issue)
        return _reply(told)

    def find(self, order: Order) -> Reply | None:
        """None, without asking: PayPal lists no orders, and none whose id was lost can ever take money.

        Creating again inside the window of its key gives the same order; after it, an order that nobody knows the id of
        is captured by nobody.
        """
        return None

    def confirm(self, order: Order, object_id: str) -> Reply:
        """Captures an order that is still to be captured, by the method on file or what the customer approved."""
        told = self._order(object_id)
        seen = _reply(told, object_id)
        if seen.state != "open":
            return seen
        approved = told.body.get("status") == "APPROVED"
        by_method = {"payment_source": {"paypal": {"vault_id": order.method, "stored_credential": ON_FILE}}}
        key = request_id(order.attempt, "capture approved" if approved else "capture")
        body = by_method if order.method and not approved else {}
        return self._settled(self._to.ask("POST", f"{_path(object_id)}/capture", body, key), object_id)

    def look(self, object_id: str) -> Reply:
        """Reads the order. One that PayPal has forgotten was never captured, and cannot be any more."""
        return _reply(self._order(object_id), object_id)

    def cancel(self, object_id: str) -> Reply:
        """Makes the order one that cannot be captured; PayPal has no other way to take an order back.

        Only an order that was approved or not yet shown to anybody can be changed: one that waits for its customer
        stays `action_required` until PayPal forgets it.
        """
        told = self._to.ask("PATCH", _path(object_id), DEAD)
        if not told.done and not told.refused:
            return _unknown(told, object_id)
        seen = self.look(object_id)
        return Reply("cancelled", seen.object) if seen.state == "declined" else seen

    def authenticate(self, order: Order, object_id: str) -> Reply:
        """Lets the customer approve the same order on PayPal's page."""
        seen = self.look(object_id)
        if seen.state != "open":
            return seen
        body = {"payment_source": {"paypal": _experience(order.return_url)}}
        told = self._to.ask("POST", f"{_path(object_id)}/confirm-payment-source", body)
        return self.look(object_id) if told.refused else _reply(told, object_id)

    def _order(self, object_id: str) -> Told:
        return self._to.ask("GET", _path(object_id))

    def _settled(self, told: Told, object_id: str) -> Reply:
        """What a capture came to: an answer, a refusal for the order's state, or one for the payment itself."""
        if not told.refused:
            return _reply(told, object_id)
        if told.issue not in READ_AGAIN:
            return Reply("declined", object_id, code=told.issue or "refused")
        seen = self.look(object_id)
        return seen if seen.state != "action_required" else _with_code(seen, told.issue)


def request_id(thing: UUID, step: str) -> str:
    """The PayPal-Request-Id of a step: the same whoever takes it up again."""
    return str(uuid5(thing, step))


def _path(object_id: str) -> str:
    return f"/v2/checkout/orders/{named(object_id)}"


def _wanted(order: Order) -> dict[str, Any]:
    unit = {
        "invoice_id": order.attempt.hex,
        "custom_id": f"{order.invoice},{order.attempt}",
        "description": order.document[:127],
        "amount": money(order.amount, order.currency),
    }
    # With a vault_id here, PayPal would capture at once: the method comes with the capture.
    page = {} if order.method else {"payment_source": {"paypal": _experience(order.return_url)}}
    return {"intent": "CAPTURE", "purchase_units": [unit], **page}


def _experience(return_url: str) -> dict[str, Any]:
    back = {"return_url": return_url, "cancel_url": return_url} if return_url else {}
    return {"experience_context": {"user_action": "PAY_NOW", "shipping_preference": "NO_SHIPPING", **back}}


def _reply(told: Told, object_id: str = "") -> Reply:
    """Where an order stands. What cannot be read, or is a state that this program does not know, is unknown."""
    if told.status == 404 and object_id:
        return Reply("cancelled", object_id, code=told.issue)
    if not told.done:
        return _unknown(told, object_id)
    try:
        return _state(read(Seen, told.body))
    except Invalid as error:
        return Reply("unknown", object_id, text=str(error)[:200])


def _state(seen: Seen) -> Reply:
    if captures := [_moved(seen, one) for one in seen.captures]:
        return min(captures, key=lambda reply: MOST_FIRST.index(reply.state))
    if seen.intent != "CAPTURE":
        return Reply("cancelled", seen.id)
    state = STATES.get(seen.status, "unknown")
    return Reply(state, seen.id, url=where_to_go(seen.links) if state == "action_required" else "")


def _moved(seen: Seen, capture: Capture) -> Reply:
    state, code = CAPTURED.get(capture.status, "unknown"), capture.status_details.reason
    if state == "succeeded":
        return Reply(state, seen.id, capture.id, capture.amount.minor, capture.amount.currency_code)
    return Reply(state, seen.id, code=code or (capture.status if state == "declined" else ""))


def _with_code(reply: Reply, code: str) -> Reply:
    return Reply(reply.state, reply.object, code=code, url=reply.url)


def _unknown(told: Told, object_id: str) -> Reply:
    return Reply("unknown", object_id, text=f"{told.status or 'lost'} {told.issue or told.text}"[:200])
