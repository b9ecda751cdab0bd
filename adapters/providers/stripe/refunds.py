"""Money of a charge goes back: in whole, in part, and some of it fails weeks later."""

from __future__ import annotations

from typing import Any

import stripe

from adapters.providers.stripe.calls import code_of, key_of, minor, reference, told
from domain.chargeable import units
from domain.errors import Invalid
from domain.payment import Refund, RefundReply, RefundState

STATES: dict[str, RefundState] = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "failed",
}


class Refunds:
    """Refunds as the port speaks of them."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self._refunds = client.v1.refunds

    def refund(self, refund: Refund) -> RefundReply:
        """Asks for the money to go back; a request that Stripe refuses moved nothing."""
        try:
            amount = units("stripe", refund.amount, refund.currency, part=True)
            wanted: Any = {"charge": refund.payment, "amount": amount, "metadata": {"refund": str(refund.refund)}}
            return refund_reply(self._refunds.create(wanted, key_of(refund.refund, "refund")))
        except Invalid as error:
            return RefundReply("failed", code=error.code, text=str(error))
        except stripe.InvalidRequestError as error:
            return RefundReply("failed", code=code_of(error), text=told(error))
        except stripe.StripeError as error:
            return RefundReply("unknown", text=told(error))

    def find(self, refund: Refund) -> RefundReply | None:
        """The refund that bears our id, among all of the charge."""
        wanted: Any = {"charge": refund.payment, "limit": 100}
        try:
            for one in self._refunds.list(wanted).auto_paging_iter():
                if reference(one, "refund") == str(refund.refund):
                    return refund_reply(one)
        except stripe.InvalidRequestError:
            # There is no such charge, so there is no refund of it.
            return None
        except stripe.StripeError as error:
            return RefundReply("unknown", text=told(error))
        return None


def refund_reply(one: Any) -> RefundReply:
    """Where a refund stands; a state that this program does not know is never taken for an end."""
    state = STATES.get(one.status, "unknown")
    code = (getattr(one, "failure_reason", None) or one.status) if state == "failed" else ""
    try:
        return RefundReply(state, one.id, minor(one.amount, one.currency), one.currency.upper(), code)
    except Invalid as error:
        return RefundReply("unknown", one.id, text=str(error))
