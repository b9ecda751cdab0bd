"""Our sandbox of Stripe against localstripe, which others wrote: every difference is written down here with its reason.

A row fails its test when the two agree on it, and so does a difference that has no row: each was held against what
Stripe documents when it was written, and our sandbox was mended where it was wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import pytest
import requests

from adapters.providers.stripe import StripePayments
from adapters.providers.stripe.calls import name_of
from adapters.webhooks.stripe import StripeVerifier
from adapters.webhooks.verifier import Rejected
from domain.news import PaymentNews
from domain.payment import SetUp
from tests.providers.localstripe import localstripe
from tests.providers.second_opinion import CREATED, PLAYS, Side, differences
from tests.providers.stripe_world import BACK, order, refund, sandbox_now
from tests.receiver import Receiver

WANTS_APPROVAL = {"number": "4000002760003184", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
SECRET = "whsec_second_opinion"
CODE = "localstripe gives no code; Stripe does (its page Error codes)"
KIND = "localstripe calls a decline invalid_request_error and gives no decline code; Stripe calls it card_error"
PARAM = "Stripe answers 404 for what a path names, and 400 for what a parameter names"
DEAD = "localstripe takes it all the same; Stripe refuses by the state of the object (its page Error codes)"
LACKS = {
    "customers": {
        "address taken away: email": (None, "", "Stripe takes a value away that is set to nothing: it is null"),
        "read when deleted": ("taken", "404", "Stripe still answers for a deleted customer, as deleted"),
        "deleted again: code": ("resource_missing", None, CODE),
        "changed when deleted: code": ("resource_missing", None, CODE),
        "never there: code": ("resource_missing", None, CODE),
    },
    "methods": {
        "attached to nobody: http": (400, 404, PARAM),
        "attached to nobody: code": ("resource_missing", None, CODE),
        "detached again": ("400", "taken", "Stripe: not attached to a customer, so detachment is impossible"),
        "attached again": ("400 payment_method_unexpected_state", "taken", "Stripe: once detached, never used again"),
        "declined when attached: type": ("card_error", "invalid_request_error", KIND),
        "declined when attached: decline_code": ("generic_decline", None, KIND),
        "never there: code": ("resource_missing", None, CODE),
    },
    "set_ups": {
        "confirmed without method: code": ("setup_intent_unexpected_state", None, CODE),
        "its method: customer": (True, False, "Stripe attaches the method of a set-up that has a customer"),
        "confirmed again": ("400 setup_intent_unexpected_state", "succeeded", DEAD),
        "cancelled too late": ("400 setup_intent_unexpected_state", "canceled", DEAD),
        "confirmed when cancelled": ("400 setup_intent_unexpected_state", "succeeded", DEAD),
        "declined: type": ("card_error", "invalid_request_error", KIND),
        "declined: decline_code": ("generic_decline", None, KIND),
        "read when declined: status": ("requires_payment_method", "canceled", "Stripe lets another card be tried"),
        "read when declined: payment_method": (False, True, "the card that was declined is not the set-up's any more"),
        "read when declined: last_setup_error.code": ("card_declined", None, "localstripe does not keep the error"),
        "never there: code": ("resource_missing", None, CODE),
    },
    "payments": {
        "confirmed again: code": ("payment_intent_unexpected_state", None, CODE),
        "cancelled too late: code": ("payment_intent_unexpected_state", None, CODE),
        "confirmed without method: code": ("payment_intent_unexpected_state", None, CODE),
        "cancelled again: code": ("payment_intent_unexpected_state", None, CODE),
        "confirmed when cancelled: code": ("payment_intent_unexpected_state", None, CODE),
        "of nothing: code": ("amount_too_small", None, CODE),
        "of half a cent: code": ("parameter_invalid_integer", None, CODE),
        "of nobody: http": (400, 404, PARAM),
        "of nobody: code": ("resource_missing", None, CODE),
        "by nothing: http": (400, 404, PARAM),
        "by nothing: code": ("resource_missing", None, CODE),
        "never there: code": ("resource_missing", None, CODE),
    },
    "declines": {
        "declined: type": ("card_error", "invalid_request_error", KIND),
        "declined: decline_code": ("generic_decline", None, KIND),
        "its charge: captured": (False, True, "a charge that failed captured nothing"),
        "refunded: code": ("charge_not_refundable", None, CODE),
        "confirmed again: code": ("payment_intent_unexpected_state", None, CODE),
        "at once, off session: type": ("card_error", "invalid_request_error", KIND),
        "at once, off session: decline_code": ("generic_decline", None, KIND),
    },
    "approvals": {
        "confirmed when cancelled: code": ("payment_intent_unexpected_state", None, CODE),
        "off session": ("402 authentication_required", "requires_action", "Stripe declines while nobody is there"),
    },
    "captures": {
        "captured again: code": ("payment_intent_unexpected_state", None, CODE),
        "cancelled too late: code": ("payment_intent_unexpected_state", None, CODE),
        "its charge when cancelled: amount_refunded": (1000, 0, "Stripe refunds what is still to be captured"),
        "its charge when cancelled: refunded": (True, False, "Stripe refunds what is still to be captured"),
        "captured when cancelled": ("400 payment_intent_unexpected_state", "canceled", DEAD),
    },
    "refunds": {
        "more than the rest": ("400", "succeeded", "Stripe never refunds more than is left of a charge"),
        "the rest: amount": (500, 1000, "Stripe refunds what is left when no amount is named"),
        "again": ("400 charge_already_refunded", "succeeded", "Stripe never refunds more than is left of a charge"),
        "of no charge: code": ("resource_missing", None, CODE),
        "never there: code": ("resource_missing", None, CODE),
    },
    "events": {
        "told: types": (
            ["payment_intent.succeeded", "payment_intent.created", "customer.created"],
            ["customer.created", "payment_intent.succeeded"],
            "Stripe lists the newest first, and tells of an intent that was made",
        ),
        "never there: code": ("resource_missing", None, CODE),
    },
}  # fmt: skip
"""Ours, theirs and why, by play and step."""


@pytest.fixture(scope="module")
def theirs() -> Iterator[str]:
    with localstripe() as url:
        yield url


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    with sandbox_now() as sandbox:
        yield sandbox.url


def by_number(api: Any) -> str:
    """localstripe knows no test method whose bank wants the customer, but the number of such a card."""
    return str(api.payment_methods.create({"type": "card", "card": WANTS_APPROVAL}).id)


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
def test_the_sandbox_and_localstripe_differ_where_it_is_written_down_and_nowhere_else(ours, theirs, play):
    us, them = Side(ours, lambda api: "pm_card_authenticationRequired"), Side(theirs, by_number)
    play(us)
    play(them)
    written = {step: tuple(row[:2]) for step, row in LACKS[play.__name__].items()}
    assert len(us.seen) > 2
    assert differences(us.seen, them.seen) == written
    assert set(LACKS) == {one.__name__ for one in PLAYS}
    assert all(row[2] for row in chain.from_iterable(rows.values() for rows in LACKS.values()))


def test_a_difference_is_found_whichever_of_the_two_it_is_that_refuses_or_answers_otherwise():
    """The comparison itself can fail."""
    taken, other, refused = {"status": "succeeded"}, {"status": "canceled"}, {"http": 400, "code": "no"}
    assert differences({"step": taken}, {"step": taken}) == {}
    assert differences({"step": taken}, {"step": other}) == {"step: status": ("succeeded", "canceled")}
    assert differences({"step": taken}, {"step": refused}) == {"step": ("succeeded", "400 no")}
    assert differences({"step": refused}, {"step": {**refused, "http": 404}}) == {"step: http": (400, 404)}


def delivered(receiver: Receiver, kind: str, named: str) -> Any:
    """The webhook of an event about an object; localstripe sends a second after it happened."""
    until = monotonic() + 20
    while monotonic() < until:
        for one in list(receiver.requests):
            event = json.loads(one.body)
            if event["type"] == kind and event["data"]["object"]["id"] == named:
                return one
        sleep(0.05)
    raise AssertionError(f"no webhook {kind} of {named} came")


def test_a_webhook_that_localstripe_signed_is_verified_and_its_news_is_the_payment_of_our_attempt(theirs):
    stripe, wanted = StripePayments("sk_test_1", theirs, timeout=10), order()
    bears = {"attempt": str(wanted.attempt), "invoice": str(wanted.invoice)}
    with Receiver() as receiver:
        hook = {"url": receiver.url, "secret": SECRET, "events": ["payment_intent.succeeded"]}
        assert requests.post(f"{theirs}/_config/webhooks/ours", json=hook, timeout=10).status_code == 200
        asked: Any = {**CREATED, "payment_method": "pm_card_visa", "confirm": True, "metadata": bears}
        made = stripe.client.v1.payment_intents.create(asked)
        came = delivered(receiver, "payment_intent.succeeded", made.id)
    headers = [(name.encode(), value.encode()) for name, value in came.headers.items()]
    now = datetime.now(UTC)
    hint = StripeVerifier([SECRET], live=False).verify(headers, came.body, now)
    assert hint.kind == "payment_intent.succeeded"
    assert hint.event in [one.id for one in stripe.client.v1.events.list({"limit": 100}).data]
    assert stripe.news(hint) == (PaymentNews(made.id, wanted.attempt, wanted.invoice),)
    for secret, body in (("whsec_other", came.body), (SECRET, came.body.replace(b"succeeded", b"succeedes"))):
        with pytest.raises(Rejected):
            StripeVerifier([secret], live=False).verify(headers, body, now)


def test_our_adapter_refunds_and_finds_its_refund_at_localstripe_and_takes_an_answer_it_cannot_read_for_no_end(theirs):
    stripe = StripePayments("sk_test_1", theirs, timeout=10, return_url=BACK)
    asked: Any = {**CREATED, "payment_method": "pm_card_visa", "confirm": True}
    charge = name_of(stripe.client.v1.payment_intents.create(asked).latest_charge)
    wanted = refund(charge, 300)
    assert stripe.find_refund(wanted) is None
    given = stripe.refund(wanted)
    assert (given.state, given.amount, given.currency) == ("succeeded", 300, "EUR")
    assert stripe.find_refund(wanted) == given
    assert stripe.find_refund(refund(charge, 100, "2")) is None
    assert stripe.refund(refund("ch_nothing", 100, "3")).state == "failed"
    assert UUID(stripe.client.v1.refunds.retrieve(given.object).metadata["refund"]) == wanted.refund

    assert stripe.create(order()).state == "cancelled", "refused: localstripe knows no description"
    assert stripe.find(order()) is None
    assert stripe.look("pi_nothing").state == "unknown"
    page = stripe.set_up(SetUp("acme", "Acme", "pay@acme.example", BACK))
    assert (page.state, page.url) == ("unknown", ""), "localstripe has no pages"
    assert [one.name for one in stripe.client.v1.customers.list({"email": "pay@acme.example"}).data] == ["Acme"]


def test_no_process_of_ours_imports_localstripe():
    """It is under the GPL, and ours is not: it is run, and spoken to."""
    assert "localstripe" not in sys.modules
