"""What somebody new gets wrong: the thing is named, and nothing is written down; what can be asked is answered."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from adapters.cli.main import main
from adapters.embedded import Embedded
from tests.builders import OBSERVATIONS, READINGS, write_csv

CATALOG = """\
catalog: 1
packages:
  guard:
    name: Guard
    effective_on: 2024-01-01
    counters:
      mailboxes: {measure: peak}
      domains: {measure: last}
    components:
      base: {name: Base, price: {EUR: {flat: "10.00"}}}
    dunning: {steps: [{name: one letter, after: 9 days, remind: reminder}]}
"""
LADDER = "dunning: {steps: [{name: hurry, after: 1 day, effect: filter off}]}\n"
JUNE = ["--license", "acme-1", "--month", "2024-06", "--counter"]


@pytest.fixture
def business(typed, tmp_path):
    """An account without a mail address, and a license."""
    (tmp_path / "c.yaml").write_text(CATALOG)
    typed("catalog", "apply", str(tmp_path / "c.yaml"), "--yes")
    typed("accounts", "open", "acme", "--name", "Acme Ltd")
    typed("licenses", "start", "acme-1", "--account", "acme", "--package", "guard", "--on", "2024-01-10")
    return typed


@pytest.mark.parametrize("command", ["measure", "names"])
def test_a_misspelt_counter_is_refused_with_those_that_there_are(business, tmp_path, command):
    rows = ["acme-1,mailboxes,2024-06-03,7,r1", "acme-1,trucks,2024-06-03,2,r2"]
    business("counts", "import", write_csv(tmp_path / "c.csv", READINGS, rows))
    status, answer = business("counts", command, *JUNE, "mailbox")
    assert (status, answer["error"]["code"]) == (2, "not_found")
    for word in ("acme-1", "'mailbox'", "mailboxes", "domains"):
        assert word in answer["error"]["message"]


def test_a_counter_that_is_counted_or_was_told_of_is_measured(business, tmp_path):
    rows = ["acme-1,mailboxes,2024-06-03,7,r1", "acme-1,trucks,2024-06-03,2,r2"]
    business("counts", "import", write_csv(tmp_path / "c.csv", READINGS, rows))
    seen = ["acme-1,vans,2024-06-03T09:00:00Z,van-1,r1"]
    business("counts", "import", write_csv(tmp_path / "o.csv", OBSERVATIONS, seen))
    measured = {name: business("counts", "measure", *JUNE, name)[1]["value"] for name in ("mailboxes", "trucks")}
    assert measured == {"mailboxes": 7, "trucks": 2}
    september = ["--license", "acme-1", "--month", "2024-09", "--counter"]
    assert business("counts", "measure", *september, "vans")[0] == 0, "told of in another month, and not closed yet"
    assert business("counts", "measure", *JUNE, "domains")[0] == 0, "counted, and nobody told anything yet"


def test_a_notice_before_the_start_of_a_license_that_has_begun_is_refused(business):
    status, answer = business("licenses", "cancel", "acme-1", "--on", "2014-02-01")
    assert (status, answer["error"]["code"]) == (2, "invalid")
    for word in ("acme-1", "2024-01-10", "2014-02-01", "--end-on"):
        assert word in answer["error"]["message"]
    status, answer = business("licenses", "cancel", "acme-1", "--on", "2024-02-01", "--end-on", "2024-01-09")
    assert (status, answer["error"]["message"]) == (2, "acme-1 starts on 2024-01-10, after 2024-01-09")
    assert business("licenses", "show", "acme-1")[1]["end_on"] is None


def test_a_license_ends_on_its_very_start_as_if_it_had_never_begun(business):
    business("licenses", "start", "never", "--account", "acme", "--package", "guard", "--on", "2024-01-10")
    words = ["licenses", "cancel", "never", "--on", "2024-01-05", "--end-on", "2024-01-10"]
    assert business(*words) == (0, {"license": "never", "end_on": "2024-01-10"})
    soon = (datetime.now(UTC).date() + timedelta(days=40)).isoformat()
    business("licenses", "start", "soon", "--account", "acme", "--package", "guard", "--on", soon)
    assert date.fromisoformat(business("licenses", "cancel", "soon")[1]["end_on"]) >= date.fromisoformat(soon)


def test_the_ladder_that_holds_for_an_account_is_shown_and_nothing_is_changed(business, home, tmp_path, capsys):
    business("accounts", "open", "new", "--name", "New")
    status, shown = business("accounts", "dunning", "new")
    assert (status, shown["whose"], len(shown["ladder"]["steps"])) == (0, "nobody said otherwise", 5)
    shown = business("accounts", "dunning", "acme")[1]
    assert (shown["account"], shown["whose"]) == ("acme", "of its packages")
    assert [step["name"] for step in shown["ladder"]["steps"]] == ["one letter"]
    (tmp_path / "ladder.yaml").write_text(LADDER)
    own = business("accounts", "dunning", "acme", "--ladder", str(tmp_path / "ladder.yaml"))[1]
    assert own == business("accounts", "dunning", "acme")[1]
    assert (own["whose"], own["ladder"]["steps"][0]["effect"]) == ("its own", "filter_off")
    assert main(["accounts", "dunning", "acme", "--home", str(home)]) == 0
    printed = capsys.readouterr().out
    assert "acme is chased by a ladder of its own" in printed
    assert "hurry" in printed
    assert business("accounts", "dunning", "acme", "--packages")[1] == shown
    assert business("accounts", "dunning", "nobody")[1]["error"]["code"] == "not_found"


def test_a_letter_that_nobody_would_get_says_so(business, home, capsys):
    business("bill", "--through", "2024-01-10", "--issued-on", "2024-01-10", "--account", "acme")
    number = business("invoices", "list", "--account", "acme")[1][0]["number"]
    status, shown = business("mail", "preview", number)
    assert (status, shown["to"], shown["nobody"]) == (0, "", "the account has no usable mail address")
    assert main(["mail", "preview", number, "--home", str(home)]) == 0
    assert capsys.readouterr().out.startswith("To: nobody: the account has no usable mail address")
    business("accounts", "change", "acme", "--on", "2024-02-01", "--email", "books@acme.example")
    shown = business("mail", "preview", number)[1]
    assert (shown["to"], shown["nobody"]) == ("books@acme.example", "")


def events(home) -> int:
    with psycopg.connect(Embedded(home).start()) as connection:
        row = connection.execute("SELECT count(*) FROM event").fetchone()
    return row[0]


OPEN = ["accounts", "open", "new-one", "--name", "New"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["accounts", "--name", "X", "open", "x"], ["--name"]),
        (["open", "accounts", "x"], ["'open'"]),
        ([*OPEN, "--currency", "eur"], ["'eur'", "ISO 4217"]),
        ([*OPEN, "--tax-percent", "7,7"], ["--tax-percent", "'7,7'"]),
        ([*OPEN, "--email", "nonsense"], ["--email", "'nonsense'"]),
        ([*OPEN, "--language", "klingon"], ["--language", "'klingon'", "de, en"]),
        ([*OPEN, "--country", "Germany"], ["--country", "'Germany'", "such as DE"]),
        (["accounts", "change", "acme", "--on", "2024-02-01", "--email", "a@b"], ["--email", "'a@b'"]),
        (["accounts", "show", "nobody"], ["account nobody"]),
        (["accounts", "credit", "acme", "--pay-out", "idle", "--over", "5,00"], ["--over", "'5,00'"]),
        (["accounts", "credit", "acme", "--pay-out", "idle", "--over", "5.005"], ["--over", "5.005", "EUR"]),
        (["licenses", "start", "x", "--account", "acme", "--package", "gard", "--on", "2024-02-01"], ["package gard"]),
        (["licenses", "start", "x", "--account", "acme", "--package", "guard", "--on", "2025-02-30"], ["2025-02-30"]),
        (["licenses", "discount", "acme-1", "--name", "d", "--on", "2024-02-01", "--amount", "5,00"], ["--amount"]),
        (["licenses", "show", "acme-2"], ["license acme-2"]),
        (["invoices", "show", "INV-1"], ["INV-1"]),
        (["mail", "preview", "INV-1"], ["INV-1"]),
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_a_first_mistake_is_named_and_changes_nothing(business, home, words, named):
    before = events(home)
    status, answer = business(*words)
    assert (status, events(home)) == (2, before)
    for word in named:
        assert word in answer["error"]["message"]


HEAD = "license,counter,day,quantity,report_id\n"
MAPPED = ["bank", "import", __file__, "--mapping"]


@pytest.mark.parametrize(
    ("words", "content", "said"),
    [
        (["catalog", "apply"], "", ":1: the file is empty"),
        (["counts", "import"], "", ":1: the file is empty"),
        (["counts", "import"], HEAD.replace(",", ";"), ":1: license: the column is missing"),
        (["counts", "import"], HEAD + "acme-1,mailboxes,2025-02-30,5,x\n", ":2: day: '2025-02-30' is not a day"),
        (["counts", "import"], HEAD + 'acme-1,mailboxes,2025-02-03,"5,5",x\n', ":2: quantity: '5,5' is not a whole"),
        (["bank", "import"], "", "neither camt.053 nor MT940"),
        (MAPPED, "", "a mapping has account, currency and columns"),
        (MAPPED, CATALOG, "account: is missing"),
        (
            ["accounts", "dunning", "acme", "--ladder"],
            CATALOG,
            ":2: packages: there is no such field: known are dunning",
        ),
    ],
)
def test_a_file_that_is_not_what_was_meant_is_named_with_its_fault(business, home, tmp_path, words, content, said):
    (tmp_path / "file").write_text(content)
    before = events(home)
    status, answer = business(*words, str(tmp_path / "file"))
    assert (status, answer["error"]["code"], events(home)) == (2, "bad_file", before)
    assert f"{tmp_path / 'file'}:" in answer["error"]["message"]
    assert said in answer["error"]["message"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_mark_of_byte_order_and_the_line_ends_of_windows_are_taken(business, tmp_path, ending):
    text = CATALOG.replace("guard:", "other:").replace("2024", "2023").replace("\n", ending)
    (tmp_path / "w.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert business("catalog", "apply", str(tmp_path / "w.yaml"), "--yes")[0] == 0
    row = HEAD + "acme-1,mailboxes,2024-03-03,5,w\n"
    (tmp_path / "w.csv").write_bytes(b"\xef\xbb\xbf" + row.replace("\n", ending).encode())
    assert business("counts", "import", str(tmp_path / "w.csv"))[1]["rows"] == 1
