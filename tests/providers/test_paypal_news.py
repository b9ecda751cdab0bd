"""What PayPal tells: refunds, reversals, disputes, methods and its books, read from objects and never from a body."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
import requests

from adapters.bootstrap import Tally
from adapters.sandbox.server import Sandbox
from domain.application.accounts import AddPaymentMethod, account_named
from domain.application.payments import collection, issued, receivables
from domain.application.returns import OpenRefund
from domain.errors import Invalid, Unavailable
from domain.news import DisputeNews, Hint, MethodNews, PaymentNews, RefundNews, RevokedNews
from domain.payment import Refund, SetUp
from jobs.collect import Collector
from jobs.collect_open import collect_open
from jobs.news import Reader
from jobs.refund import Refunder
from tests.providers.stripe_world import FAULTS, order
from tests.providers.test_paypal import BACK, DAY, HOUR, NOW, faults_at, in_person, press
from tests.store.test_collect import invoices

START = datetime(1970, 1, 1, tzinfo=UTC)


def paid(paypal: Any, payer: str = "payer-good", name: str = "1") -> Any:
    wanted = order(payer, name=name)
    return paypal.confirm(wanted, paypal.create(wanted).object)


def refund(payment: str, amount: int = 1000, name: str = "r") -> Refund:
    return Refund(uuid5(UUID(int=5), name), payment, amount, "EUR", "INV-000001")


def latest(sandbox: Sandbox) -> Hint:
    """The last event as a hint."""
    _, event = sandbox.paypal.events.happened[-1]
    at = datetime.fromisoformat(event["create_time"])
    return Hint("paypal", event["id"], event["event_type"], at, json.dumps(event).encode())


def hint(kind: str, **resource: object) -> Hint:
    return Hint("paypal", "WH1", kind, NOW, json.dumps({"resource": resource}).encode())


def test_a_refund_is_made_once_whatever_is_repeated_and_found_by_our_reference(sandbox, paypal):
    wanted = refund(paid(paypal).payment)
    assert paypal.find_refund(wanted) is None
    made = paypal.refund(wanted)
    assert (made.state, made.amount, made.currency) == ("succeeded", 1000, "EUR")
    assert made == paypal.refund(wanted) == paypal.find_refund(wanted)
    sandbox.clock.advance(46 * DAY)  # the key is gone: our reference is a duplicate
    assert paypal.refund(wanted) == made
    assert paypal.find_refund(refund(wanted.payment, name="other")) is None
    too_much = paypal.refund(refund(wanted.payment, 1381, "too much"))
    assert (too_much.state, too_much.code) == ("failed", "REFUND_AMOUNT_EXCEEDED")
    assert paypal.refund(refund(wanted.payment, 1380, "rest")).state == "succeeded"
    assert [line.amount for line in sandbox.paypal.books.balance] == [2380, -1000, -1380]


@pytest.mark.parametrize(("payer", "end"), [("payer-slow-refund", "succeeded"), ("payer-no-refund", "failed")])
def test_a_refund_may_take_days_and_fail_in_the_end(sandbox, paypal, payer, end):
    wanted = refund(paid(paypal, payer).payment)
    assert paypal.refund(wanted).state == "pending"
    sandbox.clock.advance(3 * DAY)
    assert paypal.find_refund(wanted).state == end
    (news,) = paypal.news(latest(sandbox))
    assert (news.refund, news.payment, news.state, news.amount) == (wanted.refund, wanted.payment, end, 1000)


def test_money_that_is_still_pending_is_not_refunded(paypal):
    wanted = order("payer-echeck")
    made = paypal.create(wanted).object
    assert paypal.confirm(wanted, made).state == "pending"
    capture = paypal._to.ask("GET", f"/v2/checkout/orders/{made}").body["purchase_units"][0]["payments"]["captures"][0]
    assert paypal.refund(refund(capture["id"])).code == "PENDING_CAPTURE"
    assert paypal.refund(refund("C404")).code == "INVALID_RESOURCE_ID"
    assert paypal.find_refund(refund("C404")) is None


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refund_whose_answer_was_lost_is_unknown_and_then_found_or_certainly_not_there(sandbox, paypal, fault):
    for number in range(2):
        wanted = refund(paid(paypal, name=f"{number}").payment, name=f"{number}")
        faults_at(sandbox, 0, fault)
        assert paypal.refund(wanted).state == "unknown"
        faults_at(sandbox, number, fault)
        lost = paypal.find_refund(wanted)
        sandbox.fault = lambda: ""
        assert fault == "saved_error" or (lost is not None and lost.state == "unknown")
        found = paypal.find_refund(wanted)
        assert (found is not None) == (fault in ("lost_after", "saved_error", "truncated"))


def test_news_of_payments_name_our_attempt_and_nothing_is_read_from_the_body(sandbox, paypal):
    wanted = order("payer-echeck")
    made = paypal.create(wanted).object
    paypal.confirm(wanted, made)
    ours = PaymentNews(made, wanted.attempt, wanted.invoice)
    told = latest(sandbox)
    assert (told.kind, paypal.news(told)) == ("PAYMENT.CAPTURE.PENDING", (ours,))
    body = json.loads(told.body)
    body["resource"] |= {"custom_id": "another's", "status": "COMPLETED", "amount": {"value": "9999.00"}}
    forged = msgspec.structs.replace(told, kind="PAYMENT.CAPTURE.COMPLETED", body=json.dumps(body).encode())
    assert paypal.news(forged) == (ours,)
    press(paypal.create(in_person("2")).url, "payer-good")
    approved = latest(sandbox)
    assert approved.kind == "CHECKOUT.ORDER.APPROVED"
    assert paypal.news(approved)[0].attempt == in_person("2").attempt


@pytest.mark.parametrize("custom", ["", "x" * 10_000, "a,b", f"{UUID(int=1)}", f"{UUID(int=1)},{UUID(int=2)},x"])
def test_a_payment_that_does_not_bear_our_references_is_foreign(sandbox, paypal, custom):
    wanted = order("payer-good")
    made = paypal.create(wanted).object
    sandbox.paypal.books.orders[made]["order"]["purchase_units"][0]["custom_id"] = custom
    sandbox.paypal.observe = lambda asked, answer: None  # PayPal itself never has so long a one
    paypal.confirm(wanted, made)
    assert paypal.news(latest(sandbox)) == (PaymentNews(made, None, None),)


@pytest.mark.parametrize(
    "told",
    [
        hint("PAYMENT.CAPTURE.COMPLETED"),
        hint("PAYMENT.CAPTURE.COMPLETED", id="../../v1/oauth2/token"),
        hint("CHECKOUT.ORDER.APPROVED", id={"a": 1}),
        hint("CUSTOMER.DISPUTE.CREATED", dispute_id="PP-D-1?x=1"),
        hint("VAULT.PAYMENT-TOKEN.DELETED", id=""),
        msgspec.structs.replace(hint("PAYMENT.CAPTURE.COMPLETED"), body=b"[" * 100_000),
        msgspec.structs.replace(hint("PAYMENT.CAPTURE.COMPLETED"), body=b"\xff"),
        msgspec.structs.replace(hint("PAYMENT.CAPTURE.COMPLETED"), body=b'{"resource": []}'),
    ],
)
def test_a_hint_that_names_nothing_is_refused_before_anything_is_asked(sandbox, paypal, told):
    asked = len(sandbox.paypal.access)
    with pytest.raises(Invalid):
        paypal.news(told)
    assert len(sandbox.paypal.access) == asked


def test_what_is_not_there_or_means_no_money_is_no_news_and_no_answer_is_try_again(sandbox, paypal):
    for kind, name in (("PAYMENT.CAPTURE.COMPLETED", "C404"), ("CHECKOUT.ORDER.APPROVED", "O404")):
        assert paypal.news(hint(kind, id=name)) == ()
    assert paypal.news(hint("BILLING.PLAN.CREATED", id="P1")) == ()
    sandbox.fault = lambda: "server_error"
    with pytest.raises(Unavailable):
        paypal.news(hint("PAYMENT.CAPTURE.COMPLETED", id="C404"))
    with pytest.raises(Unavailable):
        list(paypal.hints(START))
    with pytest.raises(Unavailable):
        list(paypal.movements(START, NOW))


def test_money_that_paypal_takes_back_is_the_disputes_when_there_is_one_and_else_like_a_refund_by_hand(sandbox, paypal):
    cases, first, second = sandbox.paypal.cases, paid(paypal, name="1").payment, paid(paypal, name="2").payment
    reversal = sandbox.paypal.books.reverse(first, 500)
    by_hand = RefundNews(reversal, None, first, "succeeded", 500, "EUR")
    assert paypal.news(latest(sandbox)) == [by_hand]
    assert paypal.news(hint("PAYMENT.CAPTURE.REVERSED", id=first)) == [by_hand]  # some events name the capture
    ours = paypal.refund(refund(first, 100))
    both = paypal.news(hint("PAYMENT.CAPTURE.REFUNDED", id=first))
    assert [(one.object, one.refund) for one in both] == [(reversal, None), (ours.object, refund(first).refund)]
    case = cases.open(second, 2380)
    opened = DisputeNews(case, second, "open", 2380, 0, 0, "EUR", "UNAUTHORISED")
    assert paypal.news(latest(sandbox)) == [opened]
    cases.take(case, 2380, listed=False)
    (reversed_,) = [one for one in sandbox.paypal.events.happened if one[1]["event_type"].endswith("REVERSED")][1:]
    told = hint("PAYMENT.CAPTURE.REVERSED", **reversed_[1]["resource"])
    assert paypal.news(told) == [msgspec.structs.replace(opened, withdrawn=2380)]


@pytest.mark.parametrize(("won", "back"), [(True, 2380), (False, 0)])
def test_a_dispute_takes_money_and_gives_it_back_when_it_is_won(sandbox, paypal, won, back):
    cases, payment = sandbox.paypal.cases, paid(paypal).payment
    case = cases.open(payment, 2380)
    cases.take(case, 2380)
    assert [(one.state, one.withdrawn) for one in paypal.news(latest(sandbox))] == [("open", 2380)]
    cases.end(case, won, back)
    state = "won" if won else "lost"
    assert paypal.news(latest(sandbox)) == [DisputeNews(case, payment, state, 2380, 2380, back, "EUR", "UNAUTHORISED")]


def test_a_customer_leaves_a_method_is_charged_varying_amounts_by_it_and_takes_it_back(sandbox, paypal):
    wanted = SetUp("acme", "Acme", "a@example.com", BACK)
    opened = paypal.set_up(wanted)
    assert (opened.state, "agreements/approve" in opened.url) == ("open", True)
    assert requests.post(opened.url, data={"payer": "payer-good"}, timeout=5, allow_redirects=False).status_code == 303
    ready = paypal.set_up(wanted)
    assert ready.state == "ready"
    (method,) = paypal.news(latest(sandbox))
    assert method == MethodNews(ready.object, "acme", method.customer, ready.object, "PayPal payer-good@example.com")
    assert paypal.news(hint("VAULT.SETUP-TOKEN.APPROVED", id=opened.url.rpartition("=")[2])) == (method,)
    for amount in (2380, 99, 123456):
        one = order(method.method, amount, str(amount))
        assert paypal.confirm(one, paypal.create(one).object).amount == amount
    page = f"{sandbox.url}/paypal/myaccount/autopay?vault_id={method.method}"
    requests.post(page, timeout=5)
    (gone,) = paypal.news(latest(sandbox))
    assert (gone.customer, gone.method) == (method.customer, method.method)
    last = order(method.method, name="last")
    assert paypal.confirm(last, paypal.create(last).object).code == "TOKEN_ID_NOT_FOUND"


def test_a_forged_revocation_takes_nothing_away(sandbox, paypal):
    assert paypal.news(hint("VAULT.PAYMENT-TOKEN.DELETED", id="payer-good", customer={"id": "customer-1"})) == ()
    gone = paypal.news(hint("VAULT.PAYMENT-TOKEN.DELETED", id="never-was", customer={"id": "customer-1"}))
    assert gone == (RevokedNews("customer-1", "never-was", "taken back at PayPal"),)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_set_up_whose_answer_was_lost_is_opened_once_more_and_kept_once(sandbox, paypal, fault):
    wanted = SetUp("acme", "Acme", "", BACK)
    for number in range(2):
        faults_at(sandbox, number, fault)
        assert paypal.set_up(wanted).state == "unknown" or fault == "saved_error"
    sandbox.fault = lambda: ""
    sandbox.clock.advance(3 * HOUR)
    assert paypal.set_up(wanted).state == "open"
    assert paypal.set_up(msgspec.structs.replace(wanted, account="a b")).state == "over"


def test_what_webhooks_missed_is_listed_from_the_oldest_on_over_many_pages(sandbox, paypal):
    paid(paypal)
    for number in range(238):
        sandbox.clock.advance(30)
        sandbox.paypal.events.tell("CHECKOUT.ORDER.APPROVED", "checkout-order", {"id": f"O{number}"})
    told = list(paypal.hints(START))
    assert len(told) == 239
    assert [one.at for one in told] == sorted(one.at for one in told)
    assert {one.event for one in told} == {event["id"] for _, event in sandbox.paypal.events.happened}
    assert len(list(paypal.hints(datetime.fromtimestamp(sandbox.clock.now - 600, UTC)))) == 21
    sandbox.clock.advance(31 * DAY)
    assert list(paypal.hints(START)) == []


def test_paypals_books_say_what_moved_and_what_it_kept(sandbox, paypal):
    first, pending = paid(paypal).payment, paid(paypal, "payer-echeck", "2").object
    sandbox.clock.advance(40 * DAY)
    paypal.refund(refund(first))
    case = sandbox.paypal.cases.open(first, 500)
    sandbox.paypal.cases.take(case, 500)
    sandbox.paypal.cases.end(case, won=True, back=500)
    until = datetime.fromtimestamp(sandbox.clock.now + 1, UTC)
    lines = list(paypal.movements(START, until))
    assert pending
    assert [(one.kind, one.amount, one.fee) for one in lines] == [
        ("payment", 2380, 71), ("payment", 2380, 71), ("refund", -1000, 0), ("dispute", -500, 0),
        ("dispute_won", 500, 0),
    ]  # fmt: skip
    assert {one.payment for one in lines if one.kind != "payment"} == {lines[0].payment} == {first}
    assert [*paypal.movements(START, START)] == []


def read(tally: Tally, collector: Collector, told: Hint) -> list[str]:
    tally.follower().catch_up()
    reader = Reader(collector, tally.pool, "paypal")
    return [reader.take_in(one)[0] for one in collector.providers["paypal"].news(told)]


@pytest.fixture
def collector(tally: Tally, paypal: Any) -> Collector:
    return Collector(tally.billing, {"paypal": paypal}, lambda: NOW)


def open_amount(tally: Tally, invoice: UUID) -> int:
    found = issued(tally.billing, invoice)
    return receivables(tally.billing, found.account, "EUR").open_amount(invoice, found.gross)


def test_an_account_on_file_is_collected_refunded_disputed_and_reversed_and_the_books_agree(tally, sandbox, collector):
    (invoice,) = invoices(tally, 1)
    tally.billing.execute(AddPaymentMethod("a0", "paypal", "customer-1", "payer-no-refund"))
    tally.follower().catch_up()
    assert collect_open(collector, tally.pool) == {"succeeded": 1}
    account, payment = issued(tally.billing, invoice).account, sandbox.paypal.books.balance[0].id
    refunder = Refunder(tally.billing, collector.providers, lambda: NOW)
    begun = refunder.begin(OpenRefund(account, "EUR", f"paypal:{payment}", NOW, 1000))
    assert (begun.state, open_amount(tally, invoice)) == ("pending", 1000)
    sandbox.clock.advance(3 * DAY)
    collector.providers["paypal"].look("O1")
    assert read(tally, collector, latest(sandbox)) == ["done"]
    assert open_amount(tally, invoice) == 0, "it failed: its money pays again what it had opened"
    case = sandbox.paypal.cases.open(payment, 1380)
    assert read(tally, collector, latest(sandbox)) == ["done"]
    sandbox.paypal.cases.take(case, 1380)
    told = [hint_ for hint_ in collector.providers["paypal"].hints(START) if "REVERSED" in hint_.kind]
    for one in [*told, latest(sandbox), *told]:
        assert read(tally, collector, one) == ["done"]
    assert receivables(tally.billing, account, "EUR").credit + 2380 - open_amount(tally, invoice) == 1000
    sandbox.paypal.cases.end(case, won=True, back=1380)
    assert read(tally, collector, latest(sandbox)) == ["done"]
    assert receivables(tally.billing, account, "EUR").credit + 2380 - open_amount(tally, invoice) == 2380


def test_a_method_left_at_paypal_charges_the_account_until_the_buyer_takes_it_back(tally, sandbox, collector, paypal):
    invoices(tally, 1)
    opened = paypal.set_up(SetUp("a0", "A", "", BACK))
    requests.post(opened.url, data={"payer": "payer-good"}, timeout=5, allow_redirects=False)
    assert read(tally, collector, hint("VAULT.SETUP-TOKEN.APPROVED", id=opened.url.rpartition("=")[2])) == ["done"]
    (token,) = account_named(tally.billing, "a0").methods
    tally.follower().catch_up()
    assert collect_open(collector, tally.pool) == {"succeeded": 1}
    sandbox.paypal.tokens.revoke(token)
    assert read(tally, collector, latest(sandbox)) == ["done"]
    assert account_named(tally.billing, "a0").methods == {}


def test_webhooks_in_any_order_with_a_capture_that_paypal_denies_later_end_the_attempt(tally, sandbox, collector):
    (invoice,) = invoices(tally, 1)
    attempt = collector.begin(invoice, "paypal", "customer-1", "payer-bounces")
    assert attempt.state == "pending"
    pending = latest(sandbox)
    sandbox.clock.advance(5 * DAY)
    collector.providers["paypal"].look("O1")
    for told in (latest(sandbox), pending, latest(sandbox)):
        assert read(tally, collector, told) == ["done"]
    assert (collection(tally.billing, invoice).live, open_amount(tally, invoice)) == (None, 2380)


def test_a_refund_that_is_refused_because_it_was_made_before_is_that_refund(sandbox, paypal):
    """Its answer was lost, its key is gone, and PayPal refuses it as more than is left."""
    wanted = refund(paid(paypal).payment, 2380)
    made = paypal.refund(wanted)
    sandbox.clock.advance(46 * DAY)
    for held in sandbox.paypal.books.found.values():
        held.pop("invoice_id")
    assert paypal.refund(wanted) == made
    assert paypal.refund(refund(wanted.payment, 1, "other")).code == "CAPTURE_FULLY_REFUNDED"
