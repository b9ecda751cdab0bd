"""What PayPal tells by webhooks and its list of events: each names an object, which is read and alone believed.

The signature of a webhook covers no more than a CRC32 of its body, so that nothing but ids is taken from one.
Source: ADR-0022, ADR-0029.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec

from adapters.providers.paypal.refunds import refund_reply
from adapters.providers.paypal.shapes import Capture, Dispute, Order, Refund, Token, above, named, read, references
from adapters.providers.paypal.transport import Transport
from adapters.providers.paypal.vault import Vault
from domain.errors import Invalid, Unavailable
from domain.news import DisputeNews, Hint, MethodNews, News, PaymentNews, RefundNews, RevokedNews

EVENTS = "/v1/notifications/webhooks-events"
PAGE = 100
PAGES = 1000
WON = {"RESOLVED_SELLER_FAVOUR", "RESOLVED_WITH_PAYOUT", "CANCELED_BY_BUYER", "DENIED"}
LOST = {"RESOLVED_BUYER_FAVOUR", "ACCEPTED"}


class Telling:
    """Hints, and the news that reading gives."""

    def __init__(self, transport: Transport) -> None:
        self._to = transport

    def news(self, hint: Hint) -> Sequence[News]:
        """What the object of a hint is now; nothing for kinds that mean no money and no method."""
        of = _resource(hint.body)
        match hint.kind.split("."):
            case ["CHECKOUT", *_]:
                return self._of_order(named(of.get("order_id") or of.get("id")))
            case ["PAYMENT", "CAPTURE", "REVERSED"]:
                return self._of_reversal(named(of.get("id")))
            case ["PAYMENT", "CAPTURE", "REFUNDED"] | ["PAYMENT", "REFUND", _]:
                return self._of_refund(named(of.get("id")))
            case ["PAYMENT", "CAPTURE", _]:
                return self._of_capture(named(of.get("id")))
            case ["CUSTOMER", "DISPUTE", _]:
                return self._of_dispute(named(of.get("dispute_id")))
            case ["VAULT", "PAYMENT-TOKEN", what]:
                return self._of_method(named(of.get("id")), of, what)
            case ["VAULT", "SETUP-TOKEN", _]:
                return self._of_set_up(named(of.get("id")))
        return ()

    def hints(self, since: datetime) -> Iterator[Hint]:
        """PayPal's list of what it sent, read to its end and then from the oldest on."""
        path = f"{EVENTS}?{urlencode({'page_size': PAGE, 'start_time': _instant(since)})}"
        found: list[Hint] = []
        for _ in range(PAGES):
            body = self._read(path) or {}
            found += [_hint(one) for one in body.get("events") or ()]
            following = _next(body)
            if not following:
                break
            path = following
        yield from sorted(found, key=lambda hint: hint.at)

    def _read(self, path: str) -> Mapping[str, Any] | None:
        """An object, None when it is not there. Raises: Unavailable."""
        told = self._to.ask("GET", path)
        if told.status == 404:
            return None
        if not told.done:
            raise Unavailable(f"PayPal does not answer: {told.status or 'lost'} {told.issue or told.text}")
        return told.body

    def _of_order(self, order: str) -> Sequence[News]:
        body = self._read(f"/v2/checkout/orders/{order}")
        if body is None:
            return ()
        seen = read(Order, body)
        invoice, attempt = references(seen.purchase_units[0].custom_id if seen.purchase_units else "")
        return (PaymentNews(seen.id, attempt, invoice),)

    def _of_capture(self, capture: str) -> Sequence[News]:
        body = self._read(f"/v2/payments/captures/{capture}")
        if body is None:
            return ()
        seen = read(Capture, body)
        invoice, attempt = references(seen.custom_id)
        return (PaymentNews(named(seen.order), attempt, invoice),)

    def _of_refund(self, name: str) -> Sequence[RefundNews]:
        """A refund, or all of a capture: which of the two an event names, PayPal's pages do not agree about."""
        body = self._read(f"/v2/payments/refunds/{name}")
        if body is not None:
            return (_refund_news(read(Refund, body)),)
        capture = self._read(f"/v2/payments/captures/{name}")
        order = self._read(f"/v2/checkout/orders/{named(read(Capture, capture).order)}") if capture else None
        found = [_refund_news(one) for one in read(Order, order).refunds] if order else []
        return [one for one in found if one.payment == name]

    def _of_reversal(self, name: str) -> Sequence[News]:
        """Money that PayPal took back."""
        taken = self._of_refund(name)
        return [news for one in taken for news in ([one] if one.refund else self._of_taken(one))]

    def _of_taken(self, taken: RefundNews) -> Sequence[News]:
        """What was taken is the dispute's when there is one, else it went as by a refund by hand."""
        path = f"/v1/customer/disputes?{urlencode({'disputed_transaction_id': taken.payment})}"
        cases = [named(one.get("dispute_id")) for one in (self._read(path) or {}).get("items") or ()]
        found = [one for case in cases for one in self._of_dispute(case) if one.payment == taken.payment]
        if not found:
            return (taken,)
        if not any(one.withdrawn for one in found):
            found[-1] = msgspec.structs.replace(found[-1], withdrawn=taken.amount)
        return found

    def _of_dispute(self, dispute: str) -> Sequence[DisputeNews]:
        body = self._read(f"/v1/customer/disputes/{dispute}")
        return () if body is None else [*_disputes(read(Dispute, body))]

    def _of_method(self, token: str, of: Mapping[str, Any], what: str) -> Sequence[News]:
        body = self._read(f"/v3/vault/payment-tokens/{token}")
        if body is not None:
            return [_method_news(read(Token, body))] if what == "CREATED" else ()
        # It cannot be charged any more. Whose it was only the hint says: at worst that finds nobody.
        customer = of.get("customer")
        holder = customer.get("id") if isinstance(customer, dict) else ""
        return (RevokedNews(str(holder or ""), token, "taken back at PayPal"),)

    def _of_set_up(self, set_up: str) -> Sequence[News]:
        body = self._read(f"/v3/vault/setup-tokens/{set_up}")
        if body is None or read(Token, body).status not in ("APPROVED", "VAULTED"):
            return ()
        told = Vault(self._to).kept(set_up)
        if not told.done:
            raise Unavailable(f"PayPal did not keep the method: {told.status or 'lost'} {told.issue}")
        return (_method_news(read(Token, told.body)),)


def _resource(body: bytes) -> Mapping[str, Any]:
    """Raises: Invalid when there is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid("the event is not JSON") from error
    of = found.get("resource") if isinstance(found, dict) else None
    if not isinstance(of, dict):
        raise Invalid("the event names no object")
    return of


def _hint(event: Mapping[str, Any]) -> Hint:
    try:
        at = datetime.fromisoformat(str(event["create_time"])).astimezone(UTC)
        return Hint("paypal", str(event["id"]), str(event["event_type"]), at, msgspec.json.encode(event))
    except (KeyError, ValueError) as error:
        raise Unavailable(f"PayPal's list has an event that cannot be read: {error}") from None


def _next(body: Mapping[str, Any]) -> str:
    """The path of the next page: of the link no more than what is asked of the same list."""
    for link in body.get("links") or ():
        found = re.search(rf"{EVENTS}(\?[0-9A-Za-z_.~%&=:+-]*)$", str(link.get("href")), re.ASCII)
        if link.get("rel") == "next" and found:
            return EVENTS + found[1]
    return ""


def _refund_news(seen: Refund) -> RefundNews:
    reply = refund_reply(seen)
    payment = named(above(seen.links, "captures"))
    return RefundNews(seen.id, seen.ours, payment, reply.state, reply.amount, reply.currency, reply.code)


def _disputes(seen: Dispute) -> Iterator[DisputeNews]:
    state, whole = _end(seen), seen.dispute_amount
    taken, back = seen.moved("DEBIT"), seen.moved("CREDIT")
    if state == "lost" and not seen.money_movements:
        taken = (seen.dispute_outcome.amount_refunded or whole).minor
    currencies = {whole.currency_code, *(one.amount.currency_code for one in seen.money_movements)}
    if len(currencies) > 1:
        raise Invalid(f"dispute {seen.dispute_id} is in {' and '.join(sorted(currencies))}")
    for about in seen.disputed_transactions:
        yield DisputeNews(
            named(seen.dispute_id), named(about.seller_transaction_id), state, whole.minor, taken, min(back, taken),
            whole.currency_code, seen.reason,
        )  # fmt: skip


def _end(seen: Dispute) -> Literal["open", "won", "lost"]:
    if seen.status != "RESOLVED":
        return "open"
    if seen.dispute_outcome.outcome_code in WON | LOST:
        return "won" if seen.dispute_outcome.outcome_code in WON else "lost"
    return "lost" if seen.moved("DEBIT") > seen.moved("CREDIT") else "won"


def _method_news(seen: Token) -> MethodNews:
    email, whose = seen.payment_source.paypal.email_address, seen.customer
    if not whose.merchant_customer_id:
        raise Invalid(f"{seen.id} names no account of ours")
    return MethodNews(seen.id, whose.merchant_customer_id, whose.id, seen.id, f"PayPal {email}".strip())


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
