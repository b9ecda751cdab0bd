"""What every provider in the sandbox is to the server: a desk that answers requests, with a clock that can be moved."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, NamedTuple, Protocol


class Asked(NamedTuple):
    """One request. Shapes: `path` without the desk's prefix; names of `headers` in small letters."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What goes back: JSON, or nothing where `body` is None; a page where it is text."""

    status: int
    body: dict[str, Any] | str | None = None
    headers: Mapping[str, str] = {}


class Desk(Protocol):
    """A provider's side of the counter."""

    def answer(self, asked: Asked, saved_error: bool) -> Answer:
        """Carries a request out; with `saved_error` its effect stays, and a fault of the server is told and saved."""


@dataclass
class Clock:
    """The sandbox's time, in seconds since 1970: real or set by a test."""

    time: Callable[[], float] = lambda: 0.0
    ahead: float = 0.0

    @property
    def now(self) -> float:
        return self.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.ahead += seconds


@dataclass
class Keys:
    """Idempotency keys that really expire. Units: `window` in seconds."""

    clock: Clock
    window: float
    known: dict[str, tuple[float, str, Answer]] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)

    def once(self, key: str, request: object, carry_out: Callable[[], Answer], other: Callable[[], Answer]) -> Answer:
        """Carries a request out under a key: within its window the same answer again; `other` is for another request.

        A request without a key is carried out each time.
        """
        with self.lock:
            asked = json.dumps(request, sort_keys=True, default=str)
            known = self.known.get(key)
            if key and known and self.clock.now - known[0] < self.window:
                return known[2] if known[1] == asked else other()
            answer = carry_out()
            if key:
                self.known[key] = (self.clock.now, asked, answer)
            return answer
