"""The morning of who books the bank, by the commands that they type."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.cli.main import main
from domain.statement import Statement, Transfer
from tests.statements import MAPPING, camt053, csv

DAY = date(2025, 2, 10)
CATALOG = """catalog: 1
packages:
  filter:
    name: Filter
    effective_on: 2025-01-01
    components:
      base: {name: Base fee, bill: in advance, price: {EUR: {flat: "20.00"}}}
"""


@pytest.fixture
def tally(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command as its user would and returns what it printed as JSON, or how it was refused."""
    monkeypatch.setenv("DATABASE_URL", dsn)

    def run(*words: str) -> Any:
        status = main([*words, "--json"])
        printed = capsys.readouterr()
        return json.loads(printed.err)["error"] if status else json.loads(printed.out)

    (tmp_path / "c.yaml").write_text(CATALOG)
    run("catalog", "apply", str(tmp_path / "c.yaml"), "--yes")
    for name in ("acme", "bolt"):
        run("accounts", "open", name, "--name", name.title(), "--tax-percent", "19")
        run("licenses", "start", f"{name}-filter", "--account", name, "--package", "filter", "--on", "2025-02-01")
    run("bill", "--through", "2025-02-01", "--issued-on", "2025-02-01")
    return run


def a_file(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def test_statements_are_imported_settled_cleared_by_hand_and_shown(tally, tmp_path):
    transfers = (Transfer(DAY, 2380, "INV-000001", "Acme", "", "B1"), Transfer(DAY, 3000, "mail", "Bolt", "", "B2"))
    statement = Statement("DE02120300000000202051", "1", "EUR", 0, 5380, DAY, transfers)
    file = a_file(tmp_path, "one.xml", camt053(statement))
    assert tally("bank", "import", file)["code"] == "conflict"
    assert tally("bank", "import", file, "--new-account") == {
        "new": 2, "known": 0, "settled": 1, "suspense": 1, "alarms": []
    }  # fmt: skip
    assert tally("bank", "import", file)["new"] == 0
    (waiting,) = tally("bank", "unmatched")
    assert (waiting["amount"], waiting["why"], waiting["suggestions"]) == ("30.00", "no invoice is named", [])
    tally("bank", "allocate", waiting["transfer"], "INV-000002")
    assert tally("bank", "unmatched") == tally("payments", "open") == []
    receipts = tally("payments", "list")
    assert sorted((one["amount"], one["credit"]) for one in receipts) == [("23.80", "0.00"), ("30.00", "6.20")]
    (before,) = tally("payments", "list", "--limit", "1")
    (after,) = tally("payments", "list", "--limit", "1", "--after", before["receipt"])
    assert {before["receipt"], after["receipt"]} == {one["receipt"] for one in receipts}


def test_credit_pays_the_next_invoice_and_a_returned_payment_opens_it_again(tally, tmp_path):
    mapping = a_file(tmp_path, "map.yaml", MAPPING)
    too_much = (Transfer(DAY, 5000, "INV-000001", "Acme"),)
    first = Statement("DE02120300000000202051", "1", "EUR", 0, 5000, DAY, too_much)
    balances = ["--opening", "0.00", "--closing", "50.00"]
    tally("bank", "import", a_file(tmp_path, "a.csv", csv(first)), "--mapping", mapping, *balances, "--new-account")
    tally("bill", "--through", "2025-03-01", "--issued-on", "2025-03-01")
    tally("payments", "settle", "--on", "2025-03-01")
    assert [(one["account"], one["open"]) for one in tally("payments", "open", "--on", "2025-03-20")] == [
        ("bolt", "23.80"), ("bolt", "23.80")
    ]  # fmt: skip
    back = (Transfer(DAY, -5000, "RETURN MD06", "Acme"),)
    second = Statement("DE02120300000000202051", "2", "EUR", 5000, 0, DAY, back)
    balances = ["--opening", "50.00", "--closing", "0.00"]
    tally("bank", "import", a_file(tmp_path, "b.csv", csv(second)), "--mapping", mapping, *balances)
    (waiting,) = tally("bank", "unmatched")
    (receipt,) = tally("payments", "list", "--account", "acme")
    tally("bank", "return", waiting["transfer"], receipt["receipt"])
    assert [one["open"] for one in tally("payments", "open", "--account", "acme")] == ["23.80", "23.80"]
    assert [check["name"] for check in tally("verify") if check["found"]] == []


def test_a_file_that_does_not_add_up_is_refused_with_its_line_and_changes_nothing(tally, tmp_path):
    transfers = (Transfer(DAY, 2380, "INV-000001", "Acme"),)
    bad = Statement("DE02120300000000202051", "1", "EUR", 0, 2379, DAY, transfers)
    refused = tally("bank", "import", a_file(tmp_path, "bad.xml", camt053(bad)), "--new-account")
    assert refused["code"] == "bad_file"
    assert [fault["code"] for fault in refused["faults"]] == ["does_not_add_up"]
    assert (len(tally("payments", "open")), tally("payments", "list"), tally("bank", "unmatched")) == (2, [], [])
