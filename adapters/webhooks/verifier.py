"""What every provider's verification has in common: raw headers and bytes go in, a hint or a refusal comes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.errors import Refusal
from domain.news import Hint

Headers = Sequence[tuple[bytes, bytes]]
"""Names and values as they came, in order, repeated ones and all."""


class Rejected(Refusal):
    """What arrived is not a genuine webhook, or not for us. Shapes: `code` names the reason and stays the same."""

    code = "rejected"

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code, self.status = code, status
        super().__init__(message)


class Verifier(Protocol):
    """One provider's endpoint."""

    provider: str

    def verify(self, headers: Headers, body: bytes, now: datetime) -> Hint:
        """The hint that a genuine webhook gives. Raises: Rejected, and nothing else whatever the bytes are."""


def only_header(headers: Headers, name: bytes, code: str) -> bytes:
    """The value of a header that has to be there once. Raises: Rejected as `<code>_missing` or `<code>_twice`."""
    found = [value for one, value in headers if one.lower() == name]
    if not found:
        raise Rejected(f"{code}_missing", f"there is no header {name.decode()}")
    if len(found) > 1:
        raise Rejected(f"{code}_twice", f"the header {name.decode()} is there {len(found)} times")
    return found[0]
