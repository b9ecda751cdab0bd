"""What playing a case of another system's suite can come to, and what was forgiven on the way."""

from __future__ import annotations

from collections import Counter
from typing import Any

Case = dict[str, Any]
Forgiven = Counter[str]
"""How often each allowance was used: `tie`, `zero row`, `credit row`, `refusal`, `not compared`."""


class Differs(Exception):
    """Our answer is another one."""


class NotExpressible(Exception):
    """The case asks for something that we do not have, or does not say enough to be asked."""


def expect(what: str, ours: object, theirs: object) -> None:
    """Raises: Differs unless both are the same."""
    if ours != theirs:
        raise Differs(f"{what}: ours {ours}, theirs {theirs}")
