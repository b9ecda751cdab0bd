"""The port to providers of payments: a fourth one is one file.

Creating moves no money, confirming does, and the provider's id is recorded between the two. Looking only reads.
Source: ADR-0018.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from domain.news import Hint, Movement, News
from domain.payment import Order, Refund, RefundReply, Reply, SetUp, SetUpReply


class Provider(Protocol):
    """A provider of payments.

    Every call that writes is made under a key of what it is for, and raises nothing for what the world may do:
    time-outs, resets and 5xx are `unknown`. A request that the provider will never take is an end, with its code.
    """

    name: str

    def create(self, order: Order) -> Reply:
        """Makes the payment object, which moves no money; the same one again inside the provider's window."""

    def find(self, order: Order) -> Reply | None:
        """Looks for an attempt's object by our reference, when its id was lost; None: it is certainly not there."""

    def confirm(self, order: Order, object_id: str) -> Reply:
        """Moves the money; an object that is confirmed already answers with where it stands."""

    def look(self, object_id: str) -> Reply:
        """Reads where a payment stands."""

    def cancel(self, object_id: str) -> Reply:
        """Makes sure that the object never moves money: `cancelled`, or the state that forbids it."""

    def authenticate(self, order: Order, object_id: str) -> Reply:
        """Lets the customer approve the same payment in person: `action_required` with where to go."""

    def refund(self, refund: Refund) -> RefundReply:
        """Gives money of a payment back; the same refund again inside the provider's window."""

    def find_refund(self, refund: Refund) -> RefundReply | None:
        """Looks for a refund by our reference; None: it is certainly not there."""

    def set_up(self, wanted: SetUp) -> SetUpReply:
        """Opens the provider's page on which a customer leaves a method of payment."""

    def news(self, hint: Hint) -> Sequence[News]:
        """What a webhook is about, as it stands now: the objects are read, a body is never believed.

        Raises: Unavailable when the provider does not answer; Invalid when the hint cannot be of ours.
        """

    def hints(self, since: datetime) -> Iterator[Hint]:
        """What the provider would have told by webhooks since then, the oldest first. Raises: Unavailable."""

    def movements(self, since: datetime, until: datetime) -> Iterator[Movement]:
        """The provider's own books of our money, with every line of the payouts among them. Raises: Unavailable."""
