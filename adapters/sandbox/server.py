"""Speaks the protocols of providers on loopback, to their SDKs as they are, with a network that can be made to fail."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from adapters.sandbox.courier import Courier
from adapters.sandbox.desk import Answer, Asked, Clock, Desk
from adapters.sandbox.paypal_desk import PayPalDesk
from adapters.sandbox.stripe_desk import StripeDesk

Fault = Literal["", "lost_before", "lost_after", "server_error", "saved_error", "busy", "rate_limit", "truncated"]
WITHOUT_EFFECT = {
    "server_error": (500, "Something went wrong"),
    "busy": (409, "in use by another request"),
    "rate_limit": (429, "Too many requests"),
}


class Sandbox:
    """A running sandbox.

    Shapes: `url` for Stripe's SDK; `fault` decides what happens to each request; time stands still unless `clock` runs.
    """

    def __init__(self, port: int = 0, fault: Callable[[], Fault] = lambda: "", clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.fault, self.courier = fault, Courier(self.clock)
        self.stripe = StripeDesk(self.clock, self.courier)
        self.desks: dict[str, Desk] = {"": self.stripe}
        sandbox = self

        class Handler(_Handler):
            """One request."""

            of = sandbox

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.paypal = self.desks["/paypal"] = PayPalDesk(self.clock, self.courier, f"{self.url}/paypal")

    def desk(self, path: str) -> tuple[str, Desk]:
        """Who answers a path, by its prefix, which is taken off."""
        prefix = max((one for one in self.desks if path.startswith(f"{one}/")), key=len)
        return path.removeprefix(prefix), self.desks[prefix]

    def tick(self) -> int:
        """Lets happen what the clock has passed, and delivers what is due; how many webhooks arrived."""
        self.stripe.tick()
        return self.courier.deliver_due()

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
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Says nothing: the terminal belongs to who started it."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.of.fault()
        if fault == "lost_before":
            return
        if fault in WITHOUT_EFFECT:
            status, message = WITHOUT_EFFECT[fault]
            self._send(Answer(status, {"error": {"type": "api_error", "message": message}}))
            return
        asked = urlsplit(self.path)
        path, desk = self.of.desk(asked.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(asked.query, keep_blank_values=True))
        answer = desk.answer(Asked(self.command, path, query, headers, body), fault == "saved_error")
        if fault != "lost_after":
            self._send(answer, cut=fault == "truncated")

    def _send(self, answer: Answer, cut: bool = False) -> None:
        page = isinstance(answer.body, str)
        content = b"" if answer.body is None else (str(answer.body) if page else json.dumps(answer.body)).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/html; charset=utf-8" if page else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Request-Id", f"req_{time.monotonic_ns()}")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
