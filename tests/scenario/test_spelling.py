"""A price spelled in two ways by a catalog, billed by processes that saw one or the other first."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg
import pytest

from adapters.embedded import Embedded

MONTH = ["--through", "2025-02-01", "--issued-on", "2025-02-01"]
IN_ONE_PROCESS = """
import json, sys
from adapters.cli.main import main
sys.exit(any([main(words) for words in json.loads(sys.argv[1])]))
"""
PACKAGE = """
  {name}:
    name: {name}
    effective_on: 2024-01-01
    components:
      seats: {{name: Seats, quantity: {{declared: true}}, price: {{EUR: {{per_unit: "{price}"}}}}}}"""
CATALOG = "catalog: 1\npackages:" + PACKAGE.format(name="plain", price="2") + PACKAGE.format(name="noted", price="2.00")


@pytest.fixture
def in_one_process(home):
    """Runs commands one after another in a process that has just begun: the documents that each run issued."""

    def run(*commands: list[str]) -> list[int]:
        words = json.dumps([[*command, "--home", str(home), "--json"] for command in commands])
        done = subprocess.run([sys.executable, "-c", IN_ONE_PROCESS, words], capture_output=True, text=True, check=True)
        return [json.loads(line)["documents"] for line in done.stdout.splitlines()]

    return run


@pytest.mark.parametrize("order", [["plain", "noted"], ["noted", "plain"]])
def test_what_one_process_billed_is_left_alone_by_the_next(typed, home, tmp_path, in_one_process, order):
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG)
    assert typed("catalog", "apply", str(catalog), "--yes")[0] == 0
    accounts = {package: f"{order[0]}-first-{package}" for package in order}
    for package, name in accounts.items():
        typed("accounts", "open", name, "--name", name)
        typed("licenses", "start", name, "--account", name, "--package", package, "--on", "2025-01-01",
              "--quantity", "seats=5")  # fmt: skip
    bills = [["bill", *MONTH, "--account", accounts[package]] for package in order]
    assert in_one_process(*bills) == [1, 1]
    assert in_one_process(*reversed(bills)) == [0, 0]
    give_keys_of_another_spelling(home)
    change = ["licenses", "change", accounts["plain"], "--quantity", "seats=6", "--on", "2025-02-01"]
    assert typed(*change)[0] == 0
    assert in_one_process(*bills, *bills) == [*[package == "plain" for package in order], 0, 0]
    assert all(not check["found"] for check in typed("verify")[1])


def give_keys_of_another_spelling(home) -> None:
    """As lines have them that were issued when a key was made of the price as it was spelled."""
    with psycopg.connect(Embedded(home).dsn) as connection:
        lines = connection.execute("SELECT bucket, document, line, body FROM billed_line").fetchall()
        for bucket, document, line, body in lines:
            keyed, place = body.replace(b'"text":', b'"key":"0a0b0c0d0e0f","text":', 1), [bucket, document]
            (state,) = connection.execute("SELECT state FROM event WHERE bucket = %s AND stream = %s", place).fetchone()
            assert state.count(body) == 1 != keyed.count(body)
            issued = [state.replace(body, keyed), *place]
            connection.execute("UPDATE event SET state = %s WHERE bucket = %s AND stream = %s", issued)
            kept = [keyed, *place, line]
            connection.execute("UPDATE billed_line SET body = %s WHERE (bucket, document, line) = (%s, %s, %s)", kept)
        assert len(lines) >= 4
