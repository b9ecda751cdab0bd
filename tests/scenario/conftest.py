"""The command line as its users type it, on an embedded database of each module's own."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.cli.main import main
from adapters.embedded import Embedded
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox


@pytest.fixture(scope="module")
def home():
    path = Path(tempfile.mkdtemp(prefix="tally-cli-"))
    path.chmod(0o755)
    Embedded(path, durable=False).start()
    yield path
    Embedded(path).stop()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def typed(home, capsys):
    """Runs a command with --json: its status, and what it printed."""

    def run(*words: str):
        status = main([*words, "--home", str(home), "--json"])
        out, err = capsys.readouterr()
        return status, json.loads(out or err or "null")

    return run


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Stripe and PayPal on loopback, whose time passes as ours does."""
    with Sandbox(clock=Clock(time.time)) as running:
        yield running
