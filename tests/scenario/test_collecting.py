"""Cards on file are charged by the commands that a person types, against the sandbox as its own process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from adapters.bootstrap import Tally
from adapters.cli.main import main
from tests.store.test_collect import invoices


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """`tally sandbox` on a free port, and the environment that it asks for."""
    command = [sys.executable, "-c", "from adapters.cli.main import main; main(['sandbox', '--port', '0'])"]
    with subprocess.Popen([*command[:1], "-u", *command[1:]], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            for name, value in re.findall(r"(TALLY_STRIPE_[A-Z]+)=(\S+)", line):
                monkeypatch.setenv(name, value)
            if "declined" in line:
                break
        yield running
        running.kill()


def test_cards_are_charged_once_declines_are_told_and_another_card_pays(tally, dsn, sandbox, monkeypatch, capsys):
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
    assert [one["open"] for one in run("payments", "open", "--on", str(date(2025, 2, 1)))] == [2380]
    assert [check["name"] for check in run("verify") if check["found"]] == []
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
