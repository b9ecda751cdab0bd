"""Cards on file are charged by the commands that a person types, against the sandbox as its own process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import stripe

from adapters.bootstrap import Tally
from adapters.cli.main import main
from tests.store.test_collect import invoices


class Hook(BaseHTTPRequestHandler):
    """Takes webhooks in."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((body, self.headers["Stripe-Signature"]))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        server.came = []  # type: ignore[attr-defined]
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, hook: Any) -> Iterator[subprocess.Popen[str]]:
    """`tally sandbox` on a free port, and the environment that it asks for."""
    words = ["sandbox", "--port", "0", "--webhook-url", f"http://127.0.0.1:{hook.server_port}/"]
    command = [sys.executable, "-c", f"from adapters.cli.main import main; main({words!r})"]
    with subprocess.Popen([*command[:1], "-u", *command[1:]], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            for name, value in re.findall(r"(TALLY_STRIPE_[A-Z_]+)=(\S+)", line):
                monkeypatch.setenv(name, value)
            if "Ready" in line:
                break
        yield running
        running.kill()


def test_cards_are_charged_once_declines_are_told_and_another_card_pays(tally, dsn, sandbox, hook, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", dsn)

    def run(*words: str) -> Any:
        status = main([*words, "--json"])
        printed = capsys.readouterr()
        return json.loads(printed.err)["error"] if status else json.loads(printed.out)

    invoices(tally, 3)
    run("accounts", "pay-by", "a0", "stripe", "cus_0", "pm_card_visa")
    run("accounts", "pay-by", "a1", "stripe", "cus_1", "pm_card_chargeDeclined")
    assert run("payments", "collect") == {"succeeded": 1, "cancelled": 1, "skipped": 1}
    assert run("payments", "collect") == {"skipped": 2}, "a declined card is not charged again by itself"
    declined = next(one for one in run("payments", "attempts") if one["code"])
    assert (declined["code"], run("payments", "retry", declined["number"])["state"]) == ("generic_decline", "cancelled")
    run("accounts", "pay-by", "a1", "stripe", "cus_1", "pm_card_visa")
    assert run("payments", "retry", declined["number"])["state"] == "succeeded"
    assert [one["open"] for one in run("payments", "open", "--on", str(date(2025, 2, 1)))] == ["23.80"]
    assert [check["name"] for check in run("verify") if check["found"]] == []
    secret = os.environ["TALLY_STRIPE_WEBHOOK_SECRET"]
    until = time.monotonic() + 20
    while len(taken := [one for one in hook.came if b'"type":"payment_intent.succeeded"' in one[0]]) < 2:
        assert time.monotonic() < until, "the sandbox tells of every payment by itself"
        time.sleep(0.1)
    assert [stripe.Webhook.construct_event(*one, secret).type for one in taken] == ["payment_intent.succeeded"] * 2
    sandbox.send_signal(signal.SIGINT)
    assert "4760 minor units of 2 invoices" in sandbox.communicate(timeout=20)[0]


def test_without_a_key_nothing_is_tried_and_a_key_goes_to_stripe_or_loopback_only(
    tally: Tally, dsn, monkeypatch, capsys
):
    monkeypatch.setenv("DATABASE_URL", dsn)
    assert main(["payments", "collect"]) == 2
    assert "TALLY_STRIPE_KEY" in capsys.readouterr().err
    monkeypatch.setenv("TALLY_STRIPE_KEY", "sk_test_1")
    for base in ("http://127.0.0.1.evil.example:80", "https://api.stripe.com.evil.example", "http://api.stripe.com"):
        monkeypatch.setenv("TALLY_STRIPE_BASE", base)
        assert main(["payments", "collect"]) == 2
        assert "TALLY_STRIPE_BASE" in capsys.readouterr().err
