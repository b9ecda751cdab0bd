"""Stripe's counter in the sandbox: paths, forms, lists, expansions and keys, as its SDK speaks them."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from adapters.sandbox import stripe_hooks, stripe_intents, stripe_pages, stripe_returns, stripe_set_ups
from adapters.sandbox.courier import Courier
from adapters.sandbox.desk import Answer, Asked, Clock, Keys
from adapters.sandbox.stripe_books import Books, Object, Refused, fault, only_known
from adapters.sandbox.stripe_hooks import Hooks
from adapters.sandbox.stripe_intents import Intents
from adapters.sandbox.stripe_money import Money
from adapters.sandbox.stripe_pages import Pages
from adapters.sandbox.stripe_returns import Returns
from adapters.sandbox.stripe_set_ups import SetUps

KEYS_LIVE = 24 * 3600.0
PAGE = re.compile(r"/stripe/pages/(\w+)")
INDEX = re.compile(r"\[([^\]]*)\]")
KINDS = {
    "payment_intents": "payment_intent", "charges": "charge", "checkout/sessions": "checkout.session",
    "setup_intents": "setup_intent", "refunds": "refund", "disputes": "dispute", "payouts": "payout",
    "balance_transactions": "balance_transaction", "events": "event", "payment_methods": "payment_method",
    "customers": "customer", "mandates": "mandate", "webhook_endpoints": "webhook_endpoint",
}  # fmt: skip
FILTERS = {
    "payment_intent": ("customer",), "charge": ("customer", "payment_intent"), "payout": ("status",),
    "checkout.session": ("customer", "payment_intent", "status"), "refund": ("charge", "payment_intent"),
    "dispute": ("charge", "payment_intent"), "payment_method": ("customer", "type"), "customer": ("email",),
    "setup_intent": ("customer", "payment_method"), "webhook_endpoint": (),
}  # fmt: skip
CUSTOMER = {"name", "email", "metadata", "description", "expand"}


class Write(NamedTuple):
    """One request that writes. Shapes: `known` are its parameters; `carry_out` takes the object's id and them."""

    pattern: str
    known: set[str]
    carry_out: Callable[[str, Mapping[str, Any]], Answer]


class StripeDesk:
    """One merchant's account. Shapes: `books` is what really happened."""

    def __init__(self, clock: Clock, courier: Courier | None = None) -> None:
        self.books, self.keys = Books(clock), Keys(clock, KEYS_LIVE)
        self.money = Money(self.books)
        self.intents, self.returns = Intents(self.books, self.money), Returns(self.books, self.money)
        self.intents.disputed = self.returns.dispute
        self.set_ups, self.hooks = SetUps(self.books), Hooks(self.books, courier or Courier(clock))
        self.pages = Pages(self.books, self.intents, self.set_ups)
        self.writes = [one._replace(pattern=one.pattern.replace("ID", r"(\w+)")) for one in self._writes()]

    def _writes(self) -> list[Write]:
        intents, returns, pages, set_ups = self.intents, self.returns, self.pages, self.set_ups
        return [
            Write("/v1/payment_intents", stripe_intents.MADE, lambda _, wanted: intents.create(wanted)),
            Write("/v1/payment_intents/ID/confirm", stripe_intents.CONFIRMED, intents.confirm),
            Write("/v1/payment_intents/ID/cancel", {"cancellation_reason", "expand"}, intents.cancel),
            Write("/v1/payment_intents/ID/capture", {"expand"}, intents.capture),
            Write("/v1/setup_intents", stripe_set_ups.MADE, lambda _, wanted: set_ups.create(wanted)),
            Write("/v1/setup_intents/ID/confirm", stripe_set_ups.CONFIRMED, set_ups.confirm),
            Write("/v1/setup_intents/ID/cancel", {"cancellation_reason", "expand"}, set_ups.cancel),
            Write("/v1/checkout/sessions", stripe_pages.MADE, lambda _, wanted: pages.create(wanted)),
            Write("/v1/checkout/sessions/ID/expire", {"expand"}, lambda name, _: pages.expire(name)),
            Write("/v1/refunds", stripe_returns.REFUNDED, lambda _, wanted: returns.refund(wanted)),
            Write("/v1/disputes/ID", stripe_returns.ANSWERED, returns.answer),
            Write("/v1/disputes/ID/close", {"expand"}, lambda name, _: returns.close(name)),
            Write("/v1/customers", CUSTOMER, lambda _, wanted: self._customer(wanted)),
            Write("/v1/customers/ID", CUSTOMER, self._update),
            Write("/v1/payment_methods/ID/attach", {"customer", "expand"}, set_ups.attach),
            Write("/v1/payment_methods/ID/detach", {"expand"}, lambda name, _: set_ups.detach(name)),
            Write("/v1/webhook_endpoints", stripe_hooks.MADE, lambda _, wanted: self.hooks.create(wanted)),
        ]

    def tick(self) -> None:
        """Lets happen what the clock has passed."""
        self.books.tick()

    def answer(self, asked: Asked, saved_error: bool) -> Answer:
        """Carries a request out: one of the API, or one of a customer on a page."""
        with self.books.lock:
            self.tick()
            self.intents.host = f"http://{asked.headers.get('host', '127.0.0.1')}"
            try:
                if page := PAGE.fullmatch(asked.path):
                    return self._page(page[1], asked)
                return self._api(asked, saved_error)
            except Refused as refused:
                return deepcopy(refused.answer)

    def _page(self, name: str, asked: Asked) -> Answer:
        if asked.method == "GET":
            return self.pages.show(name)
        return self.pages.act(name, nested(asked.body.decode()))

    def _api(self, asked: Asked, saved_error: bool) -> Answer:
        if not _key(asked.headers.get("authorization", "")).startswith("sk_test_"):
            return fault("", "Invalid API Key provided", HTTPStatus.UNAUTHORIZED, "invalid_request_error")
        if asked.method == "GET":
            query = _nest(asked.query.items())
            return self._expanded(self._read(asked.path, query), query)
        wanted = nested(asked.body.decode())
        self.books.key = asked.headers.get("idempotency-key", "")

        def write() -> Answer:
            answer = self._written(asked, wanted, saved_error)
            return fault("", "An error on our side", 500, "api_error") if saved_error else answer

        def other() -> Answer:
            return fault("", "Keys for idempotent requests can only be used with the same parameters they were first "
                         "used with.", HTTPStatus.BAD_REQUEST, "idempotency_error")  # fmt: skip

        request = {"method": asked.method, "path": asked.path, **wanted}
        return deepcopy(self.keys.once(self.books.key, request, write, other))

    def _written(self, asked: Asked, wanted: Object, saved_error: bool) -> Answer:
        try:
            return deepcopy(self._expanded(self._write(asked, wanted), wanted))
        except Refused as refused:
            if saved_error:
                return refused.answer
            raise

    def _write(self, asked: Asked, wanted: Object) -> Answer:
        if asked.method == "DELETE" and (found := re.fullmatch(r"/v1/customers/(\w+)", asked.path)):
            return self._delete(found[1])
        for one in self.writes:
            if asked.method == "POST" and (found := re.fullmatch(one.pattern, asked.path)):
                only_known(wanted, one.known)
                return one.carry_out(found[1] if found.groups() else "", wanted)
        raise Refused("resource_missing", f"Unrecognized request URL: {asked.path}", HTTPStatus.NOT_FOUND)

    def _read(self, path: str, query: Object) -> Answer:
        collection, _, name = path.removeprefix("/v1/").rpartition("/")
        if path.removeprefix("/v1/") in KINDS:
            return self._list(KINDS[path.removeprefix("/v1/")], query)
        if collection not in KINDS:
            raise Refused("resource_missing", f"Unrecognized request URL: {path}", HTTPStatus.NOT_FOUND)
        only_known(query, {"expand"})
        kind = KINDS[collection]
        if kind == "customer" and name not in self.books.objects[kind]:
            self._standing(name)
        return Answer(HTTPStatus.OK, deepcopy(self.books.get(kind, name)))

    def _list(self, kind: str, query: Object) -> Answer:
        if kind == "event":
            return self.books.events(query)
        if kind == "balance_transaction":
            paid_out, payout = self.money.paid_out, query.get("payout")
            return self.books.listed(kind, query, "payout", "type", "source", "currency",
                                     where=lambda one: not payout or paid_out.get(one["id"]) == payout)  # fmt: skip
        for name in ("customer", "charge", "payment_intent"):
            if name in query:
                self.books.customer(query[name]) if name == "customer" else self.books.get(name, query[name])
        return self.books.listed(kind, query, *FILTERS[kind])

    def _expanded(self, answer: Answer, wanted: Mapping[str, Any]) -> Answer:
        if isinstance(answer.body, dict) and answer.status == HTTPStatus.OK:
            body = deepcopy(answer.body)
            for path in wanted.get("expand") or ():
                self._expand(body, str(path).split("."))
            return answer._replace(body=body)
        return answer

    def _expand(self, found: Any, path: list[str]) -> None:
        if isinstance(found, list):
            for one in found:
                self._expand(one, path)
        elif path and isinstance(found, dict):
            if path[0] not in found:
                raise Refused("", f"This property cannot be expanded ({path[0]}).", param="expand")
            if isinstance(found[path[0]], str):
                found[path[0]] = deepcopy(self._anywhere(found[path[0]]))
            self._expand(found[path[0]], path[1:])

    def _anywhere(self, name: str) -> Object | str:
        return next((held[name] for held in self.books.objects.values() if name in held), name)

    def _standing(self, name: str) -> None:
        try:
            self.books.customer(name)
        except Refused:
            raise Refused("resource_missing", f"No such customer: '{name}'", HTTPStatus.NOT_FOUND) from None

    def _customer(self, wanted: Mapping[str, Any]) -> Answer:
        fields = {name: wanted[name] for name in CUSTOMER - {"expand"} if name in wanted}
        made = self.books.new("customer", **fields)
        self.books.happened("customer.created", made)
        return Answer(HTTPStatus.OK, made)

    def _update(self, name: str, wanted: Mapping[str, Any]) -> Answer:
        """What is named is changed, "" takes it away; metadata are added to."""
        self._standing(name)
        customer = self.books.get("customer", name)
        fields = {key: wanted[key] or None for key in ("name", "email", "description") if key in wanted}
        before = {key: customer[key] for key in fields}
        customer |= fields
        customer["metadata"] |= dict(wanted.get("metadata") or {})
        self.books.happened("customer.updated", customer, before)
        return Answer(HTTPStatus.OK, customer)

    def _delete(self, name: str) -> Answer:
        self._standing(name)
        customer = self.books.get("customer", name)
        self.books.happened("customer.deleted", customer)
        gone = {"id": name, "object": "customer", "deleted": True, "created": customer["created"]}
        self.books.objects["customer"][name] = gone
        for method in self.books.objects["payment_method"].values():
            if method["customer"] == name:
                method["customer"] = None
                self.books.detached.add(method["id"])
        return Answer(HTTPStatus.OK, {key: gone[key] for key in ("id", "object", "deleted")})


def _key(authorization: str) -> str:
    """The key of a request: a token, or the user's name of HTTP's Basic scheme. Source: Stripe's Authentication."""
    scheme, _, said = authorization.partition(" ")
    try:
        return said if scheme == "Bearer" else b64decode(said).decode().partition(":")[0] if scheme == "Basic" else ""
    except (NotBase64, UnicodeError):
        return ""


def nested(body: str) -> Object:
    """A form as Stripe's SDK writes it: `metadata[attempt]=…` is an object inside, `expand[0]=…` a list."""
    return _nest(parse_qsl(body, keep_blank_values=True))


def _nest(pairs: Any) -> Object:
    found: Object = {}
    for name, value in pairs:
        outer, *inner = [name.partition("[")[0], *INDEX.findall(name)]
        place, keys = found, [outer, *inner]
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
    return {name: _listed(value) for name, value in found.items()}


def _listed(value: Any) -> Any:
    """Objects whose names are all numbers are lists."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(one) for name, one in value.items()}
    return [inner[name] for name in sorted(inner, key=int)] if all(name.isdigit() for name in inner) else inner
