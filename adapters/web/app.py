"""The web application: endpoints of providers, pages of customers, and errors that tell nothing of the inside."""

from __future__ import annotations

from http import HTTPStatus

import psycopg
from fastapi import FastAPI
from psycopg_pool import ConnectionPool
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from adapters.web.answers import SAFE, Refused
from adapters.web.limits import Limits
from adapters.web.pages import Pages
from adapters.web.webhooks import WAIT, Door


def make_app(door: Door, pages: Pages | None = None) -> FastAPI:
    """Wires the parts; without `pages` there are none."""
    app = FastAPI(title="Tallystick", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(door.router())
    if pages is not None:
        app.include_router(pages.router())

    @app.get("/healthz", include_in_schema=False)
    async def healthy() -> Response:
        is_up = await run_in_threadpool(_answers, door.pool)
        status = HTTPStatus.OK if is_up else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"database": "up" if is_up else "down"}, status, SAFE)

    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(psycopg.OperationalError, _unavailable)
    app.add_exception_handler(Exception, _fault)
    app.add_middleware(Limits)
    return app


def _answers(pool: ConnectionPool[psycopg.Connection]) -> bool:
    try:
        with pool.connection(WAIT) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.answer()


def _http(_: Request, error: Exception) -> Response:
    """What the framework refuses: an address or a method that is not there."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    answer = Refused(status, status.name.lower(), status.phrase).answer()
    answer.headers.update(error.headers or {})
    return answer


def _unavailable(_: Request, __: Exception) -> Response:
    return Refused(503, "unavailable", "the database does not answer").answer()


def _fault(_: Request, __: Exception) -> Response:
    return Refused(500, "fault", "a fault of this program").answer()
