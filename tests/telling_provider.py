"""The simulated provider with events and a page of its own: what it tells is about objects that it really has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from domain.errors import Unavailable
from domain.news import Hint, News, PaymentNews
from domain.payment import Order, Reply
from tests.simulated_provider import Simulated

NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)
PAGE = "https://pay.provider.example/"


@dataclass
class Telling(Simulated):
    """A provider that can be asked what a hint is about. Shapes: `events` is its own list of them."""

    name = "stripe"
    is_silent: bool = False
    events: list[Hint] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def hint(self, object_id: str, name: str = "", at: datetime = NOW, **more: object) -> Hint:
        """An event about one of its objects."""
        body = json.dumps({"id": name or f"evt_{object_id}", "about": object_id, **more}).encode()
        return Hint(self.name, name or f"evt_{object_id}", "payment_intent.succeeded", at, body)

    def news(self, hint: Hint) -> Sequence[News]:
        """What the object is now."""
        self.asked.append(hint.event)
        if self.is_silent:
            raise Unavailable("the provider does not answer")
        order = self.orders.get(json.loads(hint.body)["about"])
        return [PaymentNews(order.attempt.hex, order.attempt, order.invoice)] if order else []

    def hints(self, since: datetime) -> Iterator[Hint]:
        """Its list of events, which breaks off where it is silent."""
        yield from (one for one in self.events if one.at >= since)
        if self.is_silent:
            raise Unavailable("the provider does not answer")

    def authenticate(self, order: Order, object_id: str) -> Reply:
        """Sends the customer to its page for the same object."""
        return Reply("action_required", object_id, url=f"{PAGE}{object_id}")

    def approve(self, object_id: str) -> None:
        """The customer said yes on its page."""
        self.states[object_id] = "open"
        self._moved(object_id)

    def _made(self, order: Order) -> None:
        super()._made(order)
        if not order.method and self.states[order.attempt.hex] == "open":
            self.states[order.attempt.hex] = "action_required"

    def _answer(self, object_id: str) -> Reply:
        told = super()._answer(object_id)
        if told.state != "action_required":
            return told
        return Reply("action_required", object_id, url=f"{PAGE}{object_id}")
