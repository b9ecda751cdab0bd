"""Money in and back by commands: pages, charges, refunds, disputes, holds, and books that agree after all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import requests

from adapters.bootstrap import Tally
from adapters.cli.main import main
from adapters.sandbox.server import Sandbox
from domain.application.payments import OpenAttempt
from domain.errors import Invalid
from domain.payment import SetUp
from domain.statement import Statement, Transfer
from tests.providers.stripe_world import BACK, NOW, press
from tests.statements import camt053
from tests.store.test_collect import invoices

Typed = Callable[..., Any]
ONCE = "6b3f9f0e-0f4b-4a2e-9a51-4a4b8a0c7a11"


@pytest.fixture
def typed(tally: Tally, sandbox: Sandbox, monkeypatch: Any, capsys: Any) -> Typed:
    """Runs a command; what it printed as JSON, or the code of its refusal."""
    words = {
        "DATABASE_URL": tally.dsn, "TALLY_STRIPE_KEY": "sk_test_1", "TALLY_STRIPE_BASE": sandbox.url,
        "TALLY_PAYPAL_CLIENT": "sandbox", "TALLY_PAYPAL_SECRET": "sandbox",
        "TALLY_PAYPAL_BASE": f"{sandbox.url}/paypal",
    }  # fmt: skip
    for name, value in words.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Any:
        status = main([*words, "--json"])
        printed = capsys.readouterr()
        return json.loads(printed.out) if not status else json.loads(printed.err)["error"]["code"]

    return run


def hear(typed: Typed) -> None:
    """What webhooks would have told."""
    typed("webhooks", "catch-up")
    typed("webhooks", "process")


def test_a_customer_leaves_a_card_is_charged_and_gets_a_part_back(typed, tally, capsys):
    invoices(tally, 1)
    assert typed("accounts", "pay-by", "a0", "stripe", "cus_1", "") == "invalid"
    press(typed("accounts", "set-up", "a0", "stripe", "--return-url", BACK)["url"], "leave", "pm_card_visa")
    hear(typed)
    assert typed("payments", "collect") == {"succeeded": 1}
    (receipt,) = typed("payments", "list")
    assert typed("payments", "refund", receipt["receipt"], "--amount", "23.81") == "conflict"
    for nothing in ("", " ", "0", "-5", "1e3", "9" * 5000):
        assert typed("payments", "refund", receipt["receipt"], "--amount", nothing) in ("invalid", "conflict")
    refund = typed("payments", "refund", receipt["receipt"], "--amount", "10.00", "--id", ONCE)
    assert (refund["state"], refund["amount"], refund["currency"]) == ("succeeded", "10.00", "EUR")
    again = typed("payments", "refund", receipt["receipt"], "--amount", "10.00", "--id", ONCE)
    assert again["state"] == "done before"
    hear(typed)
    assert [one["state"] for one in typed("payments", "refunds", "--follow")] == ["succeeded"]
    main(["payments", "refunds"])
    assert re.search(r" \d\d:\d\d │", capsys.readouterr().out), "people read minutes"
    shown = typed("payments", "show", receipt["receipt"])
    assert (list(shown["paid"].values()), list(shown["returned"].values()), shown["credit"]) == (
        ["13.80"],
        ["10.00"],
        "0.00",
    )
    assert typed("payments", "show", "stripe:nothing") == "not_found"
    (held,) = typed("payments", "holds")
    assert (held["open"], typed("payments", "collect"), typed("payments", "retry", held["number"])["state"]) == (
        "10.00", {}, "skipped"
    )  # fmt: skip
    assert typed("reconcile")["stripe"]["differences"] == []
    assert len(typed("payments", "release", held["number"], "--why", "it is owed")["released"]) == 1
    assert typed("payments", "retry", held["number"])["state"] == "succeeded"
    assert typed("payments", "open") == []
    assert typed("reconcile")["stripe"]["differences"] == []
    assert [check["name"] for check in typed("verify") if check["found"]] == []


@pytest.mark.parametrize("provider", ["stripe", "paypal"])
def test_a_customer_pays_one_invoice_on_the_providers_page(typed, tally, provider):
    invoices(tally, 1)
    (owed,) = typed("payments", "open")
    page = typed("payments", "page", owed["number"], provider, "--return-url", BACK)
    assert page["state"] == "action_required"
    if provider == "stripe":
        press(page["url"], "pay", "pm_card_visa")
    else:
        requests.post(page["url"], data={"payer": "payer-good"}, timeout=5, allow_redirects=False)
    hear(typed)
    assert typed("payments", "open") == []
    assert typed("reconcile")[provider]["differences"] == []


def test_a_bank_that_wants_its_customer_has_the_same_payment_approved(typed, tally):
    invoices(tally, 1)
    typed("accounts", "pay-by", "a0", "stripe", "cus_1", "pm_card_authenticationRequired")
    assert typed("payments", "collect") == {"action_required": 1}
    (tried,) = typed("payments", "attempts")
    asked = typed("payments", "approve", tried["number"])
    press(asked["url"], "authenticate")
    hear(typed)
    (after,) = typed("payments", "attempts")
    assert (after["state"], after["object"]) == ("succeeded", tried["object"])


def test_a_dispute_takes_the_money_holds_the_invoice_and_gives_it_back_when_it_is_won(typed, tally, sandbox):
    invoices(tally, 1)
    typed("accounts", "pay-by", "a0", "stripe", "cus_1", "pm_card_createDispute")
    typed("payments", "collect")
    hear(typed)
    (dispute,) = typed("payments", "disputes")
    assert (dispute["state"], dispute["withdrawn"], dispute["given_back"]) == ("open", "23.80", "0.00")
    assert [one["open"] for one in typed("payments", "holds")] == ["23.80"]
    assert typed("payments", "refund", dispute["receipt"]) == "conflict", "there is nothing left to give back"
    sandbox.stripe.returns.end(dispute["dispute"].partition(":")[2], "won")
    hear(typed)
    assert [one["state"] for one in typed("payments", "disputes")] == ["won"]
    assert (typed("payments", "open"), typed("payments", "holds")) == ([], []), "what was won pays it again"
    assert typed("reconcile")["stripe"]["differences"] == []


CATALOG = """catalog: 1
packages:
  filter:
    name: Filter
    effective_on: 2025-01-01
    components:
      base: {name: Base fee, bill: in advance, price: {EUR: {flat: "20.00"}}}
    credit: {pay_out: when leaving, after: 30 days, over: {EUR: "1.00"}}
"""


def days_from_now(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def test_a_customer_who_leaves_gets_the_rest_back_by_the_card_and_what_came_by_bank_from_finance(typed, tmp_path):
    """Paid a month by card and some more by bank, and leaves as if it had never come: all of it goes back."""
    first = datetime.now(UTC).date().replace(day=1).isoformat()
    (tmp_path / "c.yaml").write_text(CATALOG)
    typed("catalog", "apply", str(tmp_path / "c.yaml"), "--yes")
    typed("accounts", "open", "acme", "--name", "Acme", "--tax-percent", "19")
    typed("accounts", "pay-by", "acme", "stripe", "cus_1", "pm_card_visa")
    typed("licenses", "start", "acme-filter", "--account", "acme", "--package", "filter", "--on", first)
    typed("bill", "--through", first, "--issued-on", first)
    typed("payments", "collect")
    (owed,) = typed("invoices", "list")
    transfer = Transfer(datetime.now(UTC).date(), 500, owed["number"], "Acme", "DE00", "B1")
    statement = Statement("DE1", "1", "EUR", 0, 500, transfer.booked_on, (transfer,))
    (tmp_path / "in.xml").write_text(camt053(statement))
    assert typed("bank", "import", str(tmp_path / "in.xml"), "--new-account")["settled"] == 1
    shown = typed("accounts", "credit", "acme")
    assert (shown["credit"], shown["whose"], shown["rule"]["pay_out"]) == (
        {"EUR": "5.00"},
        "of its packages",
        "leaving",
    )
    assert typed("payments", "pay-out") == {"ways": [], "kept": {"money moved within 30 days": 1}}
    planned = typed("payments", "pay-out", "--on", days_from_now(70), "--preview")
    assert planned == {"ways": [], "kept": {"a license runs": 1}}

    typed("licenses", "cancel", "acme-filter", "--on", first, "--end-on", first)
    typed("bill", "--through", days_from_now(0), "--issued-on", days_from_now(0))
    assert typed("payments", "settle")["credit_notes"] == 1
    assert typed("payments", "pay-out", "--on", days_from_now(20), "--preview")["ways"] == []
    assert typed("payments", "pay-out", "--on", days_from_now(70)) == "invalid", "it is yet to come"
    planned = typed("payments", "pay-out", "--on", days_from_now(70), "--preview")["ways"]
    assert [(way["by"], way["amount"]) for way in planned] == [("stripe", "23.80"), ("bank", "5.00")]
    assert typed("payments", "payouts") == []
    typed("accounts", "credit", "acme", "--pay-out", "leaving", "--after", "0", "--over", "1.00")
    ways = typed("payments", "pay-out")["ways"]
    assert [(way["by"], way["amount"], way["state"]) for way in ways] == [
        ("stripe", "23.80", "succeeded"), ("bank", "5.00", "open")
    ]  # fmt: skip
    assert typed("payments", "pay-out")["ways"] == []
    (proposed,) = typed("payments", "payouts")
    assert (proposed["account"], proposed["amount"], proposed["came_from"]) == ("acme", "5.00", "DE00")
    assert typed("accounts", "credit", "acme")["on_its_way"] == {"EUR": "5.00"}
    hear(typed)
    assert [one["state"] for one in typed("payments", "refunds")] == ["succeeded"]
    assert typed("reconcile")["stripe"]["differences"] == []

    assert typed("payments", "take-back", proposed["reference"], "--why", "another account")["state"] == "failed"
    assert typed("payments", "take-back", proposed["reference"]) == "conflict"
    (again,) = typed("payments", "pay-out")["ways"]
    out = Transfer(transfer.booked_on, -500, f"Refund {again['of']}", "Acme", "DE00", "B2")
    (tmp_path / "out.xml").write_text(camt053(Statement("DE1", "2", "EUR", 500, 0, transfer.booked_on, (out,))))
    assert typed("bank", "import", str(tmp_path / "out.xml"))["settled"] == 1
    assert typed("payments", "payouts") == []
    states = {one["reference"]: one["state"] for one in typed("payments", "payouts", "--all")}
    assert states == {proposed["reference"]: "failed", again["of"]: "paid"}
    assert typed("accounts", "credit", "acme")["credit"] == {}
    assert [check["name"] for check in typed("verify") if check["found"]] == []


def test_an_account_has_a_rule_of_its_own_or_that_of_its_packages(typed, tally):
    invoices(tally, 1)
    assert typed("accounts", "credit", "a0")["rule"]["pay_out"] == "never"
    assert typed("accounts", "credit", "a0", "--pay-out", "idle", "--over", "5.00")["rule"] == {
        "pay_out": "idle", "after": 60, "over": [["EUR", "5.00"]]
    }  # fmt: skip
    wrong = (["--pay-out", "soon"], ["--after", "3"], ["--pay-out", "idle", "--over", "5.001"], ["--pay-out", "idle",
             "--after", "-1"], ["--pay-out", "never", "--after", "3"], ["--packages", "--pay-out", "idle"])  # fmt: skip
    for words in wrong:
        assert typed("accounts", "credit", "a0", *words) == "invalid"
    assert typed("accounts", "credit", "a0")["whose"] == "its own"
    assert typed("accounts", "credit", "a0", "--packages")["whose"] == "nobody said otherwise"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///etc/passwd", "//host/x", "http://", "https://a b", "x"]
)
def test_customers_are_sent_back_to_pages_on_the_web_only(typed, tally, monkeypatch, capsys, url):
    invoices(tally, 1)
    (owed,) = typed("payments", "open", "--on", "2025-02-01")
    for command in (("payments", "page", owed["number"], "stripe"), ("accounts", "set-up", "a0", "stripe")):
        assert main([*command, "--return-url", url]) == 2
        assert "--return-url" in capsys.readouterr().err
    with pytest.raises(Invalid):
        tally.billing.execute(OpenAttempt(an_invoice(tally), "stripe", NOW, return_url=url))
    with pytest.raises(Invalid):
        SetUp("a0", "A", "", url)
    assert typed("payments", "attempts") == []


def test_an_approval_at_a_provider_that_there_is_no_key_for_says_so_and_changes_nothing(
    typed, tally, monkeypatch, capsys
):
    invoices(tally, 1)
    typed("accounts", "pay-by", "a0", "stripe", "cus_1", "pm_card_authenticationRequired")
    assert typed("payments", "collect") == {"action_required": 1}
    (waiting,) = typed("payments", "attempts")
    monkeypatch.delenv("TALLY_STRIPE_KEY")
    monkeypatch.delenv("TALLY_STRIPE_BASE")
    assert main(["payments", "approve", waiting["number"]]) == 2
    said = capsys.readouterr().err
    assert "there is no key for" in said
    assert "stripe" in said
    assert typed("payments", "attempts") == [waiting]


def test_a_page_that_a_customer_left_makes_way_for_another_one_and_for_a_card(typed, tally):
    invoices(tally, 2)
    first, second = (one["number"] for one in typed("payments", "open", "--on", "2025-02-01"))
    typed("payments", "page", first, "paypal", "--return-url", BACK)
    press(typed("payments", "page", first, "stripe", "--return-url", BACK)["url"], "pay", "pm_card_visa")
    hear(typed)
    assert [one["state"] for one in typed("payments", "attempts")] == ["cancelled", "succeeded"]
    assert typed("payments", "page", first, "paypal", "--return-url", BACK) == "invalid", "it is owed nothing"
    typed("payments", "page", second, "paypal", "--return-url", BACK)
    for account in ("a0", "a1"):
        typed("accounts", "pay-by", account, "stripe", "cus_1", "pm_card_visa")
    assert typed("payments", "retry", second)["state"] == "succeeded"
    assert [one["found"] for one in typed("verify") if one["found"]] == []


def an_invoice(tally: Tally) -> UUID:
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        return connection.execute("SELECT invoice FROM receivable_v1").fetchone()[0]
