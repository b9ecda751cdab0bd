"""Columns as fields of PostgreSQL's binary COPY, and as arrays to be sent: a length and the value.

An element of an array is written like a field, so that the same bytes serve a row and an array; and what repeats in a
column (days, instants, subjects) is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import chain, repeat
from operator import add
from struct import Struct, calcsize
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import adapters
from psycopg.abc import DumperKey, PyFormat
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""What PostgreSQL counts days and instants from."""
MICROSECOND = timedelta(microseconds=1)
LONGEST = 4000
"""Bytes of the longest text that a file may hold: 1000 characters."""

Fields = Sequence[bytes]

_LENGTHS = [length.to_bytes(4, "big") for length in range(LONGEST + 1)]
_INTEGER, _SMALL, _ARRAY = Struct(">iq"), Struct(">ih"), Struct(">iiiiii")
_OID = {kind: types[kind].oid for kind in ("int2", "text", "timestamptz", "uuid", "date")}


def field(value: bytes) -> bytes:
    """One field."""
    return len(value).to_bytes(4, "big") + value


def texts(values: Iterable[str]) -> Fields:
    """A column of texts."""
    encoded = list(map(str.encode, values))
    return list(map(add, map(_LENGTHS.__getitem__, map(len, encoded)), encoded))


def words(values: Iterable[str]) -> Fields:
    """A column of texts of any length that come again and again."""
    return list(map(word, values))


@lru_cache(maxsize=4096)
def word(value: str) -> bytes:
    """A text that comes again and again."""
    return field(value.encode())


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
    return _date(date.fromisoformat(iso))


def smallints(values: Iterable[int]) -> Fields:
    """A column of int2."""
    return list(map(_SMALL.pack, repeat(2), values))


def uuids(values: Iterable[UUID]) -> Fields:
    """A column of identifiers."""
    return [b"\0\0\0\x10" + value.bytes for value in values]


def dates(values: Iterable[date]) -> Fields:
    """A column of days."""
    return list(map(_date, values))


@lru_cache(maxsize=65536)
def _date(value: date) -> bytes:
    return field((value.toordinal() - EPOCH.toordinal()).to_bytes(4, "big", signed=True))


class Array(NamedTuple):
    """A column as the value of one parameter: psycopg would write each element by itself, which costs far more."""

    oid: int
    body: bytes


def sent(kind: str, elements: Fields) -> Array:
    """An array of some type, to be sent."""
    return Array(types[kind].array_oid, array(kind, b"".join(elements), len(elements))[4:])


class _ArrayDumper(Dumper):
    """Sends arrays as they are."""

    format = Format.BINARY

    def get_key(self, obj: Array, format: PyFormat) -> DumperKey:
        return (Array, obj.oid)  # type: ignore[return-value]

    def upgrade(self, obj: Array, format: PyFormat) -> Dumper:
        dumper = _ArrayDumper(Array)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Array) -> bytes:
        return obj.body


adapters.register_dumper(Array, _ArrayDumper)


def array(kind: str, elements: bytes, count: int) -> bytes:
    """An array of so many fields of some type."""
    return _ARRAY.pack(20 + len(elements), 1, 0, _OID[kind], count, 1) + elements


def rows(fields: int, *columns: Iterable[bytes]) -> bytes:
    """Rows of so many fields, column beside column; a column may hold several fields."""
    return b"".join(chain.from_iterable(zip(repeat(fields.to_bytes(2, "big")), *columns, strict=False)))


def elements(sent: bytes, kind: str) -> tuple[Any, ...]:
    """The elements of an array as array_send tells them, each laid out like `kind` (a struct's letters)."""
    count = max(len(sent) - 20, 0) // (4 + calcsize(">" + kind))
    return Struct(">" + ("4x" + kind) * count).unpack(sent[20:])
