"""Money that goes back at Stripe, and what Stripe's own records say of it: refunds, disputes, debits, movements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
import stripe as sdk

from adapters.providers.stripe import StripePayments
from adapters.sandbox.server import Sandbox
from domain.errors import Invalid, Unavailable
from domain.news import DisputeNews, Hint, RefundNews
from tests.providers.stripe_world import (
    DAY,
    FAULTS,
    NOW,
    WITH_EFFECT,
    event,
    news_of,
    order,
    paid,
    refund,
    sandbox_now,
    stripe_at,
    told,
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with sandbox_now() as running:
        yield running


def test_refunds_are_given_once_in_parts_and_never_more_than_was_paid(sandbox):
    stripe = stripe_at(sandbox)
    charge = paid(stripe).payment
    first = refund(charge, 1000)
    assert stripe.find_refund(first) is None
    given = stripe.refund(first)
    assert (given.state, given.amount, given.currency) == ("succeeded", 1000, "EUR")
    sandbox.clock.advance(25 * 3600)
    assert stripe.find_refund(first) == given
    too_much = stripe.refund(refund(charge, 1381, "2"))
    assert (too_much.state, too_much.code) == ("failed", "refused")
    assert stripe.refund(refund(charge, 30, "3")).state == "succeeded", "a part may be below the minimum of payments"
    assert stripe.refund(refund(charge, 1350, "4")).state == "succeeded"
    assert stripe.refund(refund(charge, 1, "5")).code == "charge_already_refunded"
    assert stripe.refund(refund("ch_nothing", 1, "6")).state == "failed"
    assert stripe.find_refund(refund("ch_nothing", 1, "6")) is None
    assert sandbox.stripe.books.returned.total() == 2380
    news = news_of(stripe, sandbox, "charge.refunded")
    assert {(one.refund, one.amount, one.payment) for one in news} == {
        (refund(charge, 1, name).refund, amount, charge) for name, amount in (("1", 1000), ("3", 30), ("4", 1350))
    }


def test_a_refund_is_found_behind_other_pages_of_them(sandbox):
    stripe = stripe_at(sandbox)
    charge = paid(stripe, amount=100_000).payment
    wanted = refund(charge, 100)
    stripe.refund(wanted)
    for number in range(105):
        stripe.refund(refund(charge, 10, f"other {number}"))
    found = stripe.find_refund(wanted)
    assert found is not None
    assert found.amount == 100


@pytest.mark.parametrize(
    ("method", "states"),
    [("pm_card_pendingRefund", ["pending", "succeeded", "succeeded"]),
     ("pm_card_refundFail", ["succeeded", "succeeded", "failed"])],
)  # fmt: skip
def test_a_refund_goes_on_in_time_and_can_fail_weeks_after_it_succeeded(sandbox, method, states):
    stripe = stripe_at(sandbox)
    wanted = refund(paid(stripe, method).payment, 2380)
    seen = [stripe.refund(wanted).state]
    for _ in range(2):
        sandbox.clock.advance(11 * DAY)
        seen.append(stripe.find_refund(wanted).state)
    assert seen == states
    (news,) = news_of(stripe, sandbox, "charge.refund.updated")
    assert isinstance(news, RefundNews)
    assert (news.state, news.refund) == (states[-1], wanted.refund)
    assert news.code == ("lost_or_stolen_card" if states[-1] == "failed" else "")
    assert sandbox.stripe.books.returned[str(wanted.refund)] == (0 if states[-1] == "failed" else 2380)


def test_a_refund_by_hand_is_news_without_our_reference(sandbox):
    stripe = stripe_at(sandbox)
    charge = paid(stripe).payment
    by_hand = stripe.client.v1.refunds.create({"charge": charge, "amount": 500})
    assert news_of(stripe, sandbox, "refund.created") == (
        RefundNews(by_hand.id, None, charge, "succeeded", 500, "EUR"),
    )


@pytest.mark.parametrize("how", ["winning_evidence", "losing_evidence"])
def test_a_dispute_takes_the_money_and_gives_it_back_when_it_is_won(sandbox, how):
    stripe = stripe_at(sandbox)
    charge = paid(stripe, "pm_card_createDispute").payment
    (opened,) = news_of(stripe, sandbox, "charge.dispute.created")
    assert isinstance(opened, DisputeNews)
    assert (opened.payment, opened.state, opened.amount, opened.reason) == (charge, "open", 2380, "fraudulent")
    assert (opened.withdrawn, opened.given_back) == (2380, 0), "the fee of a dispute is not part of what was disputed"
    assert stripe.refund(refund(charge, 100)).code == "charge_disputed"
    stripe.client.v1.disputes.update(opened.object, {"evidence": {"uncategorized_text": how}})
    ended = {news_of(stripe, sandbox, kind) for kind in ("charge.dispute.created", "charge.dispute.closed")}
    won = how == "winning_evidence"
    (((end,)),) = ended
    assert (end.state, end.withdrawn, end.given_back) == ("won" if won else "lost", 2380, 2380 if won else 0)


def test_an_inquiry_takes_nothing_and_a_returned_debit_is_lost_at_once(sandbox):
    stripe = stripe_at(sandbox)
    paid(stripe, "pm_card_createDisputeInquiry")
    (inquiry,) = news_of(stripe, sandbox, "charge.dispute.created")
    assert (inquiry.state, inquiry.withdrawn) == ("open", 0)
    debit = paid(stripe, "pm_disputed_de", name="2")
    assert debit.state == "pending"
    sandbox.clock.advance(5 * DAY)
    assert stripe.look(debit.object).state == "succeeded"
    (returned,) = news_of(stripe, sandbox, "charge.dispute.closed")
    assert (returned.state, returned.withdrawn, returned.payment) == ("lost", 2380, stripe.look(debit.object).payment)


@pytest.mark.parametrize(
    ("method", "days", "state", "code"),
    [("pm_success_de", 5, "succeeded", ""), ("pm_failed_de", 5, "declined", "insufficient_funds"),
     ("pm_failedDelayed_de", 14, "declined", "insufficient_funds")],
)  # fmt: skip
def test_a_debit_is_pending_until_its_bank_has_spoken(sandbox, method, days, state, code):
    stripe = stripe_at(sandbox)
    debit = paid(stripe, method)
    sandbox.clock.advance((days - 1) * DAY)
    assert debit.state == stripe.look(debit.object).state == stripe.cancel(debit.object).state == "pending"
    sandbox.clock.advance(DAY)
    seen = stripe.look(debit.object)
    assert (seen.state, seen.code, seen.payment[:3]) == (state, code, "py_" if state == "succeeded" else "")
    assert stripe.cancel(debit.object).state == ("cancelled" if state == "declined" else "succeeded")


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [(49, "EUR", "amount_too_small"), (14, "HUF", "amount_too_small"), (1001, "KWD", "amount_too_fine")],
)
def test_an_amount_that_stripe_does_not_take_is_an_end_before_anything_is_sent(sandbox, amount, currency, code):
    stripe = stripe_at(sandbox)
    sandbox.fault = lambda: pytest.fail("something was sent")
    for method in ("pm_card_visa", ""):
        refused = stripe.create(order(method, amount, currency=currency))
        assert (refused.state, refused.code, refused.object) == ("cancelled", code, "")


@pytest.mark.parametrize(
    ("amount", "currency", "counted"),
    [(500, "JPY", 500), (300, "ISK", 30000), (1230, "KWD", 1230), (500_000, "MGA", 5000)],
)
def test_odd_currencies_come_back_as_they_went(sandbox, amount, currency, counted):
    stripe, wanted = stripe_at(sandbox), order(amount=amount, currency=currency)
    seen = stripe.confirm(wanted, stripe.create(wanted).object)
    assert (seen.state, seen.amount, seen.currency) == ("succeeded", amount, currency)
    assert sandbox.stripe.books.captured.total() == counted
    given = stripe.refund(refund(seen.payment, amount, currency=currency))
    assert (given.state, given.amount) == ("succeeded", amount)
    (line, _) = stripe.movements(NOW - timedelta(1), NOW + timedelta(1))
    assert (line.amount, line.currency) == (amount, currency)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_network_lost_of_a_refund_is_unknown_and_reading_news_says_unavailable(sandbox, fault):
    stripe = stripe_at(sandbox)
    charge = paid(stripe).payment
    hint = [one for one in told(sandbox) if one.kind == "charge.succeeded"][-1]
    sandbox.fault = lambda: fault
    assert stripe.refund(refund(charge, 100)).state == "unknown"
    if fault != "saved_error":
        assert stripe.find_refund(refund(charge, 100)).state == "unknown"
        for reading in (
            lambda: stripe.news(hint), lambda: list(stripe.hints(NOW)), lambda: list(stripe.movements(NOW, NOW))
        ):  # fmt: skip
            with pytest.raises(Unavailable):
                reading()
    sandbox.fault = lambda: ""
    assert sandbox.stripe.books.returned.total() == (100 if fault in WITH_EFFECT else 0)
    assert (stripe.find_refund(refund(charge, 100)) is not None) == (fault in WITH_EFFECT)


def test_the_list_of_events_says_what_webhooks_would_have_the_oldest_first_and_30_days_back(sandbox):
    stripe = StripePayments("sk_test_1", sandbox.url, timeout=5)
    sandbox.clock.time = lambda: datetime.now(UTC).timestamp() - 40 * DAY
    paid(stripe, name="old")
    sandbox.clock.advance(20 * DAY)
    for number in range(40):
        paid(stripe, name=str(number))
    sandbox.clock.advance(20 * DAY)
    paid(stripe, name="new")
    found = list(stripe.hints(datetime(2000, 1, 1, tzinfo=UTC)))
    kept = datetime.now(UTC) - timedelta(29)
    assert [one.event for one in found] == [one.event for one in told(sandbox) if one.at > kept]
    assert sum(one.kind == "payment_intent.succeeded" for one in found) == 41
    assert [one.kind for one in found[:3]] == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    assert {stripe.news(one) for one in found[:3]} == {stripe.news(found[0])}
    latest = [one.kind for one in stripe.hints(datetime.now(UTC) - timedelta(1))]
    assert latest[:3] == [one.kind for one in found[:3]]
    assert set(latest[3:]) <= {"charge.updated"}


def test_news_is_the_same_in_whatever_order_its_hints_come(sandbox):
    stripe = stripe_at(sandbox)
    charge = paid(stripe, "pm_card_refundFail").payment
    stripe.refund(refund(charge, 1000))
    sandbox.clock.advance(22 * DAY)
    sandbox.tick()
    hints = told(sandbox)
    news = {one.event: stripe.news(one) for one in hints}
    assert all(stripe.news(one) == news[one.event] for order_ in list(permutations(hints[-4:]))[:6] for one in order_)
    assert {one.state for found in news.values() for one in found if isinstance(one, RefundNews)} == {"failed"}


def test_what_is_not_there_is_no_news_and_what_is_no_event_is_refused(sandbox):
    stripe = stripe_at(sandbox)
    for kind in ("payment_intent", "charge", "refund", "dispute", "checkout.session", "setup_intent", "mandate",
                 "payment_method", "customer"):  # fmt: skip
        assert stripe.news(event(f"{kind}.updated", kind, "pi_404")) == ()
    assert stripe.news(event("price.created", "price", "price_1")) == ()
    for body in (b"", b"{}", b"[]", b'{"object": "event", "data": {"object": 1}}', b"\xff"):
        with pytest.raises(Invalid):
            stripe.news(Hint("stripe", "evt_1", "charge.updated", NOW, body))
    for name in ("", "../customers/cus_1", "pi_1?expand[]=x", "pi_1/confirm"):
        with pytest.raises(Invalid):
            stripe.news(event("payment_intent.created", "payment_intent", name))


def test_money_of_somebody_else_on_the_same_account_is_told_as_foreign(sandbox):
    stripe = stripe_at(sandbox)
    other = sdk.StripeClient("sk_test_1", base_addresses={"api": sandbox.url}, max_network_retries=0).v1
    made = other.payment_intents.create(
        {"amount": 500, "currency": "eur", "payment_method": "pm_card_createDispute", "confirm": True,
         "return_url": "http://127.0.0.1:9/"}
    )  # fmt: skip
    for kind in ("payment_intent.succeeded", "charge.succeeded", "charge.dispute.created"):
        (foreign,) = news_of(stripe, sandbox, kind)
        assert (foreign.object, foreign.attempt) == (made.id, None)


def test_the_balance_tells_every_movement_with_its_fee_its_payment_and_its_payout(sandbox):
    stripe = stripe_at(sandbox)
    one, other = paid(stripe).payment, paid(stripe, "pm_card_createDispute", 10_000, "2").payment
    (dispute,) = news_of(stripe, sandbox, "charge.dispute.created")
    failing = paid(stripe, "pm_card_refundFail", 5000, "3").payment
    stripe.refund(refund(failing, 5000))
    stripe.client.v1.disputes.update(dispute.object, {"evidence": {"uncategorized_text": "winning_evidence"}})
    sandbox.clock.advance(4 * DAY)
    found = list(stripe.movements(NOW - timedelta(1), NOW + timedelta(30)))
    assert [(line.kind, line.amount, line.fee, line.payment) for line in found] == [
        ("payment", 2380, 61, one),
        ("payment", 10_000, 175, other),
        ("dispute", -10_000, 1500, other),
        ("payment", 5000, 100, failing),
        ("refund", -5000, 0, failing),
        ("dispute_won", 10_000, 0, other),
        ("payout", -(12_380 - 61 - 175 - 1500 - 100), 0, ""),
    ]
    assert len({line.payout for line in found}) == 1
    assert found[0].payout.startswith("po_")
    sandbox.clock.advance(20 * DAY)
    back, *_ = stripe.movements(NOW + timedelta(10), NOW + timedelta(30))
    assert (back.kind, back.amount, back.payment) == ("refund_failed", 5000, failing)
    assert back.payout not in ("", found[0].payout)
