"""Stripe's own pages: the customer pays there, or leaves a method there; no card number ever comes to us."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec
import stripe

from adapters.providers.stripe.calls import found, key_of, made, name_of, told, unknown
from adapters.providers.stripe.intents import among, asked_for, references, reply_of
from domain.payment import Order, Reply, SetUp, SetUpReply, State

PAGE = "cs_"
WITH_INTENT: Any = {"expand": ["payment_intent"]}
COMPLETE: dict[State, State] = {"declined": "cancelled", "open": "unknown"}
"""On a page that is complete nobody can try again: a debit that failed on it is the end of it."""


class Pages:
    """Checkout sessions. Shapes: `methods` are the kinds that may be left on a set-up page."""

    def __init__(self, client: stripe.StripeClient, return_url: str, methods: Sequence[str]) -> None:
        self._customers, self._sessions = client.v1.customers, client.v1.checkout.sessions
        self._return_url, self._methods = return_url, list(methods)

    def create(self, order: Order) -> Reply:
        """A page on which the customer pays one order; it bears our references, and so does what is paid there."""
        key = key_of(order.attempt, "create")
        return made(lambda: page_reply(self._sessions.create(self._wanted(order), key)))

    def find(self, order: Order) -> Reply | None:
        """The page that bears the attempt's id, among those made since the attempt was opened."""
        wanted: Any = {"limit": 100, "expand": ["data.payment_intent"], **among(order)}
        return found(order, lambda: self._sessions.list(wanted).auto_paging_iter(), page_reply)

    def look(self, object_id: str) -> Reply:
        """Reads the page and what was paid on it."""
        return self._read(object_id, lambda: self._sessions.retrieve(object_id, WITH_INTENT))

    def cancel(self, object_id: str) -> Reply:
        """Closes the page; one on which was paid meanwhile says so."""
        return self._read(object_id, lambda: self._sessions.expire(object_id, WITH_INTENT))

    def set_up(self, wanted: SetUp) -> SetUpReply:
        """A page on which a method is left for later; the customer is made first when there is none."""
        bears: Any = {"metadata": {"account": wanted.account}}
        back = wanted.return_url or self._return_url
        try:
            asked: Any = {
                "mode": "setup", "customer": wanted.customer or self._customer(wanted, bears), "success_url": back,
                "cancel_url": back, "payment_method_types": self._methods, "setup_intent_data": bears, **bears,
            }  # fmt: skip
            session = self._sessions.create(asked)
        except stripe.InvalidRequestError as error:
            return SetUpReply("over", text=told(error))
        except stripe.StripeError as error:
            return SetUpReply("unknown", text=told(error))
        return SetUpReply("open", object=session.id, url=session.url or "")

    def _customer(self, wanted: SetUp, bears: Any) -> str:
        """The same words make one customer inside the window of keys."""
        asked: Any = {"name": wanted.name, **({"email": wanted.email} if wanted.email else {}), **bears}
        key = key_of(uuid5(NAMESPACE_URL, "stripe"), json.dumps(asked, sort_keys=True))
        return self._customers.create(asked, key).id

    def _wanted(self, order: Order) -> Any:
        money, bears, back = asked_for(order), references(order), order.return_url or self._return_url
        price = {"currency": money["currency"], "unit_amount": money["amount"],
                 "product_data": {"name": order.document}}  # fmt: skip
        return {
            "mode": "payment", "success_url": back, "cancel_url": back, "metadata": bears,
            "line_items": [{"price_data": price, "quantity": 1}],
            "payment_intent_data": {"metadata": {**bears, "page": "yes"}, "description": order.document},
            **({"customer": order.customer} if order.customer else {}),
        }  # fmt: skip

    def _read(self, object_id: str, call: Callable[[], Any]) -> Reply:
        try:
            return page_reply(call())
        except stripe.InvalidRequestError as error:
            # A page that is paid or closed cannot be closed: it is read, and says which of them.
            return self._again(object_id, error)
        except stripe.StripeError as error:
            return unknown(error, object_id)

    def _again(self, object_id: str, refused: stripe.InvalidRequestError) -> Reply:
        try:
            seen = page_reply(self._sessions.retrieve(object_id, WITH_INTENT))
        except stripe.StripeError as error:
            return unknown(error, object_id)
        return unknown(refused, object_id) if seen.state == "action_required" else seen


def page_reply(session: Any) -> Reply:
    """Where a page stands: open, closed, or paid by an intent that says how far."""
    if session.status == "open":
        return Reply("action_required", object=session.id, url=session.url or "")
    if session.status == "expired":
        return Reply("cancelled", object=session.id, code="expired")
    intent = session.payment_intent
    if session.status != "complete" or intent is None or not name_of(intent) or isinstance(intent, str):
        return Reply("unknown", object=session.id, text=f"the page is {session.status}")
    paid = reply_of(intent)
    return msgspec.structs.replace(paid, object=session.id, state=COMPLETE.get(paid.state, paid.state))
