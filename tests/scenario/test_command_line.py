"""The command line as its users type it, on an embedded database of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.cli import printing
from adapters.cli.main import main
from jobs import rate
from tests.builders import OBSERVATIONS, READINGS, write_csv

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def tally(typed):
    return typed


@pytest.fixture
def sold(tally):
    """With the catalog of the examples published, whichever test came first."""
    tally("catalog", "apply", str(EXAMPLES / "catalog.yaml"), "--yes")
    return tally


def test_from_a_catalog_to_an_explained_invoice(tally, home, capsys, tmp_path):
    status, changes = tally("catalog", "apply", str(EXAMPLES / "catalog.yaml"))
    assert (status, {change["kind"] for change in changes}) == (0, {"new"})
    status, changes = tally("catalog", "apply", str(EXAMPLES / "catalog.yaml"))
    assert (status, {change["kind"] for change in changes}) == (0, {"unchanged"})
    assert tally("accounts", "open", "acme", "--name", "Acme", "--tax-percent", "19", "--zone", "Europe/Berlin")[0] == 0
    start = ["licenses", "start", "acme-1", "--account", "acme", "--package", "incoming-filter", "--on", "2025-01-10"]
    assert tally(*start)[0] == 0
    assert tally(*start) == (2, {"error": {"code": "conflict", "message": "license acme-1 exists already"}})
    rows = [f"acme-1,mailboxes,2025-01-{day:02d},{60 + day},r{day}" for day in range(10, 32)]
    path = write_csv(tmp_path / "counts.csv", READINGS, rows)
    assert tally("counts", "import", path)[1]["new"] == 22
    assert tally("counts", "import", path)[1]["new"] == 0
    status, preview = tally("preview", "--through", "2025-02-01", "--issued-on", "2025-02-01")
    status, report = tally("bill", "--through", "2025-02-01", "--issued-on", "2025-02-01")
    assert (status, report["billed"], report["documents"]) == (0, 1, 1)
    number = tally("invoices", "list")[1][0]["number"]
    shown = tally("invoices", "show", number)[1]
    assert shown["gross"] == preview["documents"][0]["gross"]
    assert shown["lines"] == preview["documents"][0]["lines"]
    # base 10 Jan–31 Jan: 22 of 31 days of 20.00; February whole; 91 mailboxes for 22 of 31 days of 60.00 + 36.90
    assert [line["amount"] for line in shown["lines"]] == ["14.19", "20.00", "68.77"]
    told = tally("explain", number, "3")[1]
    assert told["quantity"] == "91"
    assert {event["event"] for event in told["events"]} == {"license.started", "counted_users.readings_recorded"}
    limits = tally("limits", "acme-1", "--on", "2025-01-31")[1]
    assert [(one["limit"], one["state"]) for one in limits] == [("mailboxes", "warn"), ("custom_mx", "within")]
    assert all(not check["found"] for check in tally("verify")[1])
    names = ["counts", "names", "--license", "acme-1", "--counter", "mailboxes", "--month", "2025-01"]
    assert tally(*names) == (0, [])
    assert main([*names, "--home", str(home)]) == 0
    assert "readings are numbers without names" in capsys.readouterr().out, "they were billed, so not: 0 counted"


def test_a_reseller_is_billed_with_everything_below_it(sold):
    sold("accounts", "open", "top", "--name", "Top")
    for name in ("left", "right"):
        sold("accounts", "open", name, "--name", name, "--parent", "top", "--payer", "top")
        sold("licenses", "start", name, "--account", name, "--package", "full-filter", "--on", "2025-01-01")
    status, report = sold("bill", "--through", "2025-01-01", "--issued-on", "2025-01-01", "--account", "top")
    assert (status, report["billed"], report["documents"]) == (0, 2, 1)
    assert report["totals"] == [{"currency": "EUR", "kind": "invoice", "documents": 1, "gross": "70.00"}]


def test_a_preview_names_whom_the_run_cannot_bill_and_both_say_so_by_their_status(sold, monkeypatch):
    for name in ("whole", "endless"):
        sold("accounts", "open", name, "--name", name)
        sold("licenses", "start", name, "--account", name, "--package", "full-filter", "--on", "2025-01-01")
    words = ["--through", "2025-01-01", "--issued-on", "2025-01-01", "--account", "endless"]
    monkeypatch.setattr(rate, "LINES_SANE", 0)
    status, previewed = sold("preview", *words)
    reason = "a license came to 1 lines: over the bound of 0"
    assert (status, previewed["failed"]) == (1, [{"account": "endless", "reason": reason}])
    assert previewed["documents"] == [], "the run issues nothing to an account that failed"
    status, report = sold("bill", *words)
    assert (status, report["exceptions"]) == (1, [{"account": "endless", "outcome": "failed", "reason": reason}])
    monkeypatch.undo()
    status, previewed = sold("preview", *words)
    assert (status, previewed["failed"], len(previewed["documents"])) == (0, [], 1)


def test_a_preview_tells_people_what_is_parked_and_who_failed(sold, home, capsys, monkeypatch):
    sold("accounts", "open", "quiet", "--name", "Quiet")
    sold("licenses", "start", "quiet", "--account", "quiet", "--package", "incoming-filter", "--on", "2025-01-01")
    words = ["preview", "--through", "2025-02-01", "--account", "quiet", "--home", str(home)]
    assert main(words) == 0, "a count that is not here yet is no fault"
    assert "no reading of" in capsys.readouterr().out
    monkeypatch.setattr(rate, "LINES_SANE", 0)
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "over the bound of 0" in said
    assert "nothing is due" not in said


def test_a_change_shows_its_money_first_and_a_refusal_says_why(sold):
    sold("accounts", "open", "beta", "--name", "Beta")
    sold("licenses", "start", "beta-1", "--account", "beta", "--package", "full-filter", "--on", "2025-01-01")
    sold("bill", "--through", "2025-01-01", "--issued-on", "2025-01-01", "--account", "beta")
    down = ["licenses", "change", "beta-1", "--package", "incoming-filter", "--on", "2025-01-11"]
    status, refused = sold(*down, "--when", "now")
    assert (status, refused["error"]["code"]) == (2, "conflict")
    assert "2025-02-01" in refused["error"]["message"]
    preview = sold(*down, "--preview")[1]
    assert (preview["effective_on"], preview["net"]) == ("2025-02-01", "-15.00")
    assert [line["amount"] for line in preview["lines"]] == ["20.00"]
    assert [line["amount"] for line in preview["instead_of"]] == ["35.00"]
    same = sold("licenses", "change", "beta-1", "--on", "2025-01-11", "--preview")[1]
    assert (same["net"], same["lines"]) == ("0.00", []), "nothing is due by then that was not billed"
    assert sold(*down)[1] == {"license": "beta-1", "change": "c1", "effective_on": "2025-02-01"}
    changes = sold("licenses", "show", "beta-1", "--on", "2025-01-12")[1]["changes"]
    assert sorted(change["state"] for change in changes) == ["current", "refused", "scheduled"]
    assert [change["package"] for change in changes if change["state"] == "refused"] == ["incoming-filter v1"]
    assert sold("licenses", "withdraw-change", "beta-1", "c1", "--on", "2025-01-12")[0] == 0


def test_counts_are_measured_from_a_file_when_nothing_else_exists(tally, tmp_path):
    rows = [f"l,c,2025-06-{day:02d}T23:30:00+02:00,u{day % 4},o{day}" for day in range(1, 29)]
    path = write_csv(tmp_path / "o.csv", OBSERVATIONS, rows)
    words = ["counts", "measure", "--license", "l", "--counter", "c", "--month", "2025-06", "--file", path]
    assert tally(*words, "--measure", "distinct")[1]["value"] == 4
    assert tally(*words, "--window", "2d", "--measure", "peak")[1]["value"] == 2
    average = tally(*words, "--window", "1d", "--measure", "average")[1]
    assert (average["sum"], average["days"], average["value"]) == (28, 30, 0.933333)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["invoices", "show", "INV-999999"], "not_found"),
        (["bill", "--through", "2025-13-01"], "usage"),
        (["licenses", "start", "x", "--account", "nobody", "--package", "p", "--on", "2025-01-01"], "not_found"),
        (["accounts", "open", "x", "--name", "X", "--currency", "EURO"], "invalid"),
        (["accounts", "open", "x", "--name", "X", "--zone", "Mars/Olympus"], "invalid"),
        (["counts", "measure", "--license", "l", "--counter", "c", "--month", "June"], "invalid"),
        (["counts", "import", "/no/such/file.csv"], "bad_file"),
        (["nonsense"], "usage"),
        (["payments", "list", "--after", "\udcff"], "invalid"),
        (["dunning", "run", "--on", "9999-12-31"], "usage"),
        (["dunning", "run", "--on", "2999-01-01"], "invalid"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_code_and_a_status(tally, words, code):
    status, answer = tally(*words)
    assert status == 2
    assert answer["error"]["code"] == code


def test_every_command_explains_itself(capsys):
    for words in ([], ["catalog"], ["accounts"], ["licenses"], ["counts"], ["invoices"], ["db"], ["projections"]):
        main([*words, "--help"])
        assert "Usage" in capsys.readouterr().out


def test_a_number_is_never_cut_short_however_narrow_the_terminal(capsys, monkeypatch):
    monkeypatch.setattr(printing.console, "_width", 20)
    columns = ["license", "from", "until", "net"]
    printing.show_table(printing.table_of("Draft", columns, [["compilers", "2025-01-10", "2025-02-01", "1000000.65"]]))
    assert "1000000.65" in capsys.readouterr().out


def test_the_title_of_a_narrow_table_stays_on_one_line(capsys, monkeypatch):
    monkeypatch.setattr(printing.console, "_width", 120)
    printing.show({}, printing.table_of("acme: credit is kept (nobody said otherwise)", ["credit"], []))
    assert capsys.readouterr().out.splitlines()[0].rstrip() == "acme: credit is kept (nobody said otherwise)"


def test_an_account_shows_by_what_it_may_be_charged(sold, home, capsys, monkeypatch):
    monkeypatch.setattr(printing.console, "_width", 300)
    sold("accounts", "open", "carded", "--name", "Carded")
    assert sold("accounts", "show", "carded")[1]["methods"] == []
    sold("accounts", "pay-by", "carded", "paypal", "cus_1", "vault_1", "--label", "PayPal of ada")
    sold("accounts", "pay-by", "carded", "stripe", "cus_2", "pm_1", "--label", "visa …4242")
    assert sold("accounts", "show", "carded")[1]["methods"] == [
        {"provider": "paypal", "label": "PayPal of ada", "method": "vault_1", "charged": False},
        {"provider": "stripe", "label": "visa …4242", "method": "pm_1", "charged": True},
    ]
    assert main(["accounts", "show", "carded", "--home", str(home)]) == 0
    (charged,) = [line for line in capsys.readouterr().out.splitlines() if "is charged" in line]
    assert "visa …4242" in charged


def test_an_address_is_never_broken_however_narrow_the_terminal(capsys, monkeypatch):
    monkeypatch.setattr(printing.console, "_width", 20)
    printing.show({}, f"INV-000001: action_required https://pay.example/c/{'a' * 300}")
    assert f"https://pay.example/c/{'a' * 300}\n" in capsys.readouterr().out


def test_accounts_are_listed_as_they_are_billed_today(sold):
    sold("accounts", "open", "above", "--name", "Above")
    terms = ["--name", "Later", "--parent", "above", "--billing-day", "3", "--tax-percent", "19"]
    assert sold("accounts", "open", "later", *terms)[0] == 0
    for day, of_month, tax in (("2020-01-01", "20", "7"), ("2999-01-01", "9", "8")):
        sold("accounts", "change", "later", "--on", day, "--billing-day", of_month, "--tax-percent", tax)
    sold("accounts", "change", "later", "--on", "2999-01-01", "--payer", "above")
    (listed,) = [one for one in sold("accounts", "list")[1] if one["reference"] == "later"]
    assert {**listed, "methods": []} == sold("accounts", "show", "later")[1]
    assert (listed["payer"], listed["billing_day"], listed["tax_percent"]) == (None, 20, "7")


def test_what_others_wrote_is_printed_as_they_wrote_it(sold, home, capsys, monkeypatch):
    monkeypatch.setattr(printing.console, "_width", 300)
    name = "Odd [/b] :id: [EU]"
    sold("accounts", "open", "odd", "--name", name)
    for words in (["accounts", "list"], ["accounts", "show", "odd"]):
        assert main([*words, "--home", str(home)]) == 0
        assert name in capsys.readouterr().out
    sold("accounts", "open", "loud", "--name", "\x1b[31mred\x07")
    assert main(["accounts", "show", "loud", "--home", str(home)]) == 0
    assert "\ufffd[31mred\ufffd" in capsys.readouterr().out, "what comes from outside turns no terminal red"


def test_a_fault_is_one_line_however_long_it_is(capsys, tmp_path):
    path = write_csv(tmp_path / ("a" * 100), READINGS, ["l,c,2025-13-01,1,r1"])
    assert main(["counts", "measure", "--license", "l", "--counter", "c", "--month", "2025-01", "--file", path]) == 2
    said = capsys.readouterr().err
    assert said == f"bad_file: {path}:2: day: '2025-13-01' is not a day such as 2025-01-31\n"


def test_units_that_come_and_go_are_billed_and_explained_by_their_days(tally, tmp_path):
    catalog = tmp_path / "seats.yaml"
    catalog.write_text(
        "catalog: 1\npackages: {seats: {name: Seats, effective_on: 2025-01-01, counters: {seats: {measure: last}}, "
        "components: {seats: {name: Seats, charge: usage, quantity: {counted: seats, by_day: true}, "
        'price: {EUR: {per_unit: "31.00"}}}}}}\n'
    )
    assert tally("catalog", "apply", str(catalog), "--yes")[0] == 0
    assert tally("accounts", "open", "day-by-day", "--name", "Day by Day", "--zone", "UTC")[0] == 0
    words = ["--account", "day-by-day", "--package", "seats", "--on", "2025-01-01"]
    assert tally("licenses", "start", "by-day", *words)[0] == 0
    path = write_csv(tmp_path / "seats.csv", READINGS, ["by-day,seats,2025-01-01,2,a", "by-day,seats,2025-01-22,1,b"])
    assert tally("counts", "import", path)[0] == 0
    assert tally("bill", "--through", "2025-02-01", "--issued-on", "2025-02-01")[0] == 0
    number = next(one["number"] for one in tally("invoices", "list")[1] if one["party"] == "Day by Day")
    told = tally("explain", number, "1")[1]
    # One seat for 31 days and one for 21, at a euro each day.
    assert (told["amount"], told["computation"]) == (
        "52.00", "52.00 for the period, each unit for the days that it was there",
    )  # fmt: skip


LADDER = """\
dunning:
  days: business
  calendar: DE
  steps:
    - {name: reminder, after: 2 days, remind: reminder}
    - {name: filter off, after: 5 days, effect: filter off}
"""


def test_an_overdue_invoice_is_chased_claimed_paused_paid_and_told_in_order(tally, home, capsys, tmp_path):
    catalog = tmp_path / "d.yaml"
    catalog.write_text(
        "catalog: 1\npackages:\n  dun:\n    name: Dun\n    effective_on: 2025-01-01\n    components:\n"
        '      base: {name: Base, price: {EUR: {flat: "10.00"}}}\n'
    )
    ladder = tmp_path / "ladder.yaml"
    ladder.write_text(LADDER.replace("after: 5", "after: 2"))
    assert tally("catalog", "apply", str(catalog), "--yes")[0] == 0
    tally("accounts", "open", "slow", "--name", "Slow", "--terms-days", "0")
    status, told = tally("accounts", "dunning", "slow", "--ladder", str(ladder))
    assert (status, told["error"]["faults"][0]["line"]) == (2, 6)
    ladder.write_text(LADDER)
    assert tally("accounts", "dunning", "slow", "--ladder", str(ladder))[0] == 0
    tally("licenses", "start", "slow-1", "--account", "slow", "--package", "dun", "--on", "2025-06-02")
    tally("bill", "--through", "2025-06-02", "--issued-on", "2025-06-02", "--account", "slow")
    number = tally("invoices", "list", "--account", "slow")[1][0]["number"]
    for day in ("2025-06-03", "2025-06-04", "2025-06-10", "2025-06-10"):
        assert tally("dunning", "run", "--on", day)[0] == 0
    (chase,) = (one for one in tally("dunning", "list")[1] if one["number"] == number)
    assert (chase["state"], chase["stage"], chase["effect"]) == ("chasing", "filter off", "filter_off")
    assert tally("licenses", "show", "slow-1")[1]["suspended"] == "unpaid: filter off"
    blocked = tally("limits", "slow-1", "--on", "2025-06-11")[1][0]
    assert (blocked["state"], blocked["may_add"], blocked["why"]) == ("blocked", False, "unpaid: filter off")
    assert tally("dunning", "claim", number, "--on", "2025-06-09")[0] == 2, "that would have been here by now"
    assert tally("licenses", "resume", "slow-1", "--reason", "unpaid")[0] == 2
    assert tally("dunning", "pause", number, "--why", "promised", "--restore")[0] == 0
    assert tally("licenses", "show", "slow-1")[1]["suspended"] == ""
    assert tally("dunning", "pause", number)[0] == 2
    assert tally("dunning", "resume", number)[0] == 0
    assert tally("dunning", "write-off", number, "--why", "gone")[0] == 0
    assert tally("dunning", "show", "INV-999999")[0] == 2
    moments = tally("dunning", "show", number)[1]
    steps = [one["text"] for one in moments if one["topic"] == "dunning.stage_reached"]
    assert steps == ["step 1: reminder", "step 2: filter off"], "each word once"
    capsys.readouterr()
    assert main(["dunning", "list", "--ended", "--home", str(home)]) == 0
    assert "filter_off" not in capsys.readouterr().out, "people read words"
    topics = [one["topic"] for one in moments]
    assert topics == [
        "invoice.issued", "dunning.started", "dunning.stage_reached", "dunning.stage_reached", "license.suspended",
        "dunning.paused", "license.resumed", "dunning.resumed", "license.suspended", "dunning.ended",
        "collection.hold_placed",
    ]  # fmt: skip
    assert tally("verify")[0] == 0
