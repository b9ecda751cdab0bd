"""What is answered over HTTP when something is refused, and headers that every answer bears."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import JSONResponse, Response

SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
"""Links bear their own right of entry, so that no browser may keep a page or tell another site where it came from."""


def headers_of(status: int) -> dict[str, str]:
    """The headers of an answer; what is away for now says when to ask again."""
    return {**SAFE, **({"Retry-After": "30"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {})}


class Refused(Exception):
    """A request that goes no further. Shapes: `code` is stable, `message` for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def answer(self) -> Response:
        """As it goes out; an error of a request that was not read to its end ends its connection too."""
        body = {"error": {"code": self.code, "message": self.message}}
        return JSONResponse(body, self.status, headers_of(self.status))
