"""`tally serve` as a process of its own, at a sandbox; one that is told to die after a commit does so by kill −9."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import requests

ROOT = Path(__file__).resolve().parents[2]
LINK_SECRET = "a secret of the links of this test"
PATIENCE = 90
Mode = Literal["", "webhooks_only", "dies_after_commit"]
"""Without its poller; or killed between keeping a webhook and saying so, before anything is done with it."""


class Serving(NamedTuple):
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def most_memory(self) -> int:
        """The most that it ever held, in kB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(dsn: str, port: int, stripe_base: str, secret: str, mode: Mode = "") -> Iterator[Serving]:
    """Serves until the end of the block."""
    chosen = {
        "DATABASE_URL": dsn, "TALLY_STRIPE_KEY": "sk_test_1", "TALLY_STRIPE_BASE": stripe_base,
        "TALLY_STRIPE_WEBHOOK_SECRET": secret, "TALLY_LINK_SECRET": LINK_SECRET, "PYTHONWARNINGS": "error",
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.web.serving", str(port), mode]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **chosen}, stdout=subprocess.DEVNULL)
    running = Serving(f"http://127.0.0.1:{port}", process)
    try:
        _wait(running)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _wait(running: Serving) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert running.process.poll() is None, "the server ended"
        try:
            if requests.get(f"{running.url}/healthz", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


def main(port: str, mode: str) -> int:
    """The command as it is, but for the one thing that a test wants of it."""
    from adapters.cli.main import main as tally
    from adapters.web import limits, server, webhooks
    from adapters.web.worker import Worker

    # Impatient, so that tests of slow clients are quick.
    server.HEAD_SECONDS, limits.BODY_SECONDS = 1.0, 1.0
    if mode:
        Worker._ask = lambda self: None  # type: ignore[method-assign]
    if mode == "dies_after_commit":
        Worker._process = lambda self: None  # type: ignore[method-assign]
        webhooks.keep = _dying(webhooks.keep)
    return tally(["serve", "--port", port])


def _dying(keep: Any) -> Any:
    def keep_and_die(*words: Any, **more: Any) -> None:
        keep(*words, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    return keep_and_die


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
