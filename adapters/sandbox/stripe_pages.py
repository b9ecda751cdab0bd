"""Stripe's own pages in the sandbox: Checkout, the bank's approval, leaving a method; for browsers and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Any

from adapters.sandbox.desk import Answer
from adapters.sandbox.stripe_books import Books, Object, Refused
from adapters.sandbox.stripe_intents import Intents, checked
from adapters.sandbox.stripe_methods import DAY, METHODS
from adapters.sandbox.stripe_set_ups import SetUps

MADE = {
    "mode", "line_items", "success_url", "cancel_url", "metadata", "payment_intent_data", "customer", "expand",
    "setup_intent_data", "payment_method_types", "client_reference_id", "currency",
}  # fmt: skip
OPEN_FOR = DAY
PAID_BY = ("card", "sepa_debit")
HEAD = "<!doctype html><meta charset=utf-8><title>Sandbox</title><style>body{font:16px sans-serif;margin:3em}</style>"


class Pages:
    """Checkout sessions, and what a customer does on the pages."""

    def __init__(self, books: Books, intents: Intents, set_ups: SetUps) -> None:
        self.books, self.intents, self.set_ups = books, intents, set_ups
        intents.after = self._went_on
        self.bears: dict[str, Object] = {}

    def create(self, wanted: Mapping[str, Any]) -> Answer:
        """Opens a page for a payment, or for leaving a method."""
        if not wanted.get("success_url"):
            raise Refused("parameter_missing", "Missing required param: success_url.", param="success_url")
        mode = wanted.get("mode")
        if mode not in ("payment", "setup"):
            raise Refused("", f"Invalid mode: {mode}", param="mode")
        customer = self.books.customer(wanted["customer"]) if wanted.get("customer") else None
        money = _money(wanted) if mode == "payment" else {}
        data = wanted.get("payment_intent_data" if mode == "payment" else "setup_intent_data") or {}
        made = self.books.new(
            "checkout.session", mode=mode, customer=customer, success_url=wanted["success_url"],
            cancel_url=wanted.get("cancel_url"), metadata=dict(wanted.get("metadata") or {}),
            client_reference_id=wanted.get("client_reference_id"), expires_at=int(self.books.now + OPEN_FOR),
            payment_status="unpaid" if mode == "payment" else "no_payment_required",
            payment_method_types=list(wanted.get("payment_method_types") or PAID_BY), **money,
        )  # fmt: skip
        made["url"] = f"{self.intents.host}/stripe/pages/{made['id']}"
        self.bears[made["id"]] = dict(data)
        self.books.later(OPEN_FOR, lambda: self._run_out(made))
        return Answer(HTTPStatus.OK, made)

    def expire(self, name: str) -> Answer:
        """Closes a page, on which nobody can pay any more."""
        session = self.books.get("checkout.session", name)
        if session["status"] != "open":
            raise Refused("", f"Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout "
                          f"Session has a status of `{session['status']}`.")  # fmt: skip
        self._run_out(session)
        return Answer(HTTPStatus.OK, session)

    def _run_out(self, session: Object) -> None:
        if session["status"] != "open":
            return
        session |= {"status": "expired", "url": None}
        if session["payment_intent"]:
            self.intents.kill(self.books.get("payment_intent", session["payment_intent"]), "automatic")
        self.books.happened("checkout.session.expired", session)

    def show(self, name: str, message: str = "") -> Answer:
        """The page of a session, or of a payment that its bank wants approved."""
        if name.startswith("pi_"):
            body = _form("approve", self.books.get("payment_intent", name), ("authenticate", "decline"), "")
        else:
            session = self.books.get("checkout.session", name)
            if session["status"] != "open":
                return Answer(HTTPStatus.OK, f"{HEAD}<p>This page is {escape(session['status'])}.")
            setting_up = session["mode"] == "setup"
            body = _form("leave a method" if setting_up else "pay", session,
                         ("leave",) if setting_up else ("pay", "decline"), _choice(session))  # fmt: skip
        return Answer(HTTPStatus.OK, f"{HEAD}<p>{escape(message)}</p>{body}")

    def act(self, name: str, form: Mapping[str, Any]) -> Answer:
        """What the customer pressed."""
        if name.startswith("pi_"):
            return _go(self.intents.approve(name, form.get("do") == "authenticate"))
        session = self.books.get("checkout.session", name)
        if session["status"] != "open":
            return self.show(name)
        chosen = str(form.get("method") or "pm_card_visa")
        if session["mode"] == "setup":
            return self._left(session, chosen)
        return self._paid(session, "pm_card_chargeDeclined" if form.get("do") == "decline" else chosen)

    def _paid(self, session: Object, chosen: str) -> Answer:
        intent = self._intent_of(session)
        answer = self.intents.confirm(intent["id"], {"payment_method": chosen, "return_url": session["success_url"]})
        if intent["status"] == "requires_action":
            return _go(intent["next_action"]["redirect_to_url"]["url"])
        if answer.status != HTTPStatus.OK:
            return self.show(session["id"], "Your card was declined. Try another one.")
        return _go(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]))

    def _intent_of(self, session: Object) -> Object:
        if not session["payment_intent"]:
            data = self.bears[session["id"]]
            wanted = {"amount": str(session["amount_total"]), "currency": session["currency"],
                      "customer": session["customer"], **data}  # fmt: skip
            self.intents.create(wanted)
            session["payment_intent"] = next(reversed(self.books.intents))
        return self.books.get("payment_intent", session["payment_intent"])

    def _went_on(self, intent: Object) -> None:
        """A page is complete when its payment was taken; a debit on it succeeds or fails later."""
        sessions = self.books.objects["checkout.session"].values()
        session = next((one for one in sessions if one["payment_intent"] == intent["id"]), None)
        if session is None or session["status"] == "expired":
            return
        first, paid = session["status"] == "open", intent["status"] == "succeeded"
        if intent["status"] in ("succeeded", "processing"):
            session |= {"status": "complete", "payment_status": "paid" if paid else "unpaid", "url": None}
            self.books.happened(f"checkout.session.{'completed' if first else 'async_payment_succeeded'}", session)
        elif not first:
            self.books.happened("checkout.session.async_payment_failed", session)

    def _left(self, session: Object, chosen: str) -> Answer:
        """A method is attached to the customer, who approved it now."""
        if chosen not in METHODS or METHODS[chosen].kind not in session["payment_method_types"]:
            return self.show(session["id"], "This method cannot be left here.")
        if not METHODS[chosen].keeps:
            return self.show(session["id"], "Your card was declined. Try another one.")
        method = self.books.get("payment_method", self.books.method(chosen))
        customer = session["customer"] or self.books.new("customer")["id"]
        session["customer"] = customer
        mandate = self._mandate(method) if method["type"] == "sepa_debit" else None
        made = self.books.new(
            "setup_intent", customer=customer, payment_method=method["id"],
            metadata=dict(self.bears[session["id"]].get("metadata") or {}), mandate=mandate,
        )  # fmt: skip
        session |= {"setup_intent": made["id"], "status": "complete", "url": None}
        self.set_ups.left(made)
        self.books.happened("checkout.session.completed", session)
        return _go(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]))

    def _mandate(self, method: Object) -> str:
        details = {"type": "sepa_debit", "sepa_debit": {"reference": "SANDBOX", "url": ""}}
        return str(self.books.new("mandate", payment_method=method["id"], payment_method_details=details)["id"])

    def revoke(self, mandate: str) -> None:
        """The customer withdraws a mandate at the bank."""
        held = self.books.get("mandate", mandate)
        held["status"] = "inactive"
        self.books.happened("mandate.updated", held, {"status": "active"})


def _money(wanted: Mapping[str, Any]) -> Object:
    """Currency and total of the lines. Raises: Refused."""
    lines = wanted.get("line_items") or []
    try:
        prices = [(one["price_data"], int(one.get("quantity", 1))) for one in lines]
        total = sum(int(price["unit_amount"]) * count for price, count in prices)
        currency = str(prices[0][0]["currency"])
        assert all(price["product_data"]["name"] for price, _ in prices)
    except (KeyError, IndexError, TypeError, ValueError, AssertionError):
        raise Refused("parameter_missing", "line_items are not priced", param="line_items") from None
    checked({"amount": str(total), "currency": currency})
    return {"currency": currency, "amount_total": total, "amount_subtotal": total}


def _form(title: str, about: Object, buttons: tuple[str, ...], choice: str) -> str:
    amount = about.get("amount_total") or about.get("amount")
    what = f"<p>{amount} {escape(str(about['currency']))} (in the units of the currency)</p>" if amount else ""
    pressed = " ".join(f"<button name=do value={one}>{one}</button>" for one in buttons)
    return f"<h1>{title}</h1>{what}<form method=post>{choice}{pressed}</form>"


def _choice(session: Object) -> str:
    kinds = session["payment_method_types"]
    options = "".join(
        f"<option value={name}>{escape(f'{name}: {one.what}')}</option>"
        for name, one in METHODS.items()
        if one.kind in kinds
    )
    return f"<select name=method>{options}</select> "


def _go(url: str) -> Answer:
    return Answer(HTTPStatus.SEE_OTHER, "", {"Location": url})
