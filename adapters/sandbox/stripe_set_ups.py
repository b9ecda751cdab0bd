"""SetupIntents in the sandbox: methods are left for later by the API or on a page; declined cards are not taken."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from adapters.sandbox.desk import Answer
from adapters.sandbox.stripe_books import Books, Object, Refused, fault
from adapters.sandbox.stripe_intents import step

MADE = {"customer", "payment_method", "payment_method_types", "usage", "metadata", "expand"}
CONFIRMED = {"payment_method", "return_url", "expand"}
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


class SetUps:
    """SetupIntents, and methods that come to a customer."""

    def __init__(self, books: Books) -> None:
        self.books = books

    def create(self, wanted: Mapping[str, Any]) -> Answer:
        """Makes a set-up, which attaches nothing yet."""
        customer = self.books.customer(wanted["customer"]) if wanted.get("customer") else None
        method = self.books.method(wanted["payment_method"], customer) if wanted.get("payment_method") else None
        given = {name: wanted[name] for name in ("payment_method_types", "usage", "metadata") if name in wanted}
        made = self.books.new("setup_intent", customer=customer, payment_method=method, **given)
        made["client_secret"] = f"{made['id']}_secret_sandbox"
        made["status"] = "requires_confirmation" if method else "requires_payment_method"
        self.books.happened("setup_intent.created", made)
        return Answer(HTTPStatus.OK, made)

    def confirm(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """The method is left, is declined, or its bank wants the customer."""
        intent = self._open(name, "confirm")
        if wanted.get("payment_method"):
            intent["payment_method"] = self.books.method(wanted["payment_method"], intent["customer"])
        if intent["payment_method"] is None:
            raise _refused(intent, "You cannot confirm this SetupIntent because it's missing a payment method.")
        method = self.books.behaviour(intent["payment_method"])
        if not method.keeps:
            return self._declined(intent)
        if method.approve:
            back = str(wanted.get("return_url") or "")
            intent |= {"status": "requires_action", "next_action": step("", name, back)}
            self.books.happened("setup_intent.requires_action", intent)
        else:
            self.left(intent)
        return Answer(HTTPStatus.OK, intent)

    def left(self, intent: Object) -> None:
        """A method is attached to the customer, who approved it now."""
        method = self.books.get("payment_method", intent["payment_method"])
        self.books.set_up.add(method["id"])
        if intent["customer"]:
            method["customer"] = intent["customer"]
            self.books.happened("payment_method.attached", method)
        intent |= {"status": "succeeded", "next_action": None, "last_setup_error": None}
        self.books.happened("setup_intent.succeeded", intent)

    def cancel(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """Makes a set-up dead."""
        intent = self._open(name, "cancel")
        why = wanted.get("cancellation_reason")
        intent |= {"status": "canceled", "cancellation_reason": why, "next_action": None}
        self.books.happened("setup_intent.canceled", intent)
        return Answer(HTTPStatus.OK, intent)

    def attach(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """A method comes to a customer; one that is declined does not."""
        customer = self.books.customer(wanted.get("customer"))
        method = self.books.get("payment_method", self.books.method(name, customer))
        if not self.books.behaviour(method["id"]).keeps:
            return declined(self.books, method["id"])
        method["customer"] = customer
        self.books.happened("payment_method.attached", method)
        return Answer(HTTPStatus.OK, method)

    def detach(self, name: str) -> Answer:
        """A method is nobody's any more, for ever."""
        method = self.books.get("payment_method", name)
        if not method["customer"]:
            raise Refused(
                "", "The payment method you provided is not attached to a customer so detachment is impossible."
            )
        before = {"customer": method["customer"]}
        method["customer"] = None
        self.books.detached.add(name)
        self.books.happened("payment_method.detached", method, before)
        return Answer(HTTPStatus.OK, method)

    def _open(self, name: str, verb: str) -> Object:
        intent = self.books.get("setup_intent", name)
        if intent["status"] not in OPEN:
            raise _refused(intent, f"You cannot {verb} this SetupIntent because it has a status of {intent['status']}.")
        return intent

    def _declined(self, intent: Object) -> Answer:
        answer = declined(self.books, intent["payment_method"])
        assert isinstance(answer.body, dict)
        error = dict(answer.body["error"])
        intent |= {"status": "requires_payment_method", "payment_method": None, "last_setup_error": error}
        self.books.happened("setup_intent.setup_failed", intent)
        return fault(error["code"], error["message"], answer.status, "card_error",
                     decline_code=error["decline_code"], setup_intent=dict(intent))  # fmt: skip


def declined(books: Books, method: str) -> Answer:
    """The bank does not want a card to be kept."""
    code, why = books.behaviour(method).decline or ("card_declined", "generic_decline")
    return fault(code, "Your card was declined.", HTTPStatus.PAYMENT_REQUIRED, "card_error", decline_code=why)


def _refused(intent: Object, message: str) -> Refused:
    return Refused("setup_intent_unexpected_state", message, setup_intent=dict(intent))
