"""Words that cannot be meant: each is refused with a code, and nothing is written down."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from adapters.cli.main import main
from adapters.embedded import Embedded

CATALOG = """\
catalog: 1
packages:
  seats:
    name: Seats
    effective_on: 2024-01-01
    components:
      base: {name: Base, price: {EUR: {flat: "10.00"}}}
      seats: {name: Seats, quantity: {declared: true}, price: {EUR: {per_unit: "1.00"}}}
"""
LONG = "9" * 5000
OPEN = ["accounts", "open", "x", "--name", "X"]
START = ["licenses", "start", "x", "--account", "acme", "--package", "seats", "--on", "2024-01-01"]
CHANGE = ["licenses", "change", "acme-1", "--on", "2024-02-01", "-q", "seats=6"]
COMMIT = ["licenses", "commit", "acme-1", "--on", "2024-02-01", "--quantity", "5"]
DISCOUNT = ["licenses", "discount", "acme-1", "--name", "d", "--on", "2024-02-01"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "catalog.yaml"
    path.write_text(CATALOG)
    return str(path)


@pytest.fixture
def business(typed, catalog):
    """An account of euros below one of yen, and a license."""
    typed("catalog", "apply", catalog, "--yes")
    typed("accounts", "open", "yen", "--name", "Yen", "--currency", "JPY")
    typed("accounts", "open", "acme", "--name", "Acme", "--parent", "yen")
    typed("licenses", "start", "acme-1", "--account", "acme", "--package", "seats", "--on", "2024-01-01")
    return typed


def _events(home) -> int:
    with psycopg.connect(Embedded(home).start()) as connection:
        row = connection.execute("SELECT count(*) FROM event").fetchone()
    return row[0]


@pytest.mark.parametrize(
    "words",
    [
        [*OPEN, "--tax-percent", "NaN"],
        [*OPEN, "--tax-percent", "1e-400000"],
        [*OPEN, "--tax-percent", "1e1"],
        [*OPEN, "--zone", "x" * 300],
        [*OPEN, "--series", ""],
        [*OPEN, "--series", "inv"],
        [*OPEN, "--series", "x" * 3000],
        [*OPEN, "--credit-series", "CN\n"],
        ["accounts", "change", "acme", "--on", "2024-02-01", "--tax-percent", "NaN"],
        ["accounts", "change", "acme", "--on", "2024-02-01", "--payer", "yen"],
        ["accounts", "change", "acme", "--on", "2024-02-01", "--pool", "users=²"],
        ["accounts", "change", "acme", "--on", "2024-02-01", "--pool", f"users={LONG}"],
        ["accounts", "change", "acme", "--on", "2024-02-01", "--pool", "=5"],
        ["counts", "measure", "--license", "acme-1", "--counter", "c", "--month", "2024-05", "--zone", "Mars/Olympus"],
        ["counts", "names", "--license", "acme-1", "--counter", "c", "--month", "2024-05", "--zone", "x" * 300],
        [*START[:2], "", *START[3:]],
        [*START[:2], "a\nb", *START[3:]],
        [*START, "--term-months", "-1"],
        [*START, "--term-months", "1000000000"],
        [*START, "-q", f"seats={LONG}"],
        [*START, "-q", f"seats={10**30}"],
        [*CHANGE, "--when", "9999-12-31"],
        [*CHANGE, "--when", "0001-01-01"],
        [*COMMIT, "--component", "seets"],
        [*DISCOUNT, "--percent", "NaN"],
        [*DISCOUNT, "--percent", "5", "--component", "seets"],
        [*DISCOUNT, "--amount", "0.001"],
        [*DISCOUNT, "--amount", "1e5"],
        [*DISCOUNT, "--amount", "Infinity"],
    ],
    ids=lambda words: " ".join(word[:12] for word in words[1:]),
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(business, home, words):
    before = _events(home)
    status, answer = business(*words)
    assert (status, answer["error"]["code"] in ("invalid", "not_found", "usage")) == (2, True)
    assert _events(home) == before


def test_a_change_that_was_refused_is_refused_again_when_it_is_repeated(business, home):
    business("licenses", "start", "gone", "--account", "acme", "--package", "seats", "--on", "2024-01-01")
    business("licenses", "cancel", "gone", "--on", "2024-01-10", "--end-on", "2024-01-20")
    words = ["licenses", "change", "gone", "--on", "2024-02-01", "-q", "seats=6", "--id", str(uuid4())]
    first = business(*words)
    assert first == (2, {"error": {"code": "conflict", "message": "gone ends on 2024-01-20"}})
    before = _events(home)
    assert business(*words) == first, "whoever lost the first answer must not take it for done"
    assert _events(home) == before


OF_A_MONTH = ["--license", "acme-1", "--counter", "c", "--month", "2025-06", "--file"]


@pytest.mark.parametrize(
    "words",
    [
        ["catalog", "apply"],
        ["accounts", "dunning", "acme", "--ladder"],
        ["counts", "import"],
        ["counts", "measure", *OF_A_MONTH],
        ["counts", "names", *OF_A_MONTH],
        ["bank", "import"],
        ["bank", "import", __file__, "--mapping"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet", "folder", "folder.parquet"])
def test_a_file_that_cannot_be_read_is_refused_alike_by_every_command(business, home, tmp_path, words, name):
    path = tmp_path / name
    if path.stem == "folder":
        path.mkdir()
    before = _events(home)
    status, answer = business(*words, str(path))
    why = "Is a directory" if path.stem == "folder" else "No such file or directory"
    message = f"cannot be read: {why}"
    fault = {"file": str(path), "line": 0, "field": "", "code": "unreadable", "message": message}
    assert (status, answer["error"]["code"], answer["error"]["faults"]) == (2, "bad_file", [fault])
    assert _events(home) == before


def test_a_page_that_cannot_be_written_is_refused(business, tmp_path):
    business("bill", "--through", "2024-01-01", "--issued-on", "2024-01-01")
    number = business("invoices", "list")[1][0]["number"]
    status, answer = business("mail", "preview", number, "--html", str(tmp_path))
    assert (status, answer["error"]["code"]) == (2, "invalid")
    assert answer["error"]["message"] == f"--html {tmp_path} cannot be written: Is a directory"


@pytest.mark.parametrize("address", ["nonsense", "postgresql://x:s3cret@[y/z", "postgresql://x:s3cret@y/z?no=such"])
def test_an_address_that_is_none_is_refused_without_being_printed(capsys, monkeypatch, address):
    monkeypatch.setenv("DATABASE_URL", address)
    assert main(["accounts", "list", "--json"]) == 2
    said = capsys.readouterr().err
    assert "DATABASE_URL is not" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("words", [["--home"], ["--home", ""], ["--home="], ["--home", __file__]])
def test_a_home_that_is_no_directory_is_refused(capsys, monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    assert main(["accounts", "list", "--json", *words]) == 2
    assert "--home wants a directory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
