"""uvicorn on loopback, with limits of its own: a head that does not come to its end is not waited for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from adapters.bootstrap import Tally
from adapters.store.factory import open_pool
from adapters.web.app import make_app
from adapters.web.limits import HEAD_BYTES
from adapters.web.links import Links
from adapters.web.pages import Pages
from adapters.web.webhooks import Door
from adapters.web.worker import Worker
from adapters.webhooks.verifier import Verifier
from domain.errors import Unavailable
from jobs.collect import Collector
from jobs.take_in import Processor

HEAD_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 15
MOST_CONNECTIONS = 1000
CONNECTIONS = 8
"""To the database, for webhooks alone, so that an acknowledgement never waits for what is being worked on."""
PAGE_SECONDS = 4
"""How long a page waits for the database before it says that it cannot be shown; what works by itself waits longer."""


class ImpatientProtocol(H11Protocol):
    """Closes connections on which no whole head comes in time: uvicorn itself waits for ever (slowloris)."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        if self._is_between_requests():
            self._begin()
        super().data_received(data)
        if not self._is_between_requests():
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _begin(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._is_between_requests():
            self.transport.close()


def bound(host: str, port: int) -> socket.socket:
    """Where to listen. Raises: Unavailable when others do."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Unavailable(f"{host}:{port} cannot be listened on: {error.strerror}") from None


def run(tally: Tally, verifiers: Mapping[str, Verifier], links: Links | None, listening: socket.socket) -> None:
    """Serves until the process is told to stop; what came in is dealt with beside it."""
    worker = Worker(Processor(Collector(tally.billing, tally.providers), tally.pool, tally.follower().catch_up))
    with open_pool(tally.dsn, CONNECTIONS, autocommit=True) as pool, tally.impatient(PAGE_SECONDS) as billing, worker:
        pages = Pages(Collector(billing, tally.providers), links) if links else None
        app = make_app(Door(verifiers, pool, worker.wake), pages)
        _server(app).run([listening])


def _server(app: ASGIApp) -> uvicorn.Server:
    """A server that says nothing of itself and writes no addresses down: links are secrets."""
    return uvicorn.Server(
        uvicorn.Config(
            app, http=ImpatientProtocol, ws="none", lifespan="off", access_log=False,
            log_level="warning", server_header=False, proxy_headers=False, limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=10,
            h11_max_incomplete_event_size=HEAD_BYTES,
        )
    )  # fmt: skip
