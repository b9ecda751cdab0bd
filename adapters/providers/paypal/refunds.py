"""Refunds of captures: asked for once under our reference, and found again by it."""

from __future__ import annotations

from adapters.providers.paypal.orders import request_id
from adapters.providers.paypal.shapes import Capture, Order, money, named, read
from adapters.providers.paypal.shapes import Refund as Seen
from adapters.providers.paypal.transport import Told, Transport
from domain.errors import Invalid
from domain.payment import Refund, RefundReply, RefundState

STATES: dict[str, RefundState] = {
    "COMPLETED": "succeeded",
    "PENDING": "pending",
    "FAILED": "failed",
    "CANCELLED": "failed",
}


class Refunds:
    """PayPal's refunds."""

    def __init__(self, transport: Transport) -> None:
        self._to = transport

    def refund(self, refund: Refund) -> RefundReply:
        """Gives money back; for 45 days PayPal knows the request, and after that our reference is a duplicate."""
        try:
            path, body = f"/v2/payments/captures/{named(refund.payment)}/refund", _wanted(refund)
        except Invalid as error:
            return RefundReply("failed", code=error.code, text=str(error))
        told = self._to.ask("POST", path, body, request_id(refund.refund, "refund"))
        if told.done:
            return _replied(told)
        return self._refused(told, refund) if told.refused else _unknown(told)

    def find_refund(self, refund: Refund) -> RefundReply | None:
        """The refund with our reference, among those of the order that the payment was captured for."""
        told = self._to.ask("GET", f"/v2/payments/captures/{refund.payment}")
        if not told.done:
            return None if told.status == 404 else _unknown(told)
        try:
            return self._among(read(Capture, told.body), refund)
        except Invalid as error:
            return RefundReply("unknown", text=str(error)[:200])

    def _refused(self, told: Told, refund: Refund) -> RefundReply:
        """It failed, unless what stands in its way is the refund itself, made before and not known of."""
        if (made := self.find_refund(refund)) is not None:
            return made
        if told.issue == "DUPLICATE_INVOICE_ID":
            return _unknown(told)
        return RefundReply("failed", code=told.issue or "refused")

    def _among(self, capture: Capture, refund: Refund) -> RefundReply | None:
        """Raises: Invalid when the order is not as it should be."""
        told = self._to.ask("GET", f"/v2/checkout/orders/{named(capture.order)}")
        if told.status == 404 and capture.status == "COMPLETED":
            return None  # nothing of it was ever refunded
        if not told.done:
            return _unknown(told)
        found = [one for one in read(Order, told.body).refunds if one.ours == refund.refund]
        return refund_reply(found[0]) if found else None


def refund_reply(seen: Seen) -> RefundReply:
    """Where a refund stands. Raises: Invalid for an amount that is none."""
    state = STATES.get(seen.status, "unknown")
    code = (seen.status_details.reason or seen.status) if state == "failed" else ""
    return RefundReply(state, seen.id, seen.amount.minor, seen.amount.currency_code, code)


def _wanted(refund: Refund) -> dict[str, object]:
    reference = str(refund.refund)
    note = {"note_to_payer": refund.document[:255]} if refund.document else {}
    return {
        "amount": money(refund.amount, refund.currency), "invoice_id": reference, "custom_id": reference, **note,
    }  # fmt: skip


def _replied(told: Told) -> RefundReply:
    try:
        return refund_reply(read(Seen, told.body))
    except Invalid as error:
        return RefundReply("unknown", text=str(error)[:200])


def _unknown(told: Told) -> RefundReply:
    return RefundReply("unknown", text=f"{told.status or 'lost'} {told.issue or told.text}"[:200])
