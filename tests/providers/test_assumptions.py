"""The owner of a test key can try what we assume of Stripe; tried at the sandbox, everything holds."""

from __future__ import annotations

import json
import time

import pytest

from adapters.cli.main import main
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox


def test_the_sandbox_does_what_we_assume_and_the_command_says_so(monkeypatch, capsys):
    with Sandbox(clock=Clock(time.time)) as sandbox:
        monkeypatch.setenv("TALLY_STRIPE_KEY", "sk_test_1")
        monkeypatch.setenv("TALLY_STRIPE_BASE", sandbox.url)
        assert main(["providers", "confirm", "--patience", "0", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert len(found) == 19
        assert {one["found"] for one in found} == {"ok"}
        monkeypatch.setattr(sandbox.stripe, "writes", [one for one in sandbox.stripe.writes if "refunds" not in one[0]])
        assert main(["providers", "confirm", "--patience", "0"]) == 3
        assert "2 of 19 assumptions do not hold" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["sk_live_1", "rk_test_1", ""])
def test_it_is_never_tried_with_a_key_that_moves_money(monkeypatch, capsys, key):
    monkeypatch.setenv("TALLY_STRIPE_KEY", key)
    monkeypatch.setenv("TALLY_STRIPE_BASE", "http://127.0.0.1:9")
    assert main(["providers", "confirm"]) == 2
    assert "test" in capsys.readouterr().err
