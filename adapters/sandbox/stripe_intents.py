"""PaymentIntents in the sandbox: made without money, confirmed off or on session, approved, settled or brought back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from adapters.sandbox.desk import Answer
from adapters.sandbox.stripe_books import Books, Object, Refused, fault
from adapters.sandbox.stripe_methods import Method
from adapters.sandbox.stripe_money import Money, fee_of

MINIMUM = {"usd": 50, "eur": 50, "chf": 50, "gbp": 30, "jpy": 50, "sek": 300, "nok": 300, "dkk": 250, "pln": 200}
STEPS = {"isk": 100, "ugx": 100, "bhd": 10, "jod": 10, "kwd": 10, "omr": 10, "tnd": 10}
MADE = {
    "amount", "currency", "customer", "payment_method", "description", "metadata", "confirm", "off_session",
    "return_url", "automatic_payment_methods", "payment_method_types", "capture_method", "expand",
}  # fmt: skip
CONFIRMED = {"payment_method", "off_session", "return_url", "expand"}
LINE_TOLD_AFTER = 1.0
"""Captured in the background, a charge names its line of the balance a moment after it succeeded."""
OPEN = ("requires_confirmation", "requires_payment_method", "requires_action")


class Intents:
    """PaymentIntents. Shapes: `host` is where pages of the sandbox are; `after` is told of each that went on."""

    def __init__(self, books: Books, money: Money) -> None:
        self.books, self.money, self.host = books, money, ""
        self.after: Callable[[Object], None] = lambda intent: None
        self.disputed: Callable[[Object, Method], object] = lambda charge, method: None
        self.backs: dict[str, str] = {}

    def create(self, wanted: Mapping[str, Any]) -> Answer:
        """Makes an intent, which moves no money."""
        amount, currency = checked(wanted)
        customer = self.books.customer(wanted["customer"]) if wanted.get("customer") else None
        method = self.books.method(wanted["payment_method"], customer) if wanted.get("payment_method") else None
        made = self.books.new(
            "payment_intent", amount=amount, currency=currency, customer=customer, payment_method=method,
            description=wanted.get("description"), metadata=dict(wanted.get("metadata") or {}),
            status="requires_confirmation" if method else "requires_payment_method",
        )  # fmt: skip
        made |= {"client_secret": f"{made['id']}_secret_sandbox", **_ways(wanted)}
        self.books.happened("payment_intent.created", made)
        if wanted.get("confirm") == "true":
            return self.confirm(made["id"], {name: wanted[name] for name in CONFIRMED & set(wanted)})
        return Answer(HTTPStatus.OK, made)

    def confirm(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """Moves the money of an intent, once; or says what its bank wants."""
        intent = self.books.get("payment_intent", name)
        if intent["status"] not in OPEN:
            raise _wrong_state(intent, "confirm")
        if wanted.get("payment_method"):
            intent["payment_method"] = self.books.method(wanted["payment_method"], intent["customer"])
        if intent["payment_method"] is None:
            raise Refused("payment_intent_unexpected_state", "You cannot confirm this PaymentIntent because it's "
                          "missing a payment method.", payment_intent=dict(intent))  # fmt: skip
        if intent["automatic_payment_methods"] and not wanted.get("return_url"):
            raise Refused("", "This PaymentIntent is configured to accept payment methods that might redirect your "
                          "customer: you must provide a `return_url`.")  # fmt: skip
        self.backs[name] = str(wanted.get("return_url") or "")
        return self._tried(intent, off_session=wanted.get("off_session") not in (None, "", "false"))

    def _tried(self, intent: Object, off_session: bool) -> Answer:
        method = self.books.behaviour(intent["payment_method"])
        known = intent["payment_method"] in self.books.set_up
        approve = method.approve == "always" or (method.approve == "unless_set_up" and not known)
        if method.decline:
            return self._declined(intent, *method.decline)
        if approve and off_session:
            return self._declined(intent, "authentication_required", "authentication_required")
        if approve:
            intent |= {
                "status": "requires_action",
                "next_action": step(self.host, intent["id"], self.backs[intent["id"]]),
            }
            self.books.happened("payment_intent.requires_action", intent)
            return Answer(HTTPStatus.OK, intent)
        return self._taken(intent)

    def approve(self, name: str, yes: bool) -> str:
        """The customer at the bank's page; where he is sent to afterwards."""
        intent = self.books.get("payment_intent", name)
        if intent["status"] == "requires_action":
            if yes:
                self._taken(intent)
            else:
                self._declined(intent, "payment_intent_authentication_failure", "")
        back = self.backs[name]
        outcome = "succeeded" if intent["status"] in ("succeeded", "processing") else "failed"
        return f"{back}{'&' if '?' in back else '?'}payment_intent={name}&redirect_status={outcome}"

    def capture(self, name: str, _: Mapping[str, Any]) -> Answer:
        """Takes the whole amount that was authorized, once."""
        intent = self.books.get("payment_intent", name)
        if intent["status"] != "requires_capture":
            raise _wrong_state(intent, "capture")
        charge = self.books.get("charge", intent["latest_charge"])
        self._paid(intent, charge, self.books.behaviour(charge["payment_method"]))
        return Answer(HTTPStatus.OK, intent)

    def cancel(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """Makes an intent dead; not one of a page, which is closed instead."""
        intent = self.books.get("payment_intent", name)
        if intent["status"] not in (*OPEN, "requires_capture"):
            raise _wrong_state(intent, "cancel")
        if intent["id"] in {one["payment_intent"] for one in self.books.objects["checkout.session"].values()}:
            raise Refused("", "You cannot cancel the PaymentIntent of a Checkout Session: expire the Session instead.")
        self.kill(intent, wanted.get("cancellation_reason"))
        return Answer(HTTPStatus.OK, intent)

    def kill(self, intent: Object, why: object = None) -> None:
        """An intent that never moves money; what was only authorized is let go."""
        if intent["status"] == "requires_capture":
            charge = self.books.get("charge", intent["latest_charge"])
            charge |= {"refunded": True, "amount_refunded": charge["amount"]}
        intent |= {"status": "canceled", "canceled_at": int(self.books.now), "cancellation_reason": why,
                   "next_action": None, "amount_capturable": 0}  # fmt: skip
        self.books.happened("payment_intent.canceled", intent)

    def _taken(self, intent: Object) -> Answer:
        """A card moves money at once, a debit some days later."""
        method, charge = self.books.behaviour(intent["payment_method"]), self._charge(intent, "pending")
        intent |= {"latest_charge": charge["id"], "last_payment_error": None, "next_action": None}
        if method.settles:
            intent["status"] = "processing"
            self.books.happened("payment_intent.processing", intent)
            self.books.happened("charge.pending", charge)
            end = self._returned if method.fails else self._paid
            self.books.later(method.settles, lambda: end(intent, charge, method))
            self.after(intent)
        elif intent["capture_method"] == "manual":
            charge |= {"status": "succeeded", "paid": True}
            intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
            self.books.happened("payment_intent.amount_capturable_updated", intent)
        else:
            self._paid(intent, charge, method)
        return Answer(HTTPStatus.OK, intent)

    def _charge(self, intent: Object, status: str) -> Object:
        method = self.books.get("payment_method", intent["payment_method"])
        details = {"type": method["type"], method["type"]: dict(method[method["type"]])}
        prefix = "py" if method["type"] == "sepa_debit" else "ch"
        return self.books.new(
            "charge", prefix=prefix, amount=intent["amount"], currency=intent["currency"], status=status,
            customer=intent["customer"], description=intent["description"], metadata=dict(intent["metadata"]),
            payment_intent=intent["id"], payment_method=method["id"], payment_method_details=details,
        )  # fmt: skip

    def _paid(self, intent: Object, charge: Object, method: Method) -> None:
        amount = intent["amount"]
        charge |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": amount}
        fee = fee_of(amount, STEPS.get(intent["currency"], 1))
        line = self.money.line("charge", amount, fee, charge)["id"]
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        if intent["capture_method"] == "automatic_async":
            self.books.later(LINE_TOLD_AFTER, lambda: self._line_told(charge, line))
        else:
            charge["balance_transaction"] = line
        self.books.captured[intent["metadata"].get("invoice", "")] += amount
        self.books.happened("charge.succeeded", charge)
        self.books.happened("payment_intent.succeeded", intent)
        self.after(intent)
        if method.disputed:
            self.disputed(charge, method)

    def _line_told(self, charge: Object, line: str) -> None:
        charge["balance_transaction"] = line
        self.books.happened("charge.updated", charge, {"balance_transaction": None})

    def _returned(self, intent: Object, charge: Object, _: Method) -> None:
        """A debit that comes back before it succeeded."""
        self._failed(intent, charge, "payment_intent_payment_attempt_failed", "insufficient_funds")

    def _declined(self, intent: Object, code: str, why: str) -> Answer:
        error = self._failed(intent, self._charge(intent, "failed"), code, why)
        body = {name: value for name, value in error.items() if name not in ("type", "code", "message")}
        return fault(code, error["message"], HTTPStatus.PAYMENT_REQUIRED, "card_error",
                     **body, payment_intent=dict(intent))  # fmt: skip

    def _failed(self, intent: Object, charge: Object, code: str, why: str) -> Object:
        message = "Your card was declined." if why else "The customer did not approve the payment."
        charge |= {"status": "failed", "failure_code": code, "failure_message": message}
        error: Object = {
            "type": "card_error", "code": code, "message": message, "charge": charge["id"],
            "payment_method": dict(self.books.get("payment_method", intent["payment_method"])),
            **({"decline_code": why} if why else {}),
        }  # fmt: skip
        intent |= {"status": "requires_payment_method", "payment_method": None, "last_payment_error": error,
                   "latest_charge": charge["id"], "next_action": None}  # fmt: skip
        self.books.happened("charge.failed", charge)
        self.books.happened("payment_intent.payment_failed", intent)
        self.after(intent)
        return error


def checked(wanted: Mapping[str, Any]) -> tuple[int, str]:
    """Amount and currency. Raises: Refused."""
    amount, currency = str(wanted.get("amount", "")), str(wanted.get("currency", ""))
    if not (currency.isascii() and currency.islower() and len(currency) == 3):
        raise Refused("", f"Invalid currency: {currency}", param="currency")
    if not (amount.isascii() and amount.isdigit()):
        raise Refused("parameter_invalid_integer", f"Invalid integer: {amount}", param="amount")
    if int(amount) < MINIMUM.get(currency, 1):
        raise Refused("amount_too_small", f"Amount must be at least {MINIMUM.get(currency, 1)}", param="amount")
    if int(amount) % STEPS.get(currency, 1):
        raise Refused("invalid_charge_amount", f"Amount must be a multiple of {STEPS[currency]}", param="amount")
    return int(amount), currency


def _ways(wanted: Mapping[str, Any]) -> Object:
    """How may be paid: by the methods that are listed, else by any, of which some lead to another page."""
    types = wanted.get("payment_method_types")
    named = {"payment_method_types": list(types), "automatic_payment_methods": None} if types else {}
    return {**named, **({"capture_method": wanted["capture_method"]} if "capture_method" in wanted else {})}


def step(host: str, name: str, back: str) -> Object:
    """What the bank wants of the customer: a page to go to, or its script where no way back was named."""
    url = f"{host}/stripe/pages/{name}"
    if back:
        return {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": back}}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}


def _wrong_state(intent: Object, verb: str) -> Refused:
    message = f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}."
    return Refused("payment_intent_unexpected_state", message, payment_intent=dict(intent))
