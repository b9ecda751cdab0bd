"""Carries the sandbox's webhooks to whoever listens on loopback: late, twice, out of order or never, as a test says."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from adapters.sandbox.desk import Clock
from domain.errors import Invalid

Sign = Callable[[bytes, float], Mapping[str, str]]
"""The headers of a delivery, from its body and the instant at which it is sent."""


class Delivery(NamedTuple):
    """One webhook on its way. Units: `at` in seconds of the sandbox's clock."""

    at: float
    number: int
    url: str
    body: bytes
    sign: Sign
    arrived: Callable[[], None]
    tries: int = 0


@dataclass
class Courier:
    """Deliveries that wait, in the order of their instants.

    Shapes: `delays` says after which seconds each copy of a new event is delivered: (0,) once and at once, () never,
    (0, 5) twice.
    """

    clock: Clock
    delays: Callable[[], tuple[float, ...]] = lambda: (0.0,)
    waiting: list[Delivery] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    lock: RLock = field(default_factory=RLock)

    def send(self, url: str, body: bytes, sign: Sign, arrived: Callable[[], None] = lambda: None) -> None:
        """Takes an event in for delivery; `arrived` is called once for each copy that was taken.

        Raises: Invalid for an address that is not on loopback.
        """
        if urlsplit(url).hostname != "127.0.0.1":
            raise Invalid(f"the sandbox delivers to 127.0.0.1 only, not to {url}")
        with self.lock:
            for delay in self.delays():
                at, number = self.clock.now + delay, next(self.numbers)
                heapq.heappush(self.waiting, Delivery(at, number, url, body, sign, arrived))

    def deliver_due(self, retry_after: float = 60.0, tries: int = 25) -> int:
        """Delivers what is due; what is not answered with 2xx is tried again later. How many arrived."""
        return sum(self._deliver(one, retry_after, tries) for one in self._due())

    def _due(self) -> list[Delivery]:
        with self.lock:
            due = []
            while self.waiting and self.waiting[0].at <= self.clock.now:
                due.append(heapq.heappop(self.waiting))
            return due

    def _deliver(self, one: Delivery, retry_after: float, tries: int) -> bool:
        headers = {"Content-Type": "application/json", **one.sign(one.body, self.clock.now)}
        try:
            status = requests.post(
                one.url, data=one.body, headers=headers, timeout=10, allow_redirects=False
            ).status_code
        except requests.RequestException:
            status = 0
        arrived = 200 <= status < 300
        if arrived:
            one.arrived()
        elif one.tries + 1 < tries:
            again = one._replace(at=self.clock.now + retry_after, tries=one.tries + 1)
            with self.lock:
                heapq.heappush(self.waiting, again)
        return arrived
