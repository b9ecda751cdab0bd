"""Stripe's books in the sandbox, the judge of double charges: objects, money that moved, and what happens in time."""

from __future__ import annotations

import heapq
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from adapters.sandbox.desk import Answer, Clock
from adapters.sandbox.stripe_methods import DAY, METHODS, Method
from adapters.sandbox.stripe_shapes import shaped

API_VERSION = "2026-10-28.endive"
KEEPS_EVENTS = 30 * DAY
STANDING = re.compile(r"cus_[0-9]{1,6}")
"""Customers that are in the books from the beginning, so that a first try needs none to be made."""
Object = dict[str, Any]
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__
}  # fmt: skip


class Refused(Exception):
    """A request that Stripe does not take: nothing was done, and nothing is saved under its key."""

    def __init__(self, code: str, message: str, status: int = 400, kind: str = "", **more: Any) -> None:
        super().__init__(message)
        self.answer = fault(code, message, status, kind or "invalid_request_error", **more)


def fault(code: str, message: str, status: int, kind: str, **more: Any) -> Answer:
    """An error as Stripe words it."""
    named = {"code": code} if code else {}
    return Answer(status, {"error": {"type": kind, **named, "message": message, **more}})


@dataclass
class Books:
    """One merchant's account at the sandbox.

    Shapes: `captured` is what each invoice of ours brought and `returned` what each refund of ours gave back, both as
    really moved; `heard` is told of every event. Units: amounts as Stripe counts them.
    """

    clock: Clock = field(default_factory=Clock)
    objects: dict[str, dict[str, Object]] = field(default_factory=lambda: defaultdict(dict))
    captured: Counter[str] = field(default_factory=Counter)
    returned: Counter[str] = field(default_factory=Counter)
    behaves: dict[str, str] = field(default_factory=dict)
    detached: set[str] = field(default_factory=set)
    set_up: set[str] = field(default_factory=set)
    heard: Callable[[Object], None] = lambda event: None
    key: str = ""
    lock: RLock = field(default_factory=RLock)
    _numbers: Any = field(init=False)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _at: float | None = None

    def __post_init__(self) -> None:
        # A sandbox that is started later numbers on from there: it must not name other money by the same ids.
        self._numbers = itertools.count(int(self.clock.now * 1000) * 1000 + 1)

    @property
    def now(self) -> float:
        """The time, which is that of the appointment while one is kept. Units: seconds since 1970."""
        return self.clock.now if self._at is None else self._at

    @property
    def intents(self) -> dict[str, Object]:
        """All PaymentIntents by id."""
        return self.objects["payment_intent"]

    def new(self, kind: str, **fields: Any) -> Object:
        """Enters an object."""
        made = shaped(kind, next(self._numbers), int(self.now), fields)
        self.objects[kind][made["id"]] = made
        return made

    def get(self, kind: str, name: object) -> Object:
        """An object. Raises: Refused (404)."""
        found = self.objects[kind].get(str(name))
        if found is None:
            raise Refused("resource_missing", f"No such {kind}: '{name}'", 404, param="id")
        return found

    def customer(self, name: object) -> str:
        """The id of a customer, who may be one of those that stand in the books. Raises: Refused."""
        held = self.objects["customer"]
        if str(name) not in held and STANDING.fullmatch(str(name)):
            held[str(name)] = self.new("customer") | {"id": str(name)}
        if held.get(str(name), {"deleted": True}).get("deleted"):
            raise Refused("resource_missing", f"No such customer: '{name}'", param="customer")
        return str(name)

    def method(self, name: object, customer: object = None) -> str:
        """The id of a method that may be used for a customer: a test method gives a new one. Raises: Refused."""
        if str(name) in METHODS:
            return self._copied(str(name))
        held = self.objects["payment_method"].get(str(name))
        if held is None:
            raise Refused("resource_missing", f"No such PaymentMethod: '{name}'", param="payment_method")
        if str(name) in self.detached or held["customer"] not in (None, customer):
            raise Refused("payment_method_unexpected_state", "This PaymentMethod is not attached to the customer")
        return str(name)

    def behaviour(self, method: str) -> Method:
        """How a method behaves."""
        return METHODS[self.behaves[method]]

    def _copied(self, name: str) -> str:
        test = METHODS[name]
        made = self.new("payment_method", type=test.kind, **{test.kind: test.details()})
        self.behaves[made["id"]] = name
        return str(made["id"])

    def happened(self, what: str, about: Object, before: Mapping[str, Any] | None = None) -> None:
        """Enters an event, with the object as it is now, and tells it."""
        data: Object = {"object": deepcopy(about)}
        if before is not None:
            data["previous_attributes"] = dict(before)
        event = self.new("event", type=what, api_version=API_VERSION, data=data,
                         request={"id": None, "idempotency_key": self.key or None})  # fmt: skip
        self.heard(event)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Makes an appointment."""
        heapq.heappush(self._agenda, (self.now + seconds, next(self._numbers), action))

    def tick(self) -> None:
        """Keeps the appointments whose time has come, each at its own time."""
        with self.lock:
            while self._agenda and self._agenda[0][0] <= self.clock.now:
                self._at, _, action = heapq.heappop(self._agenda)
                try:
                    action()
                finally:
                    self._at = None

    def listed(
        self, kind: str, query: Mapping[str, Any], *filters: str, where: Callable[[Object], bool] = lambda one: True
    ) -> Answer:
        """Objects, the newest first, in pages. Raises: Refused for a filter that the list has not."""
        only_known(query, {"limit", "starting_after", "created", "expand", *filters})
        found = [one for one in reversed(self.objects[kind].values()) if _fits(one, query, filters) and where(one)]
        if after := query.get("starting_after"):
            names = [one["id"] for one in found]
            if after not in names:
                raise Refused("resource_missing", f"No such {kind}: '{after}'", param="starting_after")
            found = found[names.index(after) + 1 :]
        limit = int(query.get("limit", 10))
        page = {"object": "list", "url": f"/v1/{kind}s", "data": deepcopy(found[:limit]),
                "has_more": len(found) > limit}  # fmt: skip
        return Answer(200, page)

    def events(self, query: Mapping[str, Any]) -> Answer:
        """Events of the last 30 days, all or those that did not arrive."""

        def kept(event: Object) -> bool:
            arrived = {"true": not event["pending_webhooks"], "false": event["pending_webhooks"] > 0}
            wanted = str(query.get("delivery_success", ""))
            return bool(self.now - event["created"] < KEEPS_EVENTS) and arrived.get(wanted, True)

        asked = {name: value for name, value in query.items() if name != "delivery_success"}
        return self.listed("event", asked, "type", where=kept)


def only_known(wanted: Mapping[str, Any], known: set[str]) -> None:
    """Raises: Refused for a parameter that a request has not."""
    for name in sorted(set(wanted) - known):
        raise Refused("parameter_unknown", f"Received unknown parameter: {name}", param=name)


def _fits(one: Object, query: Mapping[str, Any], filters: tuple[str, ...]) -> bool:
    created = dict(query.get("created") or {})
    inside = all(COMPARE[how](int(one["created"]), int(limit)) for how, limit in created.items())
    return (
        inside
        and not one.get("deleted")
        and all(name not in query or name not in one or one[name] == query[name] for name in filters)
    )
