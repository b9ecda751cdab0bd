"""Stripe's webhooks, verified byte by byte before anything of them is read.

The SDK's own verifier takes timestamps of the future and lets malformed bytes escape as other errors than its own.
Source: ADR-0023; Stripe's manual signatures: HMAC-SHA256 over `t.body`, several `v1` while a secret is rotated.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from adapters.webhooks.strict_json import read_object
from adapters.webhooks.verifier import Headers, Rejected, only_header
from domain.errors import Invalid
from domain.news import Hint

TOLERANCE = 300
MOST_SIGNATURES = 8
LONGEST_HEADER = 2048
TIME = re.compile(rb"[1-9][0-9]{0,11}")
SIGNATURE = re.compile(rb"[0-9a-f]{64}")
EVENT = re.compile(r"evt_[0-9A-Za-z_]{1,200}", re.ASCII)
KIND = re.compile(r"[a-z0-9_]{1,100}(\.[a-z0-9_]{1,100}){1,8}", re.ASCII)


class Signed(NamedTuple):
    """What the header says. Units: `at` in seconds since 1970, `digits` as they were signed."""

    at: int
    digits: bytes
    signatures: tuple[bytes, ...]


class StripeVerifier:
    """Stripe's endpoint. Shapes: `secrets` are all valid at once, so that they can be rotated; `live` or test mode."""

    provider = "stripe"

    def __init__(self, secrets: Sequence[str], live: bool) -> None:
        if not secrets or not all(secrets):
            raise Invalid("Stripe's webhooks need a secret: without one nobody could tell them from forged ones")
        self._secrets, self._live = [secret.encode() for secret in secrets], live

    def verify(self, headers: Headers, body: bytes, now: datetime) -> Hint:
        """The hint of a genuine webhook. Raises: Rejected."""
        signed = _parse(only_header(headers, b"stripe-signature", "signature"))
        _check_age(signed.at, now)
        if not self._is_signed(signed, body):
            raise Rejected("signature_mismatch", "no signature of ours is on this body")
        return self._hint(read_object(body), body, now)

    def _is_signed(self, signed: Signed, body: bytes) -> bool:
        """Every secret is tried with every signature, whatever was found before."""
        message, found = signed.digits + b"." + body, False
        for secret in self._secrets:
            expected = hmac.new(secret, message, "sha256").hexdigest().encode()
            for signature in signed.signatures:
                found |= hmac.compare_digest(expected, signature)
        return found

    def _hint(self, event: dict[str, Any], body: bytes, now: datetime) -> Hint:
        if event.get("object") == "v2.core.event":
            raise Rejected("thin_event", "thin events (API v2) are not read: set the endpoint to snapshot events")
        if event.get("object") != "event":
            raise Rejected("not_an_event", "the body is not an event of Stripe")
        if event.get("livemode") is not self._live:
            raise Rejected("wrong_mode", "the event is of the other mode (live or test) than our key")
        name, kind, created = event.get("id"), event.get("type"), event.get("created")
        if not isinstance(name, str) or not EVENT.fullmatch(name) or not isinstance(kind, str):
            raise Rejected("not_an_event", "the event has no id or no type")
        if not KIND.fullmatch(kind) or type(created) is not int or not 0 < created < 1 << 36:
            raise Rejected("not_an_event", "the event's type or time cannot be")
        if created > now.timestamp() + TOLERANCE:
            raise Rejected("in_the_future", "the event is from the future")
        return Hint("stripe", name, kind, datetime.fromtimestamp(created, UTC), body)


def _check_age(at: int, now: datetime) -> None:
    age = int(now.timestamp()) - at
    if age > TOLERANCE:
        raise Rejected("too_old", f"the signature is {age} seconds old")
    if age < -TOLERANCE:
        raise Rejected("in_the_future", f"the signature is {-age} seconds from the future")


def _parse(header: bytes) -> Signed:
    """`t=…,v1=…`: one time in plain digits, a few signatures in lower-case hex, other schemes passed over."""
    if len(header) > LONGEST_HEADER:
        raise Rejected("signature_malformed", "the signature header is too long")
    parts = [part.partition(b"=")[::2] for part in header.split(b",")]
    times = [value for name, value in parts if name == b"t"]
    signatures = tuple(value for name, value in parts if name == b"v1")
    if len(times) != 1 or not TIME.fullmatch(times[0]):
        raise Rejected("signature_malformed", "the signature header has no time, or several, or not in plain digits")
    if not 1 <= len(signatures) <= MOST_SIGNATURES or not all(map(SIGNATURE.fullmatch, signatures)):
        raise Rejected("signature_malformed", "the signature header has no v1, too many, or not of 64 hex digits")
    return Signed(int(times[0]), times[0], signatures)
