"""Columns of a count file as fields of PostgreSQL's binary COPY: a length and the value.

An element of an array is written like a field, so that the same bytes serve a row and an array; and what repeats in a
column (days, instants, subjects) is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import chain, repeat
from operator import add
from struct import Struct
from typing import Any

from psycopg.postgres import types

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""What PostgreSQL counts days and instants from."""
MICROSECOND = timedelta(microseconds=1)
LONGEST = 4000
"""Bytes of the longest text that a file may hold: 1000 characters."""

Fields = Sequence[bytes]

_LENGTHS = [length.to_bytes(4, "big") for length in range(LONGEST + 1)]
_INTEGER, _ARRAY = Struct(">iq"), Struct(">iiiiii")
_OID = {kind: types[kind].oid for kind in ("text", "timestamptz", "uuid")}


def field(value: bytes) -> bytes:
    """One field."""
    return len(value).to_bytes(4, "big") + value


def texts(values: Iterable[str]) -> Fields:
    """A column of texts."""
    encoded = list(map(str.encode, values))
    return list(map(add, map(_LENGTHS.__getitem__, map(len, encoded)), encoded))


def integers(values: Iterable[int]) -> Fields:
    """A column of int8; of instants too, as microseconds."""
    return list(map(_INTEGER.pack, repeat(8), values))


def microseconds(instants: Sequence[str]) -> list[int]:
    """A column of ISO instants, counted from the epoch."""
    counted = {text: (datetime.fromisoformat(text) - EPOCH) // MICROSECOND for text in set(instants)}
    return list(map(counted.__getitem__, instants))


@lru_cache(maxsize=65536)
def day(iso: str) -> bytes:
    """A day."""
    return field((date.fromisoformat(iso) - EPOCH.date()).days.to_bytes(4, "big", signed=True))


def array(kind: str, elements: bytes, count: int) -> bytes:
    """An array of so many fields of some type."""
    return _ARRAY.pack(20 + len(elements), 1, 0, _OID[kind], count, 1) + elements


def rows(fields: int, *columns: Iterable[bytes]) -> bytes:
    """Rows of so many fields, column beside column; a column may hold several fields."""
    return b"".join(chain.from_iterable(zip(repeat(fields.to_bytes(2, "big")), *columns, strict=False)))


def elements(sent: bytes, kind: str) -> Iterator[Any]:
    """The elements of an array as array_send tells them, laid out like `kind` (a struct's letters)."""
    return chain.from_iterable(Struct(">4x" + kind).iter_unpack(sent[20:]))
