"""localstripe, another simulation of Stripe, as a process of its own on loopback; it is never imported by ours."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

SERVE = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda store: None  # it would write what it knows to a file that others can read
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
"""Its own command listens on all interfaces, and begins with what an earlier run left."""
PATIENCE = 30.0


@contextmanager
def localstripe() -> Iterator[str]:
    """Where a fresh one answers, until it is left."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stderr=subprocess.DEVNULL)
    try:
        yield _answering(f"http://127.0.0.1:{port}", process)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def _answering(url: str, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            requests.get(f"{url}/v1/events", headers={"Authorization": "Bearer sk_test_1"}, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return url
    raise RuntimeError(f"localstripe does not answer at {url}")
