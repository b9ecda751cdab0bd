"""Limits on what is read of a request: its head before anything looks at it, its body while it comes."""

from __future__ import annotations

import asyncio
import re

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.web.answers import Refused

MOST_HEADERS = 64
LONGEST_HEADER = 8 * 1024
HEAD_BYTES = 16 * 1024
BODY_BYTES = 256 * 1024
BODY_SECONDS = 10.0
JSON = re.compile(rb"application/json(; ?charset=utf-8)?", re.IGNORECASE)
DIGITS = re.compile(rb"[0-9]{1,15}")


class Limits:
    """Refuses heads that are too long, too many or ambiguous, whatever they ask for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                _check_head(scope["headers"])
            except Refused as refused:
                await refused.answer()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _check_head(headers: list[tuple[bytes, bytes]]) -> None:
    if len(headers) > MOST_HEADERS:
        raise Refused(431, "too_many_headers", f"more than {MOST_HEADERS} headers")
    sizes = [len(name) + len(value) for name, value in headers]
    if sum(sizes) > HEAD_BYTES or max(sizes, default=0) > LONGEST_HEADER:
        raise Refused(431, "headers_too_large", "the headers are too large")
    for name in (b"content-length", b"transfer-encoding", b"content-type", b"host"):
        if sum(one.lower() == name for one, _ in headers) > 1:
            raise Refused(400, "header_twice", f"the header {name.decode()} is there more than once")


def check_json(headers: list[tuple[bytes, bytes]]) -> None:
    """Only plain JSON of a bearable size is read at all. Raises: Refused."""
    said = {name.lower(): value for name, value in headers}
    if said.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused(415, "encoded_body", "a compressed body is not read")
    if not JSON.fullmatch(said.get(b"content-type", b"")):
        raise Refused(415, "not_json_type", "the content type is not application/json")
    length = said.get(b"content-length", b"0")
    if not DIGITS.fullmatch(length):
        raise Refused(400, "bad_length", "the content length is no number")
    if int(length) > BODY_BYTES:
        raise Refused(413, "body_too_large", f"the body has more than {BODY_BYTES} bytes")


async def read_body(request: Request) -> bytes:
    """The body, counted while it comes, and given a limited time. Raises: Refused."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES:
                    raise Refused(413, "body_too_large", f"the body has more than {BODY_BYTES} bytes")
    except TimeoutError:
        raise Refused(408, "too_slow", f"the body took longer than {BODY_SECONDS:g} seconds") from None
    except ClientDisconnect:
        raise Refused(400, "body_cut_off", "the body ended early") from None
    return bytes(body)
