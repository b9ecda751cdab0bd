"""Customers at Stripe's pages: paying there, approving a payment of a card on file, and leaving a method for later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from adapters.sandbox.server import Sandbox
from domain.application.accounts import AddPaymentMethod, RemovePaymentMethod, account_named
from domain.news import Hint, MethodNews, PaymentNews, RevokedNews
from domain.payment import SetUp
from jobs.collect import Collector
from jobs.news import Reader
from tests.builders import open_account
from tests.providers.stripe_world import (
    BACK,
    DAY,
    FAULTS,
    NOW,
    WITH_EFFECT,
    news_of,
    order,
    paid,
    press,
    sandbox_now,
    stripe_at,
    told,
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with sandbox_now() as running:
        yield running


def test_an_invoice_is_paid_on_a_page_once_and_the_page_is_what_news_names(sandbox):
    stripe, wanted = stripe_at(sandbox), order(method="", customer="", return_url="http://127.0.0.1:9/thanks")
    opened = stripe.create(wanted)
    assert (opened.state, opened.object[:3], opened.amount) == ("action_required", "cs_", 0)
    assert stripe.create(wanted) == opened == stripe.find(wanted) == stripe.authenticate(wanted, opened.object)
    assert "pm_card_visa" in requests.get(opened.url, timeout=5).text
    declined = press(opened.url, "decline")
    assert "declined" in declined.text
    assert stripe.look(opened.object).state == "action_required", "another card may still pay"
    assert press(opened.url, "pay").headers["Location"] == "http://127.0.0.1:9/thanks"
    seen = stripe.look(opened.object)
    assert (seen.state, seen.amount, seen.object) == ("succeeded", 2380, opened.object)
    assert seen.payment in sandbox.stripe.books.objects["charge"]
    assert seen == stripe.cancel(opened.object) == stripe.find(wanted) == stripe.confirm(wanted, opened.object)
    assert "complete" in press(opened.url, "pay").text
    assert sandbox.stripe.books.captured == {str(wanted.invoice): 2380}
    ours = PaymentNews(opened.object, wanted.attempt, wanted.invoice)
    for kind in ("checkout.session.completed", "payment_intent.succeeded", "charge.succeeded"):
        assert news_of(stripe, sandbox, kind) == (ours,)


def test_a_page_is_closed_by_us_or_by_time_and_then_takes_nothing(sandbox):
    stripe = stripe_at(sandbox)
    ours, by_time = (stripe.create(order(method="", name=name)) for name in ("1", "2"))
    press(ours.url, "decline")
    assert stripe.cancel(ours.object).state == "cancelled"
    sandbox.clock.advance(DAY + 1)
    sandbox.tick()
    assert stripe.look(by_time.object).state == "cancelled"
    assert news_of(stripe, sandbox, "checkout.session.expired")[0].object == by_time.object
    for page in (ours, by_time):
        assert "expired" in press(page.url, "pay").text
        assert stripe.cancel(page.object).state == "cancelled"
    assert sandbox.stripe.books.captured.total() == 0


@pytest.mark.parametrize(("method", "end"), [("pm_success_de", "succeeded"), ("pm_failed_de", "cancelled")])
def test_a_debit_on_a_page_is_pending_for_days(sandbox, method, end):
    stripe = stripe_at(sandbox)
    opened = stripe.create(order(method=""))
    press(opened.url, "pay", method)
    assert stripe.look(opened.object).state == stripe.cancel(opened.object).state == "pending"
    sandbox.clock.advance(5 * DAY)
    seen = stripe.look(opened.object)
    assert (seen.state, seen.code) == (end, "" if end == "succeeded" else "insufficient_funds")
    assert sandbox.stripe.books.captured.total() == (2380 if end == "succeeded" else 0)


@pytest.mark.parametrize("pressed", ["authenticate", "decline"])
def test_a_card_that_wants_its_customer_is_approved_on_the_same_intent(sandbox, pressed):
    stripe, wanted = stripe_at(sandbox), order("pm_card_authenticationRequired")
    asked = paid(stripe, "pm_card_authenticationRequired")
    assert (asked.state, asked.code, asked.url) == ("action_required", "authentication_required", "")
    assert stripe.look(asked.object) == asked
    there = stripe.authenticate(wanted, asked.object)
    assert (there.state, there.object) == ("action_required", asked.object)
    assert there.url.startswith(sandbox.url)
    assert stripe.authenticate(wanted, asked.object) == there == stripe.look(asked.object)
    where = press(there.url, pressed).headers["Location"]
    assert where.startswith(f"{BACK}?payment_intent={asked.object}")
    seen = stripe.look(asked.object)
    if pressed == "decline":
        assert (seen.state, seen.code) == ("declined", "payment_intent_authentication_failure")
        assert stripe.cancel(asked.object).state == "cancelled"
    else:
        assert (seen.state, seen.amount) == ("succeeded", 2380)
    assert len(sandbox.stripe.books.intents) == 1
    assert sandbox.stripe.books.captured.total() == seen.amount


@pytest.mark.parametrize(("method", "label"), [("pm_card_visa", "visa …4242"), ("pm_success_de", "sepa …3000")])
def test_a_method_that_was_left_is_charged_later_until_it_is_revoked(sandbox, method, label):
    stripe = stripe_at(sandbox)
    page = stripe.set_up(SetUp("acme", "Acme", "pay@acme.example", BACK))
    assert (page.state, page.object[:3]) == ("open", "cs_")
    assert press(page.url, "leave", method).headers["Location"] == BACK
    (left,) = news_of(stripe, sandbox, "checkout.session.completed")
    assert isinstance(left, MethodNews)
    assert (left.object, left.account, left.label) == (page.object, "acme", label)
    (same,) = news_of(stripe, sandbox, "setup_intent.succeeded")
    assert (same.account, same.customer, same.method) == (left.account, left.customer, left.method)
    wanted = order(left.method, customer=left.customer)
    assert stripe.confirm(wanted, stripe.create(wanted).object).state in ("succeeded", "pending")

    stripe.client.v1.payment_methods.detach(left.method)
    (gone,) = news_of(stripe, sandbox, "payment_method.detached")
    assert gone == RevokedNews(left.customer, left.method, "the method was detached at Stripe")
    refused = stripe.create(order(left.method, customer=left.customer, name="2"))
    assert (refused.state, refused.code) == ("cancelled", "payment_method_unexpected_state")
    stripe.client.v1.customers.delete(left.customer)
    assert news_of(stripe, sandbox, "customer.deleted") == (
        RevokedNews(left.customer, "", "the customer was deleted at Stripe"),
    )


def test_a_card_that_was_left_on_a_page_needs_no_customer_later_unless_its_bank_always_wants_him(sandbox):
    stripe = stripe_at(sandbox)
    for method, state in (
        ("pm_card_authenticationRequiredOnSetup", "succeeded"), ("pm_card_authenticationRequired", "action_required")
    ):  # fmt: skip
        press(stripe.set_up(SetUp("acme", "Acme", "", BACK, "cus_1")).url, "leave", method)
        (left,) = news_of(stripe, sandbox, "setup_intent.succeeded")
        wanted = order(left.method, name=method)
        assert stripe.confirm(wanted, stripe.create(wanted).object).state == state


def test_a_mandate_that_is_withdrawn_revokes_its_method_and_a_card_is_not_left_without_a_page(sandbox):
    stripe = stripe_at(sandbox)
    page = stripe.set_up(SetUp("acme", "Acme", "", BACK, "cus_7"))
    press(page.url, "leave", "pm_success_de")
    (left,) = news_of(stripe, sandbox, "setup_intent.succeeded")
    (mandate,) = sandbox.stripe.books.objects["mandate"]
    sandbox.stripe.pages.revoke(mandate)
    assert news_of(stripe, sandbox, "mandate.updated") == (
        RevokedNews("cus_7", left.method, f"mandate {mandate} is inactive"),
    )
    unused = stripe.set_up(SetUp("acme", "Acme", "", BACK, "cus_7"))
    assert stripe.look(unused.object).state == "action_required"
    assert stripe.set_up(SetUp("acme", "Acme", "", BACK, "cus_nobody")).state == "over"


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_network_lost_of_a_page_is_unknown_and_never_a_guess(sandbox, fault):
    stripe, wanted, other = stripe_at(sandbox), order(method="", customer=""), order(method="", name="2")
    opened = stripe.create(wanted)
    asked = paid(stripe, "pm_card_authenticationRequired", name="3")
    sandbox.fault = lambda: fault
    assert stripe.cancel(opened.object).state == "unknown"
    assert stripe.create(other).state == "unknown"
    assert stripe.set_up(SetUp("acme", "Acme", "", BACK, "cus_1")).state == "unknown"
    if fault != "saved_error":
        assert stripe.look(opened.object).state == "unknown"
        assert stripe.find(wanted).state == "unknown"
        assert stripe.authenticate(order("pm_card_authenticationRequired", name="3"), asked.object).state == "unknown"
    sandbox.fault = lambda: ""
    assert stripe.look(opened.object).state == ("cancelled" if fault in WITH_EFFECT else "action_required")
    assert (stripe.find(other) is not None) == (fault in WITH_EFFECT)


def test_the_answer_to_an_approval_can_be_lost_and_is_found_again(sandbox):
    stripe, wanted = stripe_at(sandbox), order("pm_card_authenticationRequired")
    asked = paid(stripe, "pm_card_authenticationRequired")
    calls = iter(["", "lost_after"])
    sandbox.fault = lambda: next(calls, "")
    assert stripe.authenticate(wanted, asked.object).state == "unknown"
    assert stripe.authenticate(wanted, asked.object).url.startswith(sandbox.url)


def test_events_about_nothing_of_ours_are_no_news(sandbox):
    stripe = stripe_at(sandbox)
    stripe.client.v1.payment_intents.create({"amount": 500, "currency": "eur"})
    (foreign,) = stripe.news(told(sandbox)[-1])
    assert (foreign.attempt, foreign.invoice) == (None, None)


def test_a_set_up_that_is_told_late_brings_back_no_method_that_was_taken_away(tally, sandbox):
    """Whatever order its news comes in, and again: detached, the customer deleted, or the mandate withdrawn."""
    open_account(tally, "acme")
    stripe = stripe_at(sandbox)
    reader = Reader(Collector(tally.billing, {"stripe": stripe}, lambda: NOW), tally.pool, "stripe")

    def hear(*hints: Hint) -> None:
        for hint in hints:
            for news in stripe.news(hint):
                tally.follower().catch_up()
                assert reader.take_in(news)[0] in ("done", "foreign")

    def left(method: str) -> tuple[MethodNews, Hint]:
        press(stripe.set_up(SetUp("acme", "Acme", "", BACK)).url, "leave", method)
        hint = next(one for one in reversed(told(sandbox)) if one.kind == "setup_intent.succeeded")
        (news,) = stripe.news(hint)
        assert isinstance(news, MethodNews)
        return news, hint

    def charged() -> list[str]:
        return list(account_named(tally.billing, "acme").methods)

    kept, _ = left("pm_card_visa")
    for taken_away in ("detached", "withdrawn", "deleted"):
        news, late = left("pm_success_de" if taken_away == "withdrawn" else "pm_card_visa")
        before, older_news = len(told(sandbox)), stripe.news(late)
        if taken_away == "detached":
            stripe.client.v1.payment_methods.detach(news.method)
        elif taken_away == "deleted":
            stripe.client.v1.customers.delete(news.customer)
        else:
            sandbox.stripe.pages.revoke(next(reversed(sandbox.stripe.books.objects["mandate"])))
        gone = told(sandbox, before)
        hear(*gone, late, late)
        assert charged() == [], f"{taken_away}: told before the set-up"
        assert [reader.take_in(one)[0] for one in older_news] == ["done"]
        hear(*gone)
        assert [reader.take_in(one)[0] for one in older_news] == ["done"], "read before, taken in after"
        assert charged() == [], taken_away
    tally.billing.execute(AddPaymentMethod("acme", "stripe", kept.customer, kept.method))
    tally.billing.execute(RemovePaymentMethod("acme", kept.method))
    assert [reader.take_in(kept)[0]] == ["done"]
    assert charged() == []
    tally.billing.execute(AddPaymentMethod("acme", "stripe", kept.customer, kept.method))
    assert charged() == [kept.method], "a person may add it again"
