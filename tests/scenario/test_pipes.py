"""What is printed into a pipe or a file is read by programs, a row a line; on a terminal it ends where that does."""

from __future__ import annotations

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
TALLY = [sys.executable, "-c", "import sys; from adapters.cli.main import main; sys.exit(main())"]
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


def piped(*words: str) -> list[str]:
    done = subprocess.run([*TALLY, *words], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()


def on_terminal(columns: int, *words: str) -> list[str]:
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen([*TALLY, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env):
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
    told = piped("explain", number, *at_home)
    assert len(told) == 10, "five for each of the two lines of the invoice"
    prices = [line for line in told if line.startswith("  price ")]
    assert all(line.endswith("}") for line in prices)
    assert max(map(len, prices)) > 120
    shown = [line for line in piped("invoices", "list", *at_home) if number in line]
    assert PARTY.strip() in shown[0]
    assert len(piped("invoices", "show", "INV-" + "9" * 200, *at_home)) == 1, "an error too"
    narrow = on_terminal(72, "explain", number, *at_home)
    assert len(narrow) > len(told)
    assert max(map(len, narrow)) <= 72
