"""What is printed into a pipe or a file is read by programs, a row a line; on a terminal it ends where that does."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COMMANDS = """
import json, sys
from adapters.cli.main import main
for words in json.loads(sys.argv[1]):
    main(words)
"""
PARTY = "The Long Company of Names that are Long, " * 4


@pytest.fixture
def number(typed) -> str:
    """An invoice to somebody with a long name, with a price of many tiers."""
    typed("catalog", "apply", str(EXAMPLES / "catalog.yaml"), "--yes")
    typed("accounts", "open", "long", "--name", PARTY)
    words = ["--account", "long", "--package", "bulk-domains", "--on", "2025-01-10", "--quantity", "domains=1200"]
    typed("licenses", "start", "long-1", *words)
    typed("bill", "--through", "2025-02-01", "--issued-on", "2025-02-01", "--account", "long")
    return str(typed("invoices", "list")[1][0]["number"])


def typing(*commands: list[str]) -> list[str]:
    """What starts a process that runs commands one after another."""
    return [sys.executable, "-c", COMMANDS, json.dumps(commands)]


def piped(*commands: list[str]) -> list[str]:
    done = subprocess.run(typing(*commands), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return done.stdout.splitlines()


def on_terminal(columns: int, *commands: list[str]) -> list[str]:
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen(typing(*commands), stdin=theirs, stdout=theirs, stderr=theirs, env=env):
        os.close(theirs)
        said = b"".join(_read(ours))
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).splitlines()


def _read(terminal: int) -> Iterator[bytes]:
    """What is said until nobody speaks any more, which Linux tells by an error."""
    with suppress(OSError):
        while said := os.read(terminal, 65536):
            yield said


def test_rows_are_broken_on_a_terminal_only(number, home):
    at_home = ["--home", str(home)]
    invoices = ["invoices", "list", *at_home]
    told = piped(["explain", number, *at_home], invoices, ["invoices", "show", "9" * 200, *at_home])
    prices = [line for line in told if line.startswith("  price ")]
    assert len(prices) == 2
    assert max(map(len, prices)) > 80
    assert [line for line in told if PARTY.strip() in line], "a row of a table"
    assert [line for line in told if "not_found" in line and "9" * 200 in line], "an error"
    narrow = on_terminal(100, invoices)
    assert [line for line in narrow if number in line and PARTY.strip() not in line]
    assert max(map(len, narrow)) <= 100
