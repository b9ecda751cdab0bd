"""Stripe by its own SDK: cards and debits on file, Stripe's own pages, refunds, and what it tells.

Money moves by a PaymentIntent that is created without money and confirmed apart, or on a Checkout page where the
customer confirms it. Every writing call is made once, under a key of what it is for: what is not known afterwards is
read, not repeated. Source: ADR-0018; docs/providers.md says what we assume of Stripe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import stripe

from adapters.providers.stripe.calls import client_of
from adapters.providers.stripe.intents import Intents
from adapters.providers.stripe.ledger import hints, movements
from adapters.providers.stripe.news import NewsReader
from adapters.providers.stripe.pages import PAGE, Pages
from adapters.providers.stripe.refunds import Refunds
from domain.news import Hint, Movement, News
from domain.payment import Order, Refund, RefundReply, Reply, SetUp, SetUpReply

METHODS = ("card", "sepa_debit")


class StripePayments:
    """The port to Stripe; any number of threads may use one.

    Shapes: `return_url` is where customers come back to when an order does not say; `methods` are the kinds that a
    customer may leave on the page of `set_up`. Units: `timeout` in seconds.
    """

    name = "stripe"

    def __init__(
        self,
        key: str,
        base: str = "https://api.stripe.com",
        timeout: float = 60,
        return_url: str = "https://localhost/",
        methods: Sequence[str] = METHODS,
    ) -> None:
        self.client: stripe.StripeClient = client_of(key, base, timeout)
        self._intents, self._refunds = Intents(self.client, return_url), Refunds(self.client)
        self._pages, self._news = Pages(self.client, return_url, methods), NewsReader(self.client)

    def create(self, order: Order) -> Reply:
        """An intent that waits to be confirmed; without a method, a page on which the customer pays."""
        return self._intents.create(order) if order.method else self._pages.create(order)

    def find(self, order: Order) -> Reply | None:
        """The object that bears the attempt's id."""
        return self._intents.find(order) if order.method else self._pages.find(order)

    def confirm(self, order: Order, object_id: str) -> Reply:
        """Moves the money, off session; on a page only the customer can."""
        return self.look(object_id) if _is_page(object_id) else self._intents.confirm(order, object_id)

    def look(self, object_id: str) -> Reply:
        """Reads the intent or the page."""
        return self._pages.look(object_id) if _is_page(object_id) else self._intents.look(object_id)

    def cancel(self, object_id: str) -> Reply:
        """Cancels the intent, or closes the page; what succeeded meanwhile says so."""
        return self._pages.cancel(object_id) if _is_page(object_id) else self._intents.cancel(object_id)

    def authenticate(self, order: Order, object_id: str) -> Reply:
        """Brings the same intent to the customer; a page is where the customer is already."""
        return self.look(object_id) if _is_page(object_id) else self._intents.authenticate(order, object_id)

    def refund(self, refund: Refund) -> RefundReply:
        """Gives money of a charge back, in whole or in part."""
        return self._refunds.refund(refund)

    def find_refund(self, refund: Refund) -> RefundReply | None:
        """The refund of the charge that bears our id."""
        return self._refunds.find(refund)

    def set_up(self, wanted: SetUp) -> SetUpReply:
        """Opens Stripe's page on which a card or a mandate is left; the customer is made when there is none."""
        return self._pages.set_up(wanted)

    def news(self, hint: Hint) -> Sequence[News]:
        """Reads the objects that an event names. Raises: Unavailable; Invalid for what is no event of Stripe."""
        return self._news.news(hint)

    def hints(self, since: datetime) -> Iterator[Hint]:
        """Stripe's list of events, which reaches back 30 days. Raises: Unavailable."""
        return hints(self.client, since, datetime.now(UTC))

    def movements(self, since: datetime, until: datetime) -> Iterator[Movement]:
        """Stripe's balance transactions, each with the payout that it is part of. Raises: Unavailable."""
        return movements(self.client, since, until)


def _is_page(object_id: str) -> bool:
    return object_id.startswith(PAGE)
