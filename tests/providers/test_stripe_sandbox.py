"""The sandbox against what Stripe publishes: shapes of its objects, signatures that its SDK accepts, keys, refusals."""

from __future__ import annotations

import json
import typing
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests
import stripe as sdk

from adapters.sandbox.server import Sandbox
from domain.payment import SetUp
from tests.providers.stripe_world import BACK, DAY, order, paid, press, refund, sandbox_now, stripe_at

CLASSES = {
    "payment_intent": sdk.PaymentIntent, "charge": sdk.Charge, "checkout.session": sdk.checkout.Session,
    "setup_intent": sdk.SetupIntent, "refund": sdk.Refund, "dispute": sdk.Dispute, "payout": sdk.Payout,
    "balance_transaction": sdk.BalanceTransaction, "event": sdk.Event, "payment_method": sdk.PaymentMethod,
    "customer": sdk.Customer, "mandate": sdk.Mandate, "webhook_endpoint": sdk.WebhookEndpoint,
}  # fmt: skip


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with sandbox_now() as running:
        yield running


class Listener(BaseHTTPRequestHandler):
    """Takes webhooks in, as the test tells it to answer."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((body, self.headers["Stripe-Signature"]))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        server.came, server.status = [], 200  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Basic " + b64encode(b"sk_test_1:").decode(), 200),
        ("Basic " + b64encode(b"pk_test_1:sk_test_1").decode(), 401),
        ("Basic sk_test_1:", 401),
        ("sk_test_1", 401),
    ],
)
def test_a_key_may_be_the_name_of_a_user_as_of_any_http_client(sandbox, said, status):
    told = requests.get(f"{sandbox.url}/v1/customers", headers={"Authorization": said}, timeout=10)
    assert told.status_code == status, told.text


def everything(sandbox: Sandbox) -> None:
    """One of each thing that can happen."""
    stripe = stripe_at(sandbox)
    client = stripe.client.v1
    client.webhook_endpoints.create({"url": "http://127.0.0.1:9/hook", "enabled_events": ["*"]})
    for number, method in enumerate(
        ("pm_card_visa", "pm_card_chargeDeclined", "pm_card_createDispute", "pm_card_refundFail", "pm_disputed_de",
         "pm_failed_de", "pm_card_authenticationRequired")
    ):  # fmt: skip
        seen = paid(stripe, method, name=str(number))
        if method == "pm_card_refundFail":
            stripe.refund(refund(seen.payment, 500))
        if seen.state == "action_required":
            stripe.authenticate(order(method, name=str(number)), seen.object)
    press(stripe.create(order(method="", name="page")).url, "pay")
    stripe.create(order(method="", name="other page"))
    press(stripe.set_up(SetUp("acme", "Acme", "pay@acme.example", BACK)).url, "leave", "pm_success_de")
    sandbox.clock.advance(30 * DAY)
    sandbox.tick()


def test_every_object_has_the_keys_and_types_that_stripe_publishes(sandbox, shared):
    published = json.loads((shared / "specs" / "stripe_fixtures3.json").read_text())["resources"]
    everything(sandbox)
    objects = sandbox.stripe.books.objects
    assert {kind for kind, held in objects.items() if held} == set(CLASSES)
    for kind, cls in CLASSES.items():
        hints = cls.__annotations__
        for one in objects[kind].values():
            for key, value in one.items():
                assert key in published[kind] or key in hints, f"{kind}.{key}"
                if not (kind == "event" and key == "data"):
                    assert fits(value, published[kind].get(key)), f"{kind}.{key} is {value!r}"
            for key, hint in hints.items():
                if not key.startswith("_") and key.islower() and type(None) not in typing.get_args(hint):
                    assert one.get(key) is not None, f"the SDK reads {kind}.{key}"
            missing = set(published[kind]) - set(one) - {"source", "card"}
            assert not missing, f"{kind} lacks {missing}"


def fits(ours: Any, theirs: Any) -> bool:
    """Whether a value could stand where theirs does; what is null somewhere may be anything there."""
    if ours is None or theirs is None:
        return True
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return all(fits(value, theirs.get(key)) for key, value in ours.items())
    return type(ours) is type(theirs) or {type(ours), type(theirs)} == {int, float}


def test_webhooks_are_signed_as_the_sdk_verifies_and_come_late_twice_or_not_at_all(sandbox, listener):
    client = stripe_at(sandbox).client
    url = f"http://127.0.0.1:{listener.server_port}/hook"
    endpoint = client.v1.webhook_endpoints.create({"url": url, "enabled_events": ["payment_intent.succeeded"]})
    copies = iter([(0.0,), (30.0, 60.0), (), (5.0,)])
    sandbox.courier.delays = lambda: next(copies)
    for number in range(4):
        paid(stripe_at(sandbox), name=str(number))
    pending = [one.id for one in client.v1.events.list({"delivery_success": False}).data]
    assert (sandbox.tick(), len(pending)) == (1, 4)
    sandbox.clock.advance(10)
    listener.status = 500
    assert sandbox.tick() == 0, "what is not taken comes again"
    listener.status = 200
    sandbox.clock.advance(61)
    assert sandbox.tick() == 3
    events = [
        sdk.Webhook.construct_event(body, signature, endpoint.secret, tolerance=10**9)
        for body, signature in listener.came
    ]
    assert [pending.index(one.id) for one in events] == [3, 0, 2, 2, 0], "one came twice, one never"
    assert [one.id for one in client.v1.events.list({"delivery_success": False}).data] == [pending[1]]
    assert {one.type for one in events} == {"payment_intent.succeeded"}
    with pytest.raises(sdk.SignatureVerificationError):
        sdk.Webhook.construct_event(listener.came[0][0], listener.came[1][1], "whsec_other", tolerance=10**9)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"amount": 500, "currency": "eur", "colour": "red"}, "parameter_unknown"),
        ({"amount": 49, "currency": "eur"}, "amount_too_small"),
        ({"amount": 500, "currency": "eur", "customer": "cus_nobody"}, "resource_missing"),
        ({"amount": 500, "currency": "eur", "payment_method": "pm_nothing"}, "resource_missing"),
    ],
)
def test_requests_that_stripe_refuses_are_refused_and_nothing_is_saved_under_their_key(sandbox, words, code):
    intents = stripe_at(sandbox).client.v1.payment_intents
    key: Any = {"idempotency_key": "k"}
    with pytest.raises(sdk.InvalidRequestError) as refused:
        intents.create(words, key)
    assert (refused.value.code, sandbox.stripe.books.intents) == (code, {})
    intents.create({"amount": 500, "currency": "eur"}, key)
    with pytest.raises(sdk.IdempotencyError):
        intents.create({"amount": 501, "currency": "eur"}, key)
    assert len(sandbox.stripe.books.intents) == 1


def test_a_key_of_somebody_else_opens_nothing(sandbox):
    stranger = sdk.StripeClient("sk_live_1", base_addresses={"api": sandbox.url}, max_network_retries=0)
    with pytest.raises(sdk.AuthenticationError):
        stranger.v1.customers.list()
