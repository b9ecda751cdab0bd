"""Stripe's webhooks in the sandbox: endpoints with their secrets, and events signed as Stripe signs them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from adapters.sandbox.courier import Courier
from adapters.sandbox.desk import Answer
from adapters.sandbox.stripe_books import Books, Object, Refused

MADE = {"url", "enabled_events", "description", "metadata", "api_version", "expand"}


class Hooks:
    """Endpoints that are told of events."""

    def __init__(self, books: Books, courier: Courier) -> None:
        self.books, self.courier = books, courier
        self.secrets: dict[str, str] = {}
        books.heard = self.tell

    def create(self, wanted: Mapping[str, Any]) -> Answer:
        """Enters an endpoint; its secret is told once."""
        if not str(wanted.get("url", "")).startswith("http://127.0.0.1:"):
            raise Refused("url_invalid", "The sandbox delivers to http://127.0.0.1:PORT only.", param="url")
        made = self.books.new("webhook_endpoint", url=wanted["url"], description=wanted.get("description"),
                              enabled_events=list(wanted.get("enabled_events") or ["*"]))  # fmt: skip
        self.secrets[made["id"]] = f"whsec_{hashlib.sha256(made['id'].encode()).hexdigest()[:32]}"
        return Answer(HTTPStatus.OK, {**made, "secret": self.secrets[made["id"]]})

    def tell(self, event: Object) -> None:
        """Sends an event to every endpoint that wants it."""
        wanting = [
            one for one in self.books.objects["webhook_endpoint"].values()
            if one["status"] == "enabled" and {"*", event["type"]} & set(one["enabled_events"])
        ]  # fmt: skip
        event["pending_webhooks"] = len(wanting)
        body = json.dumps(event, separators=(",", ":")).encode()
        for endpoint in wanting:
            sign = partial(signed, self.secrets[endpoint["id"]])
            self.courier.send(endpoint["url"], body, sign, partial(self._arrived, event))

    def _arrived(self, event: Object) -> None:
        with self.books.lock:
            event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)


def signed(secret: str, body: bytes, at: float) -> dict[str, str]:
    """The header that proves a delivery: a hash of the instant and the very bytes, under the endpoint's secret."""
    stamped = f"{int(at)}.".encode() + body
    return {"Stripe-Signature": f"t={int(at)},v1={hmac.new(secret.encode(), stamped, hashlib.sha256).hexdigest()}"}
