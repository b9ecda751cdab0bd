"""What Stripe's events are about, read anew: an event only names an object, and what that is now is the news.

An object that Stripe does not know (any more) is no news. What bears no reference of ours is told as foreign.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import stripe

from adapters.providers.stripe.calls import minor, name_of, reading, reference
from adapters.providers.stripe.refunds import refund_reply
from domain.errors import Invalid
from domain.news import DisputeNews, Hint, MethodNews, News, PaymentNews, RefundNews, RevokedNews

NAME = re.compile(r"[A-Za-z]+(_[A-Za-z0-9]+)+")
DISPUTES: dict[str, Literal["won", "lost"]] = {
    "won": "won",
    "warning_closed": "won",
    "prevented": "won",
    "lost": "lost",
}
SET_UP = ["payment_method", "mandate"]
SESSION = [f"setup_intent.{name}" for name in SET_UP]
Told = Mapping[str, Any]


class NewsReader:
    """Reads what events name. Shapes: a reader for each kind of object; others are none of our business."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._v1 = client.v1
        self._readers: dict[str, Callable[[str, Told], Iterator[News]]] = {
            "payment_intent": self._intent,
            "checkout.session": self._session,
            "setup_intent": self._set_up,
            "charge": self._charge,
            "refund": self._refund,
            "dispute": self._dispute,
            "mandate": self._mandate,
            "payment_method": self._method,
            "customer": self._customer,
        }

    def news(self, hint: Hint) -> Sequence[News]:
        """The news of one event. Raises: Unavailable; Invalid for what is no event of Stripe."""
        data = _data(hint.body)
        named = data["object"]
        reader = self._readers.get(str(named.get("object")))
        name = str(named.get("id", ""))
        if reader is None:
            return ()
        if not NAME.fullmatch(name):
            raise Invalid(f"{hint.event} names {name[:80]!r}, which is no object of Stripe")
        with reading():
            try:
                return tuple(reader(name, {**data, "kind": hint.kind}))
            except stripe.InvalidRequestError as error:
                if error.http_status == 404:
                    return ()
                raise

    def _intent(self, name: str, _: Told) -> Iterator[News]:
        yield self._payment(self._v1.payment_intents.retrieve(name))

    def _payment(self, intent: Any) -> PaymentNews:
        """A payment by what is bound to its attempt: the page when it was made on one."""
        ours = _uuid(reference(intent, "attempt")), _uuid(reference(intent, "invoice"))
        page = reference(intent, "page") and self._page_of(intent.id)
        return PaymentNews(page or intent.id, *ours)

    def _page_of(self, intent: str) -> str:
        found = self._v1.checkout.sessions.list({"payment_intent": intent, "limit": 1}).data
        return found[0].id if found else ""

    def _session(self, name: str, _: Told) -> Iterator[News]:
        session: Any = self._v1.checkout.sessions.retrieve(name, {"expand": SESSION})
        if session.mode == "payment":
            yield PaymentNews(name, _uuid(reference(session, "attempt")), _uuid(reference(session, "invoice")))
        elif session.mode == "setup" and session.setup_intent:
            yield from _left(name, session.setup_intent)

    def _set_up(self, name: str, _: Told) -> Iterator[News]:
        yield from _left(name, self._v1.setup_intents.retrieve(name, {"expand": SET_UP}))

    def _charge(self, name: str, told: Told) -> Iterator[News]:
        charge: Any = self._v1.charges.retrieve(name, {"expand": ["payment_intent"]})
        if not charge.payment_intent:
            yield PaymentNews(name, None, None)
        elif told["kind"] == "charge.refunded":
            yield from self._refunds(charge)
        else:
            yield self._payment(charge.payment_intent)

    def _refund(self, name: str, _: Told) -> Iterator[News]:
        found: Any = self._v1.refunds.retrieve(name, {"expand": ["charge.payment_intent"]})
        if found.charge:
            yield from self._refunds(found.charge)

    def _refunds(self, charge: Any) -> Iterator[News]:
        """All refunds of a charge: one of them is why the event came, and the others do no harm."""
        if foreign := _foreign(charge):
            yield foreign
            return
        for one in self._v1.refunds.list({"charge": charge.id, "limit": 100}).auto_paging_iter():
            stands, ours = refund_reply(one), _uuid(reference(one, "refund"))
            yield RefundNews(
                stands.object, ours, charge.id, stands.state, stands.amount, stands.currency, stands.code
            )  # fmt: skip

    def _dispute(self, name: str, _: Told) -> Iterator[News]:
        found: Any = self._v1.disputes.retrieve(name, {"expand": ["charge.payment_intent"]})
        if foreign := _foreign(found.charge):
            yield foreign
            return
        out, back = (sum(_part(found, line, sign) for line in found.balance_transactions) for sign in (-1, 1))
        yield DisputeNews(
            object=name, payment=found.charge.id, state=DISPUTES.get(found.status, "open"),
            amount=minor(found.amount, found.currency), withdrawn=minor(out, found.currency),
            given_back=minor(back, found.currency), currency=found.currency.upper(), reason=found.reason,
        )  # fmt: skip

    def _mandate(self, name: str, _: Told) -> Iterator[News]:
        mandate: Any = self._v1.mandates.retrieve(name, {"expand": ["payment_method"]})
        method = mandate.payment_method
        if mandate.status == "inactive" and method.customer:
            yield RevokedNews(name_of(method.customer), method.id, f"mandate {name} is inactive")

    def _method(self, name: str, told: Told) -> Iterator[News]:
        """A method that is nobody's any more; only the event knows whose it was, and only that is taken from it."""
        method = self._v1.payment_methods.retrieve(name)
        before = told.get("previous_attributes")
        customer = before.get("customer") if isinstance(before, dict) else None
        if told["kind"] == "payment_method.detached" and not method.customer and isinstance(customer, str):
            yield RevokedNews(customer, name, "the method was detached at Stripe")

    def _customer(self, name: str, _: Told) -> Iterator[News]:
        if getattr(self._v1.customers.retrieve(name), "deleted", False):
            yield RevokedNews(name, "", "the customer was deleted at Stripe")


def _data(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
        data: dict[str, Any] = event["data"]
        if event["object"] == "event" and isinstance(data["object"], dict):
            return data
    except (ValueError, KeyError, TypeError):
        pass
    raise Invalid("this is no event of Stripe")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _foreign(charge: Any) -> PaymentNews | None:
    """A charge that we did not make: somebody else uses the same account at Stripe."""
    intent = charge.payment_intent
    ours = _uuid(reference(intent, "attempt")) if intent else None
    return None if ours else PaymentNews(name_of(intent) or charge.id, None, None)


def _left(name: str, set_up: Any) -> Iterator[MethodNews]:
    """A method that a customer left, while it may be charged: one that is nobody's any more is no news."""
    account, method, mandate = reference(set_up, "account"), set_up.payment_method, set_up.mandate
    withdrawn = bool(mandate) and mandate.status == "inactive"
    if set_up.status == "succeeded" and account and method and method.customer and not withdrawn:
        yield MethodNews(name, account, name_of(set_up.customer), method.id, label_of(method))


def label_of(method: Any) -> str:
    """A method for people: visa …4242."""
    details: Any = getattr(method, method.type, None)
    digits = getattr(details, "last4", None)
    brand = getattr(details, "brand", None) or str(method.type).removesuffix("_debit")
    return f"{brand} …{digits}" if digits else brand


def _part(dispute: Any, line: Any, sign: int) -> int:
    """What a line of a dispute moved, in the dispute's own currency: one that was exchanged stands for all of it."""
    if line.amount * sign <= 0:
        return 0
    same = line.currency == dispute.currency
    return int(abs(line.amount)) if same else int(dispute.amount)
