"""A server on loopback whose answers a test writes by hand."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

Answers = Callable[[BaseHTTPRequestHandler], tuple[int, bytes, dict[str, str]]]
TOKEN = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that leave when they time out."""

    def handle_error(self, *_: Any) -> None: ...


class Far:
    """A server whose answers a test writes; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.say: Answers = lambda asked: (200, b"{}", {})
        self.token: Answers = lambda asked: (200, TOKEN, {})
        far = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                names = {name.lower(): value for name, value in self.headers.items()}
                far.asked.append((self.command, self.path, names, body))
                status, content, headers = (far.token if "oauth2" in self.path else far.say)(self)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_: Any) -> None: ...

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/paypal"

    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.asked]

    def __enter__(self) -> Self:
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
