"""What tests of Stripe share: the adapter over HTTP at a sandbox whose clock they move, orders, and a customer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from adapters.providers.stripe import StripePayments
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Fault, Sandbox
from domain.identity import Kind, make_id
from domain.news import Hint, News
from domain.payment import Order, Refund, Reply

NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)
DAY = 86400
BACK = "http://127.0.0.1:9/back"
FAULTS: tuple[Fault, ...] = (
    "lost_before", "lost_after", "server_error", "saved_error", "busy", "rate_limit", "truncated"
)  # fmt: skip
WITH_EFFECT = ("lost_after", "saved_error", "truncated")


def sandbox_now() -> Sandbox:
    """A sandbox whose time stands at NOW until a test moves it."""
    return Sandbox(clock=Clock(NOW.timestamp))


def stripe_at(sandbox: Sandbox) -> StripePayments:
    """The adapter at a sandbox."""
    return StripePayments("sk_test_1", sandbox.url, timeout=5, return_url=BACK)


def order(method: str = "pm_card_visa", amount: int = 2380, name: str = "1", **more: Any) -> Order:
    """What an attempt asks for; `more` are other words of it."""
    attempt, invoice = (make_id(kind, 1, date(2025, 2, 1), name) for kind in (Kind.ATTEMPT, Kind.INVOICE))
    words = {"currency": "EUR", "customer": "cus_1", "opened_at": NOW, **more}
    return Order(attempt, invoice, "INV-000001", "acme", amount, method=method, **words)


def paid(stripe: StripePayments, method: str = "pm_card_visa", amount: int = 2380, name: str = "1") -> Reply:
    """A payment that was confirmed."""
    wanted = order(method, amount, name)
    return stripe.confirm(wanted, stripe.create(wanted).object)


def refund(payment: str, amount: int, name: str = "1", currency: str = "EUR") -> Refund:
    """What is to go back."""
    return Refund(make_id(Kind.REFUND, 1, date(2025, 2, 1), name), payment, amount, currency, "INV-000001")


def press(url: str, do: str, method: str = "") -> requests.Response:
    """What a customer does on a page; redirects are followed as far as the sandbox goes."""
    answer = requests.post(url, data={"do": do, "method": method}, timeout=5, allow_redirects=False)
    where = answer.headers.get("Location", "")
    if urlsplit(where).netloc == urlsplit(url).netloc:
        return press(where, "authenticate")
    return answer


def told(sandbox: Sandbox, after: int = 0) -> list[Hint]:
    """The events of the sandbox as hints, from a number on."""
    events = list(sandbox.stripe.books.objects["event"].values())[after:]
    return [
        Hint("stripe", one["id"], one["type"], datetime.fromtimestamp(one["created"], UTC), json.dumps(one).encode())
        for one in events
    ]


def news_of(stripe: StripePayments, sandbox: Sandbox, kind: str) -> Sequence[News]:
    """The news of the latest event of a kind."""
    return stripe.news([one for one in told(sandbox) if one.kind == kind][-1])


def event(kind: str, named: str, name: str, **data: Any) -> Hint:
    """An event that names an object."""
    body = {"object": "event", "type": kind, "data": {"object": {"object": named, "id": name}, **data}}
    return Hint("stripe", "evt_1", kind, NOW, json.dumps(body).encode())
