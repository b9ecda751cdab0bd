"""Speaks Stripe's protocol on loopback, to the SDK as it is, with a network that can be made to fail."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from adapters.sandbox.books import Answer, Books, refused

Fault = Literal["", "lost_before", "lost_after", "server_error", "saved_error", "busy", "rate_limit", "truncated"]
INTENT = re.compile(r"/v1/payment_intents/(pi_\d+)(?:/(confirm|cancel))?")


class Sandbox:
    """A running sandbox. Shapes: `url` for the SDK; `fault` decides what happens to each request."""

    def __init__(self, port: int = 0, fault: Callable[[], Fault] = lambda: "") -> None:
        self.books, self.fault = Books(), fault
        sandbox = self

        class Handler(_Handler):
            """One request."""

            of = sandbox

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        """Serves until it is told to stop."""
        self._server.serve_forever(poll_interval=0.05)


class _Handler(BaseHTTPRequestHandler):
    of: Sandbox
    timeout = 10

    def do_GET(self) -> None:
        self._answer("")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

    def log_message(self, *_: Any) -> None:
        """Says nothing: the terminal belongs to who started it."""

    def _answer(self, body: str) -> None:
        fault = self.of.fault()
        if fault == "lost_before":
            return None
        if fault == "server_error":
            return self._send(refused("", "Something went wrong", 500, "api_error"))
        if fault == "busy":
            return self._send(refused("lock_timeout", "in use by another request", 409))
        if fault == "rate_limit":
            return self._send(refused("rate_limit", "Too many requests", 429))
        answer = self._carry_out(_nested(body), saved_error=fault == "saved_error")
        if fault != "lost_after":
            self._send(answer, cut=fault == "truncated")
        return None

    def _carry_out(self, wanted: dict[str, Any], saved_error: bool) -> Answer:
        books, asked = self.of.books, urlsplit(self.path)
        if not self.headers.get("Authorization", "").startswith("Bearer sk_test_"):
            return refused("", "Invalid API Key provided", 401)
        if self.command == "GET":
            with books.lock:
                return deepcopy(self._read(asked.path, dict(parse_qsl(asked.query))))

        def write() -> Answer:
            answer = self._write(asked.path, wanted)
            return refused("", "An error on our side", 500, "api_error") if saved_error else answer

        return deepcopy(books.once(self.headers.get("Idempotency-Key", ""), {"path": asked.path, **wanted}, write))

    def _read(self, path: str, query: dict[str, str]) -> Answer:
        books, found = self.of.books, INTENT.fullmatch(path)
        if path == "/v1/payment_intents":
            limit, after = int(query.get("limit", 10)), query.get("starting_after", "")
            return books.listed(query.get("customer", ""), limit, after)
        if found and found[1] in books.intents and not found[2]:
            return 200, books.intents[found[1]]
        return refused("resource_missing", f"No such resource: {path}", 404)

    def _write(self, path: str, wanted: dict[str, Any]) -> Answer:
        books, found = self.of.books, INTENT.fullmatch(path)
        if path == "/v1/payment_intents":
            return books.create(wanted)
        if found and found[1] in books.intents and found[2]:
            return books.confirm(found[1]) if found[2] == "confirm" else books.cancel(found[1])
        return refused("resource_missing", f"No such resource: {path}", 404)

    def _send(self, answer: Answer, cut: bool = False) -> None:
        status, body = answer
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Request-Id", f"req_{time.monotonic_ns()}")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)


def _nested(body: str) -> dict[str, Any]:
    """A form as Stripe's SDK writes it: `metadata[attempt]=…` is an object inside."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        outer, bracket, inner = name.partition("[")
        if bracket:
            found.setdefault(outer, {})[inner.rstrip("]")] = value
        else:
            found[outer] = value
    return found
