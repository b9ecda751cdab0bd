"""JSON that can be read in one way only: what another reader might take differently is refused.

Strict UTF-8 without a byte order mark, no key twice, no NaN, bounded depth and numbers, an object at the top.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

from adapters.webhooks.verifier import Rejected

DEPTH = 64
DIGITS = 19
STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
BRACKET = re.compile(rb"[\[\]{}]")


def read_object(body: bytes) -> dict[str, Any]:
    """The object that a body holds. Raises: Rejected: not_utf8, not_json, not_an_object, duplicate_key, number_too_long
    or too_deep."""
    text = _text(body)
    _check_depth(body)
    try:
        found = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_integer, parse_float=_decimal
        )
    except (ValueError, RecursionError) as error:
        raise Rejected("not_json", "the body is not JSON") from error
    if not isinstance(found, dict):
        raise Rejected("not_an_object", "the body is not a JSON object")
    return found


def _text(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected("not_utf8", "the body is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise Rejected("not_utf8", "the body begins with a byte order mark")
    return text


def _check_depth(body: bytes) -> None:
    """Counts brackets outside of strings before anything recursive reads them."""
    depth = 0
    for bracket in BRACKET.finditer(STRING.sub(b"", body)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > DEPTH:
            raise Rejected("too_deep", f"the body is nested deeper than {DEPTH}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Rejected("duplicate_key", "the body has a key twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise Rejected("not_json", f"{name} is not JSON")


def _integer(digits: str) -> int:
    return int(_short(digits))


def _decimal(digits: str) -> Decimal:
    found = Decimal(_short(digits))
    if abs(found.adjusted()) > DIGITS:
        raise Rejected("number_too_long", f"a number is beyond {DIGITS} digits")
    return found


def _short(digits: str) -> str:
    if len(digits.lstrip("-")) > DIGITS:
        raise Rejected("number_too_long", f"a number has more than {DIGITS} characters")
    return digits
