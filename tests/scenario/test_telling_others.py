"""Endpoints and mails by the command line, and delivered by the scheduler, as an operator does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from standardwebhooks import Webhook

from adapters.cli.main import main
from adapters.schedule import Scheduler
from tests.builders import declared_package, publish
from tests.mailbox import Mailbox
from tests.receiver import Receiver
from tests.store.test_deliver import KEY

Run = Callable[..., Any]


@pytest.fixture
def run(dsn, monkeypatch, capsys) -> Run:
    """Runs a command, as JSON; the exit status is looked at."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("TALLY_OUTGOING_KEY", KEY)
    monkeypatch.setenv("TALLY_OUTGOING_LOOPBACK", "1")

    def command(*words: str, status: int = 0) -> Any:
        assert main([*words, "--json"]) == status
        said = capsys.readouterr()
        return json.loads(said.out or said.err)

    return command


def a_business(run: Run, tally: Any) -> None:
    publish(tally, declared_package())
    run("accounts", "open", "acme", "--name", "Acme", "--tax-percent", "19", "--language", "de")
    run("accounts", "change", "acme", "--on", "2025-01-01", "--email", "books@acme.example")


def test_an_operator_tells_an_endpoint_and_the_accounts_and_sees_what_became_of_it(run, tally, monkeypatch):
    with Receiver() as receiver, Mailbox() as mailbox:
        monkeypatch.setenv("TALLY_SMTP_URL", mailbox.url)
        monkeypatch.setenv("TALLY_MAIL_FROM", "Billing <billing@seller.example>")
        a_business(run, tally)
        added = run("endpoints", "add", receiver.url, "--types", "invoice.*, license.started")
        name, secret = added["endpoint"], added["secret"]
        run("mail", "enable")
        run("mail", "enable")
        assert run("endpoints", "test", name)["outcome"] == "sent"
        assert run("mail", "test", "me@acme.example")["status"] == "250"
        run(
            "licenses",
            "start",
            "l",
            "--account",
            "acme",
            "--package",
            "declared",
            "--on",
            "2025-02-01",
            "--quantity",
            "seats=5",
        )
        run("bill", "--through", "2025-02-01", "--issued-on", "2025-02-01")
        assert run("deliver") == {"sent": 3}
        kinds = [Webhook(secret).verify(request.body, request.headers)["type"] for request in receiver.requests]
        assert sorted(kinds) == ["endpoint.test", "invoice.issued", "license.started"]
        assert [mail["subject"] for mail in mailbox.mails] == ["Test", "Rechnung INV-000001 über 11,90\xa0€"]
        listed = run("deliveries", "list", "--limit", "2")
        rest = run("deliveries", "list", "--after", listed[-1]["message"])
        assert {one["state"] for one in [*listed, *rest]} == {"sent"}
        assert len({one["message"] for one in [*listed, *rest]}) == 3
        (bill,) = (one for one in [*listed, *rest] if one["to"] == name and one["type"] == "invoice.issued")
        assert run("deliveries", "show", bill["message"])["body"]["data"]["gross"] == 1190
        assert run("deliveries", "replay", bill["message"]) == {"replayed": 1}
        assert run("deliver") == {"sent": 1}
        assert Webhook(run("endpoints", "rotate", name)["secret"]) != Webhook(secret)
        monkeypatch.setenv("TALLY_PUBLIC_URL", "https://pay.seller.example")
        monkeypatch.setenv("TALLY_LINK_SECRET", "s" * 32)
        preview = run("mail", "preview", "INV-000001", "--template", "last_reminder", "--language", "en")
        assert "\nhttps://pay.seller.example/pay/" in preview["text"]
        assert preview["subject"] == "Last reminder: invoice INV-000001 is open"
        run("endpoints", "disable", name)
        run("mail", "disable")
        assert {one["state"] for one in run("endpoints", "list")} == {"disabled"}
        run("endpoints", "enable", name)
        run("endpoints", "remove", name)
        assert [one["endpoint"] for one in run("endpoints", "list")] == ["mail"]
        assert main(["endpoints", "types"]) == 0
        assert main(["deliveries", "list"]) == 0


def test_what_cannot_be_is_refused_and_changes_nothing(run, monkeypatch):
    for url in ("http://169.254.169.254/", "https://127.0.0.1/", "https://user@example.com/", "http://localhost:80/"):
        assert run("endpoints", "add", url, status=2)["error"]["code"] == "invalid"
    assert run("endpoints", "add", "https://hooks.example.com/", "--types", "invoice.sent", status=2)
    assert run("endpoints", "add", "https://hooks.example.com/", "--types", ",", status=2)
    assert run("endpoints", "add", "https://hooks.example.com/", "--account", "nobody", status=2)
    monkeypatch.setenv("TALLY_OUTGOING_LOOPBACK", "")
    assert run("endpoints", "add", "http://127.0.0.1:8000/", status=2)
    monkeypatch.setenv("TALLY_OUTGOING_KEY", "short")
    assert "openssl" in run("endpoints", "add", "https://hooks.example.com/", status=2)["error"]["message"]
    assert run("endpoints", "list") == []
    assert "TALLY_SMTP_URL" in run("mail", "enable", status=2)["error"]["message"]
    assert run("deliveries", "replay", status=2)
    assert run("deliveries", "show", "msg_none", status=2)["error"]["code"] == "not_found"
    monkeypatch.setenv("TALLY_SMTP_URL", "smtp://mail.example")
    assert "TALLY_MAIL_FROM" in run("mail", "enable", status=2)["error"]["message"]


def test_the_scheduler_delivers_by_itself(run, tally, dsn, monkeypatch):
    monkeypatch.setattr("adapters.schedule.DELIVER_SECONDS", 0.1)
    with Receiver() as receiver:
        a_business(run, tally)
        run("endpoints", "add", receiver.url)
        run("licenses", "start", "l", "--account", "acme", "--package", "declared", "--on", str(date.today()))  # noqa: DTZ011
        from adapters.bootstrap import open_tally
        from adapters.settings import settings

        with open_tally(settings()) as serving:
            Scheduler(serving, interval=0.1).run(seconds=3)
        assert [json.loads(request.body)["type"] for request in receiver.requests] == ["license.started"]
