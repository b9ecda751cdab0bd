"""Stripe's own SDK over HTTP against the sandbox: whatever the network does, its books show one capture at most."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from adapters.bootstrap import Tally
from adapters.sandbox.server import Sandbox
from domain.application.payments import OpenAttempt, collection, issued, receivables
from domain.collection import Attempt
from jobs.collect import Collector
from tests.providers.stripe_world import FAULTS, NOW, WITH_EFFECT, order, refund, sandbox_now, stripe_at
from tests.store.test_collect import invoices


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with sandbox_now() as running:
        yield running


def test_creating_moves_no_money_and_confirming_moves_it_once(sandbox):
    stripe, wanted = stripe_at(sandbox), order()
    created = stripe.create(wanted)
    assert (created.state, created.amount, sandbox.stripe.books.captured.total()) == ("open", 0, 0)
    assert stripe.create(wanted).object == created.object
    paid = stripe.confirm(wanted, created.object)
    assert (paid.state, paid.amount, paid.currency) == ("succeeded", 2380, "EUR")
    assert paid == stripe.look(created.object) == stripe.cancel(created.object)
    sandbox.clock.ahead += 25 * 3600
    assert stripe.confirm(wanted, created.object).state == "succeeded"
    assert sandbox.stripe.books.captured.total() == 2380


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
    ],
)
def test_a_decline_says_why_and_its_intent_can_be_made_dead(sandbox, method, code):
    stripe, wanted = stripe_at(sandbox), order(method)
    declined = stripe.confirm(wanted, stripe.create(wanted).object)
    assert (declined.state, declined.code) == ("declined", code)
    assert stripe.cancel(declined.object).state == "cancelled"
    assert stripe.confirm(wanted, declined.object).state == "cancelled"


def test_an_intent_whose_id_was_lost_is_found_by_our_reference_behind_other_pages(sandbox):
    stripe, wanted = stripe_at(sandbox), order()
    assert stripe.find(wanted) is None
    created = stripe.create(wanted)
    for number in range(120):
        stripe.create(order(name=f"other {number}"))
    found = stripe.find(wanted)
    assert found is not None
    assert found.object == created.object


def test_a_request_that_is_refused_made_nothing_and_ends_the_attempt(sandbox):
    refused = stripe_at(sandbox).create(order(amount=20))
    assert (refused.state, refused.code, refused.object) == ("cancelled", "amount_too_small", "")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_network_lost_is_unknown_and_never_a_guess(sandbox, fault):
    stripe, wanted = stripe_at(sandbox), order()
    object_id = stripe.create(wanted).object
    sandbox.fault = lambda: fault
    assert stripe.confirm(wanted, object_id).state == "unknown"
    if fault != "saved_error":  # only what is written is saved under a key
        assert stripe.look(object_id).state == "unknown"
    assert stripe.create(order(name="2")).state == "unknown"
    sandbox.fault = lambda: ""
    effect = "succeeded" if fault in WITH_EFFECT else "open"
    assert stripe.look(object_id).state == effect


def work(collector: Collector, tally: Tally, invoice: UUID, method: str) -> Attempt:
    live = collection(tally.billing, invoice).live
    return collector.carry_on(live) if live else collector.begin(invoice, "stripe", "cus_1", method)


def test_invoices_are_collected_through_a_bad_network_and_nobody_is_charged_twice(tally, sandbox):
    chance = random.Random(7)
    collector = Collector(tally.billing, {"stripe": stripe_at(sandbox)}, lambda: NOW)
    for invoice in invoices(tally, 25):
        sandbox.fault = lambda: chance.choice(FAULTS) if chance.random() < 0.5 else ""
        method = chance.choice(["pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined"])
        for _ in range(chance.randrange(1, 6)):
            if work(collector, tally, invoice, method).state == "succeeded":
                break
        sandbox.fault = lambda: ""
        found = issued(tally.billing, invoice)
        for _ in range(2):
            if (live := collection(tally.billing, invoice).live) is not None:
                # Keys are gone by now: only reading tells what became of it.
                sandbox.clock.ahead += 25 * 3600
                collector.carry_on(live)
        money = receivables(tally.billing, found.account, "EUR")
        assert collection(tally.billing, invoice).live is None
        assert sandbox.stripe.books.captured[str(invoice)] == found.gross - money.open_amount(invoice, found.gross)
        assert sandbox.stripe.books.captured[str(invoice)] in (0, found.gross)
    assert sandbox.stripe.books.captured.total() > 0


def test_an_object_whose_answer_was_lost_is_found_and_not_made_again_when_its_key_is_gone(tally, sandbox):
    (invoice,) = invoices(tally, 1)
    stripe = stripe_at(sandbox)
    attempt = tally.billing.execute(OpenAttempt(invoice, "stripe", NOW, "cus_1", "pm_card_visa"))
    sandbox.fault = lambda: "lost_after"
    assert stripe.create(attempt.order()).state == "unknown"
    sandbox.fault = lambda: ""
    sandbox.clock.ahead += 25 * 3600
    collector = Collector(tally.billing, {"stripe": stripe}, lambda: NOW)
    assert work(collector, tally, invoice, "pm_card_visa").state == "succeeded"
    assert len(sandbox.stripe.books.intents) == 1


def test_threads_that_confirm_and_refund_the_same_at_once_move_money_once(sandbox):
    stripe, wanted = stripe_at(sandbox), order()
    made = stripe.create(wanted)
    with ThreadPoolExecutor(8) as workers:
        seen = list(workers.map(lambda _: stripe.confirm(wanted, made.object), range(16)))
        (charge,) = {one.payment for one in seen}
        given = set(workers.map(lambda _: stripe.refund(refund(charge, 1000)), range(16)))
    assert {one.state for one in seen} == {"succeeded"}
    assert len(given) == 1
    assert (sandbox.stripe.books.captured.total(), sandbox.stripe.books.returned.total()) == (2380, 1000)
