"""Deliveries of webhooks to the application in process: genuine ones, and what is sent in their place."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg_pool import ConnectionPool

SECRET, OLDER_SECRET = "whsec_of_this_endpoint", "whsec_that_is_rotated_out"
NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)
AT = int(NOW.timestamp())
Headers = list[tuple[bytes, bytes]]


class Delivered(NamedTuple):
    """What the application answered."""

    status: int
    code: str
    body: bytes
    headers: dict[str, str]


def event(name: str = "evt_1", kind: str = "payment_intent.succeeded", **more: Any) -> dict[str, Any]:
    """An event as Stripe words it."""
    told: dict[str, Any] = {
        "id": name, "object": "event", "api_version": "2026-10-28.endive", "created": AT - 5, "livemode": False,
        "type": kind, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None},
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 2380, "currency": "eur"}},
    }  # fmt: skip
    return {**told, **more}


def body_of(told: dict[str, Any]) -> bytes:
    """The bytes, indented as Stripe sends them."""
    return json.dumps(told, indent=2).encode()


def mac(body: bytes, at: object = AT, secret: str = SECRET) -> str:
    """One signature."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, "sha256").hexdigest()


def signed(body: bytes, at: object = AT, secret: str = SECRET) -> Headers:
    """The headers of a genuine delivery."""
    return sent(f"t={at},v1={mac(body, at, secret)}")


def sent(signature: str | bytes | None, *more: tuple[bytes, bytes], kind: bytes = b"application/json") -> Headers:
    """The headers of a delivery with whatever stands for its signature."""
    value = signature.encode() if isinstance(signature, str) else signature
    own = [(b"stripe-signature", value)] if value is not None else []
    return [(b"host", b"127.0.0.1"), (b"content-type", kind), *own, *more]


async def ask(
    app: Any, headers: Headers, body: bytes | Sequence[bytes], path: str = "/webhooks/stripe", method: str = "POST"
) -> Delivered:
    """One request by ASGI as a server would pass it on; a body may come in parts."""
    parts = [body] if isinstance(body, bytes) else body
    coming = iter([(one, True) for one in parts[:-1]] + [(parts[-1], False)])
    answer: dict[str, Any] = {"body": b""}

    async def receive() -> dict[str, Any]:
        for part, more in coming:
            return {"type": "http.request", "body": part, "more_body": more}
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answer.update(message, body=answer["body"] + message.get("body", b""))

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
             "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
             "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8087)}  # fmt: skip
    await app(scope, receive, send)
    is_json = (b"content-type", b"application/json") in answer["headers"]
    told = json.loads(answer["body"]) if is_json else {}
    return Delivered(
        answer["status"], told.get("error", {}).get("code", ""), answer["body"], headers_of(answer["headers"])
    )


def headers_of(raw: Headers) -> dict[str, str]:
    """The headers of an answer as words."""
    return {name.decode(): value.decode() for name, value in raw}


def deliver(app: Any, headers: Headers, body: bytes | Sequence[bytes], **where: str) -> Delivered:
    """One request, waited for."""
    return asyncio.run(ask(app, headers, body, **where))


def fingerprint(pool: ConnectionPool[psycopg.Connection]) -> str:
    """A digest of every row of every table: the same before and after is nothing changed at all."""
    with pool.connection() as connection:
        tables = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' "
            "AND c.relkind = 'r' ORDER BY 1"
        ).fetchall()
        parts: Iterable[str] = (
            f"SELECT '{table}' AS name, count(*) || ':' || sum(hashtextextended(t::text, 7)) AS sum FROM {table} t"
            for (table,) in tables
        )
        every = f"SELECT string_agg(name || sum, ',' ORDER BY name) FROM ({' UNION ALL '.join(parts)}) s"
        found = connection.execute(every.encode()).fetchone()
    assert found is not None
    return str(found[0])
