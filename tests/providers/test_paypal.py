"""PayPal over its own package and HTTP against the sandbox: whatever the network does, its books show one capture."""

from __future__ import annotations

import random
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from threading import Event
from uuid import UUID

import msgspec
import pytest
import requests

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.providers.paypal import Transport
from adapters.sandbox.desk import Answer, Asked
from adapters.sandbox.server import Fault, Sandbox
from domain.application.payments import BookReceipt, OpenAttempt, collection, issued, receivables
from domain.collection import Attempt
from domain.errors import Invalid
from domain.payment import Order
from jobs.collect import Collector
from tests.providers.conftest import paypal_at
from tests.providers.stripe_world import FAULTS, order
from tests.store.test_collect import invoices

NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)
BACK = "https://billing.example/return"
HOUR, DAY = 3600, 86400


def in_person(name: str = "1") -> Order:
    return msgspec.structs.replace(order("", name=name), return_url=BACK)


def press(url: str, payer: str) -> requests.Response:
    """The customer on PayPal's page presses a button."""
    assert payer in requests.get(url, timeout=5).text
    return requests.post(url, data={"payer": payer}, timeout=5, allow_redirects=False)


def test_creating_moves_no_money_and_capturing_moves_it_once_whatever_is_repeated_when(sandbox, paypal):
    wanted, books = order("payer-good"), sandbox.paypal.books
    created = paypal.create(wanted)
    assert (created.state, created.amount, books.captured.total()) == ("open", 0, 0)
    assert paypal.create(wanted).object == created.object
    paid = paypal.confirm(wanted, created.object)
    assert (paid.state, paid.amount, paid.currency) == ("succeeded", 2380, "EUR")
    assert paid == paypal.look(created.object) == paypal.cancel(created.object)
    sandbox.clock.advance(400 * DAY)
    assert paypal.confirm(wanted, created.object) == paid
    raw = Transport("sandbox", "secret", f"{sandbox.url}/paypal")
    again = raw.ask("POST", f"/v2/checkout/orders/{created.object}/capture", {}, "another key")
    assert (again.status, again.issue) == (422, "ORDER_ALREADY_CAPTURED")
    assert books.captures == {str(wanted.invoice): 1}
    assert books.captured.total() == 2380


@pytest.mark.parametrize(
    ("payer", "code"),
    [
        ("payer-declined", "INSTRUMENT_DECLINED"),
        ("payer-locked", "PAYER_ACCOUNT_LOCKED_OR_CLOSED"),
        ("payer-refused", "DECLINED"),
        ("payer-nobody-knows", "TOKEN_ID_NOT_FOUND"),
    ],
)
def test_a_decline_says_why_and_its_order_can_be_made_dead(sandbox, paypal, payer, code):
    wanted = order(payer)
    declined = paypal.confirm(wanted, paypal.create(wanted).object)
    assert (declined.state, declined.code) == ("declined", code)
    assert paypal.cancel(declined.object).state == "cancelled"
    assert sandbox.paypal.books.captures.total() == 0


def test_an_order_that_was_cancelled_is_refused_by_paypal_itself_to_a_worker_who_comes_late(sandbox, paypal):
    wanted = order("payer-good")
    created = paypal.create(wanted)
    assert paypal.cancel(created.object).state == "cancelled"
    late = Transport("sandbox", "secret", f"{sandbox.url}/paypal")
    body = {"payment_source": {"paypal": {"vault_id": "payer-good"}}}
    told = late.ask("POST", f"/v2/checkout/orders/{created.object}/capture", body, "late")
    assert (told.status, told.issue) == (422, "ACTION_DOES_NOT_MATCH_INTENT")
    assert paypal.confirm(wanted, created.object).state == paypal.look(created.object).state == "cancelled"
    assert sandbox.paypal.books.captures.total() == 0


def test_a_customer_approves_on_paypals_page_and_only_then_it_is_captured(sandbox, paypal):
    wanted = in_person()
    waits = paypal.create(wanted)
    assert (waits.state, paypal.confirm(wanted, waits.object)) == ("action_required", paypal.look(waits.object))
    assert press(waits.url, "payer-good").headers["Location"].startswith(BACK)
    assert (paypal.look(waits.object).state, sandbox.paypal.books.captured.total()) == ("open", 0)
    assert paypal.confirm(wanted, waits.object).state == "succeeded"
    left = paypal.create(in_person("2"))
    assert requests.post(left.url, data={"payer": ""}, timeout=5, allow_redirects=False).status_code == 303
    # PayPal does not let an order be changed that is with its customer: it is not certainly dead until it is forgotten.
    assert paypal.cancel(left.object).state == "action_required"
    sandbox.clock.advance(73 * HOUR)
    assert paypal.cancel(left.object).state == paypal.look(left.object).state == "cancelled"


def test_a_method_on_file_whose_payer_has_to_approve_is_paid_by_the_same_order(sandbox, paypal):
    wanted = order("payer-approves")
    created = paypal.create(wanted)
    asked = paypal.confirm(wanted, created.object)
    assert (asked.state, asked.code, asked.object) == ("action_required", "PAYER_ACTION_REQUIRED", created.object)
    assert paypal.authenticate(wanted, created.object).url == asked.url
    press(asked.url, "payer-good")
    assert paypal.confirm(wanted, created.object).state == "succeeded"
    assert sandbox.paypal.books.captures == {str(wanted.invoice): 1}
    fresh = order("payer-good", name="2")
    page = paypal.authenticate(fresh, paypal.create(fresh).object)
    assert (page.state, "checkoutnow" in page.url) == ("action_required", True)


@pytest.mark.parametrize(
    ("payer", "reason", "days", "end"),
    [
        ("payer-echeck", "ECHECK", 3, "succeeded"),
        ("payer-bounces", "ECHECK", 5, "declined"),
        ("payer-review", "PENDING_REVIEW", 1, "succeeded"),
    ],
)
def test_a_pending_capture_is_no_payment_until_it_is(sandbox, paypal, payer, reason, days, end):
    wanted = order(payer)
    pending = paypal.confirm(wanted, paypal.create(wanted).object)
    assert (pending.state, pending.code, pending.amount) == ("pending", reason, 0)
    assert paypal.cancel(pending.object).state == "pending"
    sandbox.clock.advance(days * DAY)
    assert paypal.look(pending.object).state == end
    assert paypal.cancel(pending.object).state == ("cancelled" if end == "declined" else end)
    assert sandbox.paypal.books.captured.total() == (2380 if end == "succeeded" else 0)


@pytest.mark.parametrize(
    ("amount", "currency", "value"),
    [(2380, "EUR", "23.80"), (5, "USD", "0.05"), (500, "JPY", "500"), (120000, "HUF", "1200")],
)
def test_amounts_are_written_and_read_exactly_as_paypal_counts_them(sandbox, paypal, amount, currency, value):
    wanted = msgspec.structs.replace(order("payer-good", amount), currency=currency)
    paid = paypal.confirm(wanted, paypal.create(wanted).object)
    assert (paid.amount, paid.currency) == (amount, currency)
    (held,) = sandbox.paypal.books.orders.values()
    assert held["order"]["purchase_units"][0]["amount"] == {"currency_code": currency, "value": value}


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [(150, "HUF", "amount_too_fine"), (100, "TRY", "invalid"), (0, "EUR", "amount_too_small")],
)
def test_what_paypal_does_not_take_is_not_asked_for(sandbox, paypal, amount, currency, code):
    refused = paypal.create(msgspec.structs.replace(order("payer-good", amount), currency=currency))
    assert (refused.state, refused.code, sandbox.paypal.books.orders) == ("cancelled", code, {})


def mangled(sandbox: Sandbox, value: object) -> None:
    """PayPal answers with other amounts from now on."""
    answer = sandbox.paypal.answer

    def other(asked: Asked, saved_error: bool) -> Answer:
        given = answer(asked, saved_error)
        for unit in (given.body or {}).get("purchase_units", []) if isinstance(given.body, dict) else []:
            for capture in unit.get("payments", {}).get("captures", []):
                capture["amount"] |= {"value": value}
        return given

    sandbox.paypal.answer = other  # type: ignore[method-assign]


@pytest.mark.parametrize("value", ["9,99", "1e2", "10.999", "٣", 10, None, "9" * 40])
def test_an_amount_that_cannot_be_read_is_unknown_and_never_settled(sandbox, paypal, value):
    wanted = order("payer-good")
    paid = paypal.confirm(wanted, paypal.create(wanted).object)
    mangled(sandbox, value)
    assert paypal.look(paid.object).state == "unknown"


def faults_at(sandbox: Sandbox, number: int, fault: Fault) -> None:
    """The request of this number from now on meets a fault."""
    left = iter(range(number + 1))
    sandbox.fault = lambda: fault if next(left, 0) == number else ""


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_network_lost_is_unknown_at_every_call_and_never_a_guess(sandbox, paypal, fault):
    calls = {
        "create": lambda one, made: paypal.create(one),
        "confirm": lambda one, made: paypal.confirm(one, made),
        "look": lambda one, made: paypal.look(made),
        "cancel": lambda one, made: paypal.cancel(made),
        "authenticate": lambda one, made: paypal.authenticate(one, made),
    }
    unknown = 0
    for name, call in calls.items():
        for number in range(3):
            wanted = order("payer-good", name=f"{name} {number}")
            made = paypal.create(wanted).object if name != "create" else ""
            faults_at(sandbox, number, fault)
            reply = call(wanted, made)
            sandbox.fault = lambda: ""
            unknown += reply.state == "unknown"
            if reply.state != "unknown":
                truth = paypal.look(made or reply.object)
                assert (reply.state, reply.payment) == (truth.state, truth.payment)
    assert unknown >= 5
    assert set(sandbox.paypal.books.captures.values()) <= {1}


def test_a_second_worker_with_the_same_request_under_way_learns_nothing_and_takes_nothing(sandbox, paypal):
    wanted = order("payer-good")
    made, inside, go_on = paypal.create(wanted).object, Event(), Event()

    def hold() -> None:
        inside.set()
        assert go_on.wait(5)

    sandbox.paypal.busy = hold
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(paypal.confirm, wanted, made)
        assert inside.wait(5)
        assert paypal_at(sandbox).confirm(wanted, made).state == "unknown"
        go_on.set()
        assert first.result().state == "succeeded"
    assert sandbox.paypal.books.captures.total() == 1


def test_an_order_whose_id_was_lost_takes_no_money_before_or_after_its_key_is_gone(tally, sandbox, paypal):
    for hours, orders in ((1, 1), (7, 3)):
        (invoice, *_) = invoices(tally, 1) if hours == 1 else _more(tally)
        attempt = tally.billing.execute(OpenAttempt(invoice, "paypal", NOW, "customer-1", "payer-good"))
        sandbox.fault = lambda: "lost_after" if sandbox.paypal.access else ""
        paypal.look("O1")
        assert paypal.create(attempt.order()).state == "unknown"
        sandbox.fault = lambda: ""
        sandbox.clock.advance(hours * HOUR)
        assert work(Collector(tally.billing, {"paypal": paypal}, lambda: NOW), tally, invoice, "").state == "succeeded"
        assert sandbox.paypal.books.captures[str(invoice)] == 1
        assert len(sandbox.paypal.books.orders) == orders


def _more(tally: Tally) -> list[UUID]:
    run_billing(tally, date(2025, 3, 1), date(2025, 3, 1))
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        rows = connection.execute("SELECT invoice FROM receivable_v1 WHERE left_open > 0 ORDER BY number").fetchall()
    return [one for (one,) in rows]


def work(collector: Collector, tally: Tally, invoice: UUID, method: str) -> Attempt:
    live = collection(tally.billing, invoice).live
    return collector.carry_on(live) if live else collector.begin(invoice, "paypal", "customer-1", method)


def test_invoices_are_collected_through_a_bad_network_and_nobody_is_charged_twice(tally, sandbox, paypal):
    chance, books = random.Random(7), sandbox.paypal.books
    collector = Collector(tally.billing, {"paypal": paypal}, lambda: NOW)
    payers = ["payer-good"] * 4 + ["payer-declined", "payer-refused", "payer-echeck", "payer-bounces", "payer-approves"]
    for invoice in invoices(tally, 25):
        sandbox.fault = lambda: chance.choice(FAULTS) if chance.random() < 0.4 else ""
        payer = chance.choice(payers)
        for _ in range(chance.randrange(1, 7)):
            attempt = work(collector, tally, invoice, payer)
            if attempt.state == "succeeded":
                break
            if attempt.url and chance.random() < 0.5:
                books.approve(attempt.object, "payer-good")
            sandbox.clock.advance(chance.choice([0, 0, 7 * HOUR]))
        sandbox.fault = lambda: ""
        found = issued(tally.billing, invoice)
        for _ in range(4):
            if (live := collection(tally.billing, invoice).live) is not None:
                sandbox.clock.advance(3 * DAY)
                collector.carry_on(live)
        money = receivables(tally.billing, found.account, "EUR")
        assert collection(tally.billing, invoice).live is None
        assert books.captures[str(invoice)] <= 1
        assert books.captured[str(invoice)] == found.gross - money.open_amount(invoice, found.gross)
        assert books.captured[str(invoice)] in (0, found.gross)
    assert books.captured.total() > 0


def test_the_customers_return_and_paypals_webhook_at_once_capture_once(tally, sandbox, paypal):
    (invoice,) = invoices(tally, 1)
    collector = Collector(tally.billing, {"paypal": paypal}, lambda: NOW)
    attempt = collector.offer(invoice, "paypal", BACK)
    assert attempt.state == "action_required"
    press(attempt.url, "payer-good")
    with ThreadPoolExecutor(4) as pool:
        states = [one.result().state for one in [pool.submit(collector.learn, attempt) for _ in range(4)]]
    assert "succeeded" in states
    assert sandbox.paypal.books.captures == {str(invoice): 1}
    assert collection(tally.billing, invoice).live is None


def test_a_paid_invoice_stands_the_approved_order_down_at_paypal(tally, sandbox, paypal):
    (invoice,) = invoices(tally, 1)
    collector = Collector(tally.billing, {"paypal": paypal}, lambda: NOW)
    attempt = collector.offer(invoice, "paypal", BACK)
    press(attempt.url, "payer-good")
    _pay_by_bank(tally, invoice)
    assert collector.learn(attempt).state == "cancelled"
    assert sandbox.paypal.books.captures.total() == 0


def _pay_by_bank(tally: Tally, invoice: UUID) -> None:
    found = issued(tally.billing, invoice)
    receipt = BookReceipt(found.account, "EUR", "bank:1", "bank", found.gross, NOW.date(), invoices=(invoice,))
    tally.billing.execute(receipt)


def test_a_violation_of_paypals_documents_fails_a_test(sandbox, paypal_documents):
    if paypal_documents is None:
        pytest.skip("PayPal's documents (../shared) are not here")
    raw = Transport("sandbox", "secret", f"{sandbox.url}/paypal")
    unit = {"amount": {"currency_code": "EURO", "value": "1.00"}}
    raw.ask("POST", "/v2/checkout/orders", {"intent": "BOGUS", "purchase_units": [unit]})
    paypal_documents.see(
        Asked("GET", "/v2/checkout/orders/O1", {}, {}, b""), Answer(200, {"id": "O1", "status": "INVENTED"})
    )
    broken, paypal_documents.broken = paypal_documents.broken, []
    assert [re.match(r"\w+ \S+", one)[0] for one in broken] == [
        "POST /v2/checkout/orders",
        "GET /v2/checkout/orders/O1",
    ]  # type: ignore[index]


@pytest.mark.parametrize(
    "base", ["https://api-m.paypal.com.evil.example", "http://api-m.paypal.com", "http://127.0.0.2:1"]
)
def test_keys_go_to_paypal_or_loopback_only(base):
    with pytest.raises(Invalid):
        Transport("sandbox", "secret", base)
