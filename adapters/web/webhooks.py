"""The endpoints of providers: verified, kept, and only then acknowledged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from fastapi import APIRouter
from psycopg_pool import ConnectionPool
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from adapters.web.answers import SAFE, Refused
from adapters.web.limits import check_json, read_body
from adapters.webhooks.verifier import Headers, Rejected, Verifier
from domain.errors import Unavailable
from jobs.inbox import keep

log = logging.getLogger("tally.web")
WAIT = 5.0


@dataclass(frozen=True)
class Door:
    """What comes in from providers. Shapes: `wake` is called when there is something new in the inbox."""

    verifiers: Mapping[str, Verifier]
    pool: ConnectionPool[psycopg.Connection]
    wake: Callable[[], None] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def router(self) -> APIRouter:
        """One endpoint for each provider that there is a secret for."""
        router = APIRouter()
        router.add_api_route("/webhooks/{provider}", self._take, methods=["POST"], include_in_schema=False)
        return router

    async def _take(self, provider: str, request: Request) -> Response:
        verifier = self.verifiers.get(provider)
        if verifier is None:
            raise Refused(404, "not_found", "there is no such endpoint")
        headers = request.headers.raw
        check_json(headers)
        body = await read_body(request)
        await run_in_threadpool(self._accept, verifier, headers, body)
        return JSONResponse({"received": True}, headers=SAFE)

    def _accept(self, verifier: Verifier, headers: Headers, body: bytes) -> None:
        """Returns when the hint is committed. Raises: Refused; 503 makes the provider deliver it again."""
        try:
            hint = verifier.verify(headers, body, self.now())
            kept = keep(self.pool, hint, headers, self.now(), WAIT)
        except Rejected as error:
            log.warning("a webhook of %s was refused: %s", verifier.provider, error.code)
            raise Refused(error.status, error.code, str(error)) from None
        except (psycopg.Error, Unavailable) as error:
            log.error("a webhook of %s could not be kept: %s", verifier.provider, type(error).__name__)
            raise Refused(503, "unavailable", "it cannot be taken in now: deliver it again") from None
        if kept == "other":
            log.error("%s came from %s with another body than before", hint.event, verifier.provider)
        if kept == "new":
            self.wake()
