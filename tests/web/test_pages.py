"""The customer's pages: what they say, what their buttons do, and that nobody without the link sees anything."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from eventsourcing.persistence import PersistenceError
from fastapi import FastAPI

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.providers.paypal import PayPalPayments, Transport
from adapters.providers.stripe import StripePayments
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox
from adapters.web.app import make_app
from adapters.web.links import Links
from adapters.web.pages import Pages
from adapters.web.standing import standing
from adapters.web.webhooks import Door
from domain.application.accounts import OpenAccount
from domain.application.payments import BookReceipt, OpenAttempt, RecordOutcome, collection, issued
from domain.application.returns import GiveBack
from domain.errors import Invalid, NotFound
from domain.events.account import Party
from domain.payment import Reply
from jobs.collect import Collector
from tests.builders import declared_package, open_account, publish, start
from tests.deliveries import Delivered, deliver, fingerprint
from tests.telling_provider import NOW, PAGE, Telling

FEBRUARY = date(2025, 2, 1)
LINKS = Links(["a secret of 32 characters or more"], "https://bills.example")
SNEAKY = "<script>alert(1)</script> & Söhne {{ 7 * 7 }}"


@pytest.fixture
def provider() -> Telling:
    return Telling()


@pytest.fixture
def invoice(tally: Tally) -> UUID:
    publish(tally, declared_package())
    how = ("IBAN DE02 1203 0000 0000 2020 51", "<b>Bank</b>")
    tally.billing.execute(OpenAccount("acme", Party(name=SNEAKY), "EUR", tax_percent=Decimal(19), remittance=how))
    start(tally, "acme-license", "acme", "declared", FEBRUARY, quantities={"seats": 1000})
    run_billing(tally, FEBRUARY, FEBRUARY)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        return connection.execute("SELECT invoice FROM receivable_v1").fetchone()[0]


def app_at(tally: Tally, provider: Telling, now: datetime = NOW) -> FastAPI:
    other = Telling()
    other.name = "paypal"
    collector = Collector(tally.billing, {"stripe": provider, "paypal": other}, lambda: now)
    return make_app(Door({}, tally.pool), Pages(collector, LINKS))


@pytest.fixture
def app(tally: Tally, provider: Telling) -> FastAPI:
    return app_at(tally, provider)


def asked(app: FastAPI, path: str, method: str = "GET", language: str = "") -> Delivered:
    return deliver(app, [(b"host", b"x"), (b"accept-language", language.encode())], b"", path=path, method=method)


def page(app: FastAPI, invoice: UUID, language: str = "") -> str:
    return asked(app, f"/pay/{LINKS.token(invoice)}", language=language).body.decode()


def pay(app: FastAPI, invoice: UUID, provider: str) -> Delivered:
    return asked(app, f"/pay/{LINKS.token(invoice)}/{provider}", "POST")


def test_the_page_says_what_is_owed_and_how_to_pay_it_and_runs_nothing(app, invoice):
    found = page(app, invoice)
    for words in ("INV-000001", "€2,380.00", "February 15, 2025", "Pay by card", "Pay with PayPal", "IBAN DE02"):
        assert words in found
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne {{ 7 * 7 }}" in found
    assert "&lt;b&gt;Bank&lt;/b&gt;" in found
    assert not re.search(r"<script|javascript:| on\w+=|style=|https?://", found)
    assert "overdue" not in found


def test_an_invoice_past_its_day_is_said_to_be_overdue(tally, provider, invoice):
    assert "(overdue)" in page(app_at(tally, provider, NOW + timedelta(days=15)), invoice)


def test_a_link_that_was_not_made_here_leads_nowhere_and_changes_nothing(app, tally, invoice):
    token, before = LINKS.token(invoice), fingerprint(tally.pool)
    raw = urlsafe_b64decode(token)
    flipped = [raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :] for at in range(len(raw))]
    of_another = Links(["another secret of 32 characters!!"], "https://bills.example").token(invoice)
    bad = [urlsafe_b64encode(one).decode() for one in [*flipped, raw[:-1], raw + b"\0", b""]]
    bad += [
        of_another,
        f"{token}=",
        f" {token}",
        token[:-1],
        "%00",
        "é" * 44,
        "A" * 5000,
        str(invoice),
        token.swapcase(),
    ]
    for one in bad:
        for path, method in ((f"/pay/{one}", "GET"), (f"/return/{one}", "GET"), (f"/pay/{one}/stripe", "POST")):
            assert asked(app, path, method).status == 404, path
    assert fingerprint(tally.pool) == before
    assert LINKS.read(token) == invoice
    rotated = Links(["the newer secret of 32 characters", "a secret of 32 characters or more"], "https://x.example")
    assert rotated.read(token) == invoice
    assert rotated.token(invoice) != token
    with pytest.raises(NotFound):
        LINKS.read(rotated.token(invoice))
    with pytest.raises(Invalid, match="32"):
        Links(["short"], "https://x.example")


def test_a_button_leads_to_the_provider_and_the_way_back_says_what_the_provider_says(app, tally, provider, invoice):
    begun = pay(app, invoice, "stripe")
    attempt = collection(tally.billing, invoice).live
    assert begun.status == 303
    assert attempt is not None
    assert attempt.opened.return_url == LINKS.return_of(invoice)
    assert attempt.url == f"{PAGE}{attempt.object}"
    assert pay(app, invoice, "stripe").status == 303, "the same page again"
    assert len(collection(tally.billing, invoice).attempts) == len(provider.orders) == 1
    waiting = page(app, invoice)
    assert "waits for you" in waiting
    assert "Go on paying by card" in waiting
    assert "Pay with PayPal instead" in waiting
    back = f"/return/{LINKS.token(invoice)}"
    assert "waits for you" in asked(app, back).body.decode(), "coming back proves nothing"
    provider.approve(attempt.object)
    for _ in "twice":
        assert "Paid. Thank you." in asked(app, back).body.decode()
    assert "<button" not in page(app, invoice)
    assert pay(app, invoice, "stripe").status == 409
    assert provider.captures == {invoice: 1}


def test_a_page_that_was_left_is_closed_when_the_customer_pays_in_another_way(app, tally, provider, invoice):
    pay(app, invoice, "stripe")
    left = collection(tally.billing, invoice).live
    assert left is not None
    assert pay(app, invoice, "paypal").status == 303
    assert provider.states[left.object] == "cancelled"
    live = collection(tally.billing, invoice).live
    assert live is not None
    assert live.opened.provider == "paypal"
    assert "Go on paying with PayPal" in page(app, invoice)


def test_a_payment_that_a_bank_wants_approved_goes_on_with_the_same_object(app, tally, provider, invoice):
    collector = Collector(tally.billing, {"stripe": provider}, lambda: NOW)
    opened = tally.billing.execute(OpenAttempt(invoice, "stripe", NOW, customer="cus_1", method="visa"))
    provider.create(opened.order())
    provider.states[opened.order().attempt.hex] = "action_required"
    collector.carry_on(opened)
    assert pay(app, invoice, "stripe").status == 303
    assert len(collection(tally.billing, invoice).attempts) == 1


def test_what_was_declined_may_be_tried_again_and_what_is_on_hold_may_not(app, tally, provider, invoice):
    pay(app, invoice, "stripe")
    live = collection(tally.billing, invoice).live
    assert live is not None
    provider.states[live.object] = "declined"
    declined = asked(app, f"/return/{LINKS.token(invoice)}").body.decode()
    assert "declined. Nothing was taken" in declined
    assert "Pay by card" in declined
    found = issued(tally.billing, invoice)
    money = (found.account, "EUR", "bank:1")
    tally.billing.execute(BookReceipt(*money, "bank", found.gross, FEBRUARY, invoices=(invoice,)))
    tally.billing.execute(GiveBack(*money, "rt_1", "refund", found.gross, FEBRUARY))
    held = page(app, invoice)
    assert "being looked at" in held
    assert "<button" not in held
    assert pay(app, invoice, "stripe").status == 409


def test_a_payment_that_was_not_completed_in_time_is_not_called_declined(tally, invoice):
    """At real SDKs: Stripe closes a page after a day, PayPal forgets an order that nobody approved."""
    with Sandbox(clock=Clock(NOW.timestamp)) as sandbox:
        ways = {
            "stripe": StripePayments("sk_test_1", sandbox.url),
            "paypal": PayPalPayments(Transport("sandbox", "sandbox", f"{sandbox.url}/paypal")),
        }
        app = make_app(Door({}, tally.pool), Pages(Collector(tally.billing, ways, lambda: NOW), LINKS))
        for name, by in (("stripe", "by card"), ("paypal", "with PayPal")):
            assert pay(app, invoice, name).status == 303
            sandbox.clock.advance(timedelta(days=4).total_seconds())
            sandbox.tick()
            told = asked(app, f"/return/{LINKS.token(invoice)}").body.decode()
            assert f"The last payment {by} was not completed in time. Nothing was taken." in told
            assert f"Pay {by}" in told, "it may be tried again"


@pytest.mark.parametrize(("code", "said"), [
    ("authentication_required", "not_approved"), ("payment_intent_authentication_failure", "not_approved"),
    ("not_approved", "not_approved"), ("expired", "ran_out"), ("INVALID_RESOURCE_ID", "ran_out"),
    ("expired_card", "declined"), ("INSTRUMENT_DECLINED", "declined"), ("", ""),
])  # fmt: skip
def test_what_ended_a_payment_is_told_by_what_its_provider_says_of_it(app, tally, invoice, code, said):
    pay(app, invoice, "stripe")
    live = collection(tally.billing, invoice).live
    assert live is not None
    ended = RecordOutcome(invoice, live.opened.attempt, Reply("cancelled", live.object, code=code), FEBRUARY)
    tally.billing.execute(ended)
    assert standing(tally.billing, invoice, ["stripe"], NOW).said == said


def test_a_provider_that_does_not_answer_is_said_to_be_busy_and_nothing_is_lost(app, tally, provider, invoice):
    provider.fault = lambda: "after"
    busy = pay(app, invoice, "stripe")
    assert "still under way" in busy.body.decode()
    assert "did not work just now" not in busy.body.decode(), "it may have worked: nobody knows yet"
    assert "still under way" in page(app, invoice)
    provider.fault = lambda: ""
    assert len(collection(tally.billing, invoice).attempts) == 1
    assert pay(app, invoice, "adyen").status == 404


def test_a_provider_cannot_send_a_customer_to_another_kind_of_address(app, provider, invoice, monkeypatch):
    monkeypatch.setattr("tests.telling_provider.PAGE", "javascript:alert(1)//")
    assert pay(app, invoice, "stripe").status == 200


def test_the_page_lists_what_the_invoice_is_for_with_its_taxes(app, tally, invoice):
    found = page(app, invoice)
    about = "acme-license · Feb 1\u2009–\u200928, 2025 · quantity 1,000"
    for words in ("What it is for", "Seats", about, "€2,000.00", "Tax 19%", "€380.00"):
        assert words in found, words
    assert found.count('<th scope="row">') == 1 + 3, "a line, the net, a tax and the total"


def test_an_invoice_is_overdue_when_the_day_is_over_where_its_payer_is(tally, provider):
    publish(tally, declared_package())
    open_account(tally, "honolulu", zone="Pacific/Honolulu", terms_days=14)
    start(tally, "one", "honolulu", "declared", FEBRUARY, quantities={"seats": 2})
    run_billing(tally, FEBRUARY, FEBRUARY)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        invoice, due = connection.execute("SELECT invoice, due_on FROM receivable_v1").fetchone()
    midnight = datetime(due.year, due.month, due.day, tzinfo=UTC) + timedelta(days=1)
    assert "(overdue)" not in page(app_at(tally, provider, midnight + timedelta(hours=9)), invoice)
    assert "(overdue)" in page(app_at(tally, provider, midnight + timedelta(hours=11)), invoice)


def test_a_page_that_is_opened_again_after_a_button_was_pressed_is_the_invoice_s(app, tally, invoice):
    token = LINKS.token(invoice)
    for path in (f"/pay/{token}/stripe", f"/pay/{token}/"):
        again = asked(app, path)
        assert (again.status, again.headers["location"]) == (303, f"/pay/{token}"), path
    for cut_off in ("/pay/nobody/stripe", "/pay/", "/pay//", "/pay/a/b/c"):
        assert "This page is not here" in asked(app, cut_off).body.decode()
        assert asked(app, cut_off).status == 404
    assert collection(tally.billing, invoice).attempts == {}, "nothing is begun by looking"


def test_a_link_may_be_looked_at_without_its_content_and_every_other_method_is_refused(app, tally, invoice):
    path = f"/pay/{LINKS.token(invoice)}"
    assert asked(app, path, "HEAD").status == 200
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert asked(app, path, method).status == 405, method
    assert collection(tally.billing, invoice).attempts == {}


def test_a_path_of_the_public_address_stands_before_every_address_on_the_page(tally, provider, invoice):
    links = Links(["a secret of 32 characters or more"], "https://example.com/billing/")
    collector = Collector(tally.billing, {"stripe": provider}, lambda: NOW)
    app = make_app(Door({}, tally.pool), Pages(collector, links))
    token = links.token(invoice)
    found = page(app, invoice)
    assert links.link_of(invoice) == f"https://example.com/billing/pay/{token}"
    assert f'action="/billing/pay/{token}/stripe"' in found
    assert 'href="/billing/page.css"' in found
    assert asked(app, f"/pay/{token}/stripe").headers["location"] == f"/billing/pay/{token}"
    assert 'href="/billing/page.css"' in asked(app, "/pay/nobody").body.decode()


@pytest.mark.parametrize("fault", [psycopg.OperationalError("gone"), PersistenceError("gone"), RuntimeError("a fault")])
def test_a_customer_is_told_of_a_fault_on_a_page_and_of_nothing_inside(app, tally, invoice, monkeypatch, fault):
    def broken(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr("adapters.web.pages.standing", broken)
    for path in ("pay", "return"):
        told = asked(app, f"/{path}/{LINKS.token(invoice)}")
        assert told.status == (500 if isinstance(fault, RuntimeError) else 503)
        assert told.headers["content-type"].startswith("text/html")
        assert ("retry-after" in told.headers) == (told.status == 503)
        assert "try again in a few minutes" in told.body.decode()
        assert "gone" not in told.body.decode()
        assert "a fault" not in told.body.decode()
        assert told.headers["cache-control"] == "no-store"


def test_a_second_press_that_was_on_its_way_comes_to_the_page_that_the_first_one_opened(
    app, tally, provider, invoice, monkeypatch
):
    before = standing(tally.billing, invoice, ["stripe"], NOW)
    first = pay(app, invoice, "stripe")
    seen = iter([before])
    monkeypatch.setattr("adapters.web.pages.standing", lambda *words: next(seen, None) or standing(*words))
    second = pay(app, invoice, "stripe")
    assert (first.status, second.status) == (303, 303)
    assert second.headers["location"] == first.headers["location"]
    assert set(provider.states.values()) == {"action_required"}, "what the first press opened stays open"
