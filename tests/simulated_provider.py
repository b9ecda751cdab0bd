"""A provider of payments with its own books, for simulation: the judge of whether anybody was charged twice.

It keeps to what all providers have in common: creating moves no money and is repeated under the same key, confirming
moves it once, an answer can be lost before or after its effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Literal
from uuid import UUID

from domain.payment import Order, Reply, State

Fault = Literal["", "before", "after"]


class Simulated:
    """A provider that answers as `fault` lets it: "before" loses the request, "after" the answer.

    Shapes: `answers` what confirming comes to, by the method's token; any other is good for the money.
    """

    name = "stripe"

    def __init__(self, fault: Callable[[], Fault] = lambda: "") -> None:
        self.fault = fault
        self.orders: dict[str, Order] = {}
        self.states: dict[str, State] = {}
        self.captures: Counter[UUID] = Counter()
        self.answers: dict[str, State] = {"declines": "declined"}
        self._lock = Lock()

    def create(self, order: Order) -> Reply:
        return self._call(order.attempt.hex, lambda: self._made(order))

    def find(self, order: Order) -> Reply | None:
        return self._call(order.attempt.hex, lambda: None) if order.attempt.hex in self.orders else None

    def confirm(self, order: Order, object_id: str) -> Reply:
        return self._call(object_id, lambda: self._moved(object_id))

    def look(self, object_id: str) -> Reply:
        return self._call(object_id, lambda: None)

    def cancel(self, object_id: str) -> Reply:
        return self._call(object_id, lambda: self._dead(object_id))

    def _call(self, object_id: str, effect: Callable[[], None]) -> Reply:
        with self._lock:
            fault = self.fault()
            if fault != "before":
                effect()
            if fault:
                return Reply("unknown")
            return self._answer(object_id)

    def _made(self, order: Order) -> None:
        if order.attempt.hex not in self.orders:
            self.orders[order.attempt.hex], self.states[order.attempt.hex] = order, "open"

    def _moved(self, object_id: str) -> None:
        if self.states[object_id] != "open":
            return
        self.states[object_id] = self.answers.get(self.orders[object_id].method, "succeeded")
        self.captures[self.orders[object_id].invoice] += self.states[object_id] == "succeeded"

    def fail(self, invoice: UUID) -> None:
        """A bank says no to the debits of an invoice that it had not confirmed yet."""
        for object_id, order in self.orders.items():
            if order.invoice == invoice and self.states[object_id] == "pending":
                self.states[object_id] = "declined"

    def _dead(self, object_id: str) -> None:
        if self.states[object_id] != "succeeded":
            self.states[object_id] = "cancelled"

    def _answer(self, object_id: str) -> Reply:
        state, order = self.states[object_id], self.orders[object_id]
        code = "insufficient_funds" if state == "declined" else ""
        if state != "succeeded":
            return Reply(state, object=object_id, code=code)
        return Reply(state, object_id, f"ch_{object_id}", order.amount, order.currency)
