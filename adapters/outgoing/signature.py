"""Signatures by the Standard Webhooks convention, and secrets that no database holds.

A secret is derived from the key TALLY_OUTGOING_KEY, the endpoint's id and its generation: whoever has a copy of the
database cannot sign. Source: ADR-0026; standardwebhooks.com.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256

from domain.errors import Invalid

SHORTEST_KEY = 32


def check(key: str) -> None:
    """Raises: Invalid for a key too short to keep a secret."""
    if len(key) < SHORTEST_KEY:
        raise Invalid(f"TALLY_OUTGOING_KEY has fewer than {SHORTEST_KEY} characters: try `openssl rand -hex 32`")


def secret(key: str, endpoint: str, generation: int) -> bytes:
    """The secret of an endpoint, 32 bytes. Raises: Invalid for a key too short to keep one."""
    check(key)
    return hmac.digest(key.encode(), f"tallystick endpoint\0{endpoint}\0{generation}".encode(), sha256)


def shown(secret: bytes) -> str:
    """A secret as its receiver configures it."""
    return f"whsec_{b64encode(secret).decode()}"


def headers(message: str, at: int, content: bytes, secrets: Iterable[bytes]) -> dict[str, str]:
    """What proves a message to its receiver: one signature for each secret that is valid.

    Units: `at` in seconds since 1970.
    """
    signed = f"{message}.{at}.".encode() + content
    signatures = [f"v1,{b64encode(hmac.digest(one, signed, sha256)).decode()}" for one in secrets]
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": " ".join(signatures)}
