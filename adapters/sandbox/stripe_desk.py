"""Stripe's counter in the sandbox: paths, forms and keys, as its SDK speaks them."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any
from urllib.parse import parse_qsl

from adapters.sandbox.desk import Answer, Asked, Clock, Keys
from adapters.sandbox.stripe_books import Books, refused

INTENT = re.compile(r"/v1/payment_intents/(pi_\d+)(?:/(confirm|cancel))?")
KEYS_LIVE = 24 * 3600.0


class StripeDesk:
    """One merchant's account. Shapes: `books` is what really happened."""

    def __init__(self, clock: Clock) -> None:
        self.books, self.keys = Books(clock), Keys(clock, KEYS_LIVE)

    def answer(self, asked: Asked, saved_error: bool) -> Answer:
        if not asked.headers.get("authorization", "").startswith("Bearer sk_test_"):
            return refused("", "Invalid API Key provided", 401)
        with self.books.lock:
            if asked.method == "GET":
                return deepcopy(self._read(asked.path, asked.query))
            wanted = _nested(asked.body.decode())

            def write() -> Answer:
                answer = self._write(asked.path, wanted)
                return refused("", "An error on our side", 500, "api_error") if saved_error else answer

            def other() -> Answer:
                return refused("", "key of another request", kind="idempotency_error")

            key = asked.headers.get("idempotency-key", "")
            return deepcopy(self.keys.once(key, {"path": asked.path, **wanted}, write, other))

    def _read(self, path: str, query: Any) -> Answer:
        books, found = self.books, INTENT.fullmatch(path)
        if path == "/v1/payment_intents":
            limit, after = int(query.get("limit", 10)), query.get("starting_after", "")
            return books.listed(query.get("customer", ""), limit, after)
        if found and found[1] in books.intents and not found[2]:
            return Answer(200, books.intents[found[1]])
        return refused("resource_missing", f"No such resource: {path}", 404)

    def _write(self, path: str, wanted: dict[str, Any]) -> Answer:
        books, found = self.books, INTENT.fullmatch(path)
        if path == "/v1/payment_intents":
            return books.create(wanted)
        if found and found[1] in books.intents and found[2]:
            return books.confirm(found[1]) if found[2] == "confirm" else books.cancel(found[1])
        return refused("resource_missing", f"No such resource: {path}", 404)


def _nested(body: str) -> dict[str, Any]:
    """A form as Stripe's SDK writes it: `metadata[attempt]=…` is an object inside."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        outer, bracket, inner = name.partition("[")
        if bracket:
            found.setdefault(outer, {})[inner.rstrip("]")] = value
        else:
            found[outer] = value
    return found
