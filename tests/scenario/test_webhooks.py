"""`tally webhooks` and `tally serve` as their user types them: what came in, what was missed, and when it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.bootstrap import Tally
from adapters.cli.main import main
from adapters.sandbox.server import Sandbox
from domain.application.payments import BindObject, OpenAttempt
from jobs import inbox
from tests.store.test_collect import invoices
from tests.telling_provider import NOW
from tests.web.test_server import World

SECRETS = {
    "TALLY_STRIPE_KEY": "sk_test_of_nobody", "TALLY_STRIPE_WEBHOOK_SECRET": "whsec_of_nobody",
    "TALLY_PAYPAL_CLIENT": "client", "TALLY_PAYPAL_SECRET": "secret_of_nobody",
    "TALLY_LINK_SECRET": "a secret of 32 characters or more", "TALLY_PUBLIC_URL": "https://bills.example",
    "TALLY_PAYPAL_WEBHOOK_ID": "8AB12345CD678901E",
}  # fmt: skip


@pytest.fixture
def typed(tally: Tally, sandbox: Sandbox, monkeypatch: Any, capsys: Any) -> Any:
    """Runs a command; what it printed as JSON, or how it was refused."""
    monkeypatch.setenv("DATABASE_URL", tally.dsn)
    monkeypatch.setenv("TALLY_STRIPE_KEY", "sk_test_1")
    monkeypatch.setenv("TALLY_STRIPE_BASE", sandbox.url)

    def run(*words: str) -> Any:
        status = main([*words, "--json"])
        printed = capsys.readouterr()
        return json.loads(printed.err)["error"] if status else json.loads(printed.out)

    return run


def test_what_webhooks_missed_is_caught_up_taken_in_shown_and_replayed(typed, tally, sandbox):
    (invoice,) = invoices(tally, 1)
    World(tally, sandbox).pay(invoice)
    sandbox.clock.advance(60)  # the provider tells more of a charge a moment later, which has to be over
    found = typed("webhooks", "catch-up", "--days", "30")["stripe"]
    assert found["new"] >= 2
    assert typed("webhooks", "catch-up")["stripe"] == {"new": 0, "known": found["new"]}
    assert [one["state"] for one in typed("webhooks", "list")] == ["new"] * found["new"]
    taken = typed("webhooks", "process")
    assert taken["done"] >= 1
    assert sum(taken.values()) == found["new"]
    assert typed("webhooks", "process") == {}
    assert typed("payments", "open") == []
    (paid,) = [one for one in typed("webhooks", "list") if one["kind"] == "payment_intent.succeeded"]
    (shown,) = typed("webhooks", "show", paid["event"])
    assert json.loads(shown["body"])["id"] == paid["event"]
    assert [one["state"] for one in typed("webhooks", "replay", paid["event"])] == ["done"]
    assert len(typed("payments", "list")) == 1
    first = typed("webhooks", "list", "--limit", "1")
    rest = typed("webhooks", "list", "--after", first[0]["event"])
    assert len(first + rest) == found["new"]
    assert typed("webhooks", "show", "evt_nothing")["code"] == "not_found"
    assert typed("webhooks", "list", "--state", "odd")["code"] == "invalid"
    assert not [check for check in typed("verify") if check["found"]]


def test_an_alarm_is_told_by_verify_until_somebody_looked(typed, tally, sandbox, capsys):
    (invoice,) = invoices(tally, 1)
    world = World(tally, sandbox)
    attempt = tally.billing.execute(OpenAttempt(invoice, "stripe", NOW, customer="cus_1", method="pm_card_visa"))
    tally.billing.execute(BindObject(invoice, attempt.opened.attempt, "pi_of_another"))
    made = world.stripe.create(attempt.order())
    world.stripe.confirm(attempt.order(), made.object)
    typed("webhooks", "catch-up")
    assert typed("webhooks", "process")["quarantined"] >= 1
    assert main(["verify", "--json"]) == 3
    assert [check["name"] for check in json.loads(capsys.readouterr().out) if check["found"]] == ["inbox"]
    for one in typed("webhooks", "list", "--state", "quarantined"):
        assert one["seen_at"] is None
        typed("webhooks", "show", one["event"], "--seen")
    assert all(one.seen_at for one in inbox.listed(tally.pool, "quarantined"))
    assert "inbox" not in [check["name"] for check in typed("verify") if check["found"]]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"TALLY_STRIPE_WEBHOOK_SECRET": ""}, "TALLY_STRIPE_WEBHOOK_SECRET is not"),
        ({"TALLY_STRIPE_WEBHOOK_SECRET": "whsec_of_nobody,,x"}, "empty secret"),
        ({"TALLY_PAYPAL_WEBHOOK_ID": ""}, "TALLY_PAYPAL_WEBHOOK_ID is not"),
        ({"TALLY_PAYPAL_WEBHOOK_ID": "WEBHOOK_ID"}, "simulator"),
        ({"TALLY_LINK_SECRET": "short"}, "32 characters"),
        ({"TALLY_PUBLIC_URL": "javascript:alert(1)"}, "TALLY_PUBLIC_URL"),
        ({"TALLY_PUBLIC_URL": "http://bills.example"}, "TALLY_PUBLIC_URL"),
        (dict.fromkeys(SECRETS, ""), "nothing to serve"),
    ],
)
def test_serve_refuses_to_start_without_what_tells_genuine_from_forged(monkeypatch, capsys, changed, says):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    for name, value in {**SECRETS, **changed}.items():
        monkeypatch.setenv(name, value)
    assert main(["serve", "--json"]) == 2
    printed = "".join(capsys.readouterr())
    assert says in printed
    assert "of_nobody" not in printed.replace(changed.get("TALLY_PUBLIC_URL", "-"), "")
