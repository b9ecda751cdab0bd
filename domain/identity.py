"""Identifiers: 128 bits that carry the month, the kind of thing and the bucket of the log it lives in.

A bucket is a slice of the event log that can be read and written alone; everything of one account tree lives in
one bucket. The layout (RFC 9562, version 8) sorts by month, so that index inserts stay local:
`mmmm k bbb - hash`, for example `5f03 4 2a7-…`: bucket 0x2a7 is readable in hex digits 6 to 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from uuid import UUID

import msgspec

ACCOUNT_BUCKETS = 1024
CATALOG_BUCKET = 1024
SERIES_BUCKETS = range(1025, 1040)
ALL_BUCKETS = 1040

_VERSION_8 = 0x8 << 76
_VARIANT = 0b10 << 62
_UUID, _UUIDS = msgspec.msgpack.Decoder(UUID), msgspec.msgpack.Decoder(list[UUID])
_LENGTHS = [length.to_bytes(4, "big") for length in range(256)]
_HASHED_BITS = ~((0xF << 76) | (0b11 << 62)) & ((1 << 96) - 1)


class Kind(IntEnum):
    """What an identifier names; four bits of it."""

    PACKAGE = 1
    ACCOUNT = 2
    LICENSE = 3
    COUNTED_USERS = 4
    INVOICE = 5
    CREDIT_NOTE = 6
    SERIES = 7
    COMMAND = 8
    RECEIVABLES = 9
    COLLECTION = 10
    ATTEMPT = 11
    REFUND = 12
    DUNNING = 13
    PAYOUT = 14


def digest(*names: object, size: int = 16) -> bytes:
    """A stable hash of names, safe against moving a border between two of them (each is length-prefixed)."""
    hashed = _blank(size).copy()
    hashed.update(b"".join([_word(name) if type(name) in (str, int) else _framed(_as_bytes(name)) for name in names]))
    return hashed.digest()


@lru_cache(maxsize=4096)
def _word(name: str | int) -> bytes:
    """What comes again and again. Of these types only: what is equal is written alike."""
    return _framed(_as_bytes(name))


def _framed(name: bytes) -> bytes:
    size_of = len(name)
    return (_LENGTHS[size_of] if size_of < 256 else size_of.to_bytes(4, "big")) + name


@lru_cache
def _blank(size: int) -> blake2b:
    """A hash of nothing yet: copying it is cheaper than making one."""
    return blake2b(digest_size=size, person=b"tallystick")


def _as_bytes(name: object) -> bytes:
    if isinstance(name, UUID):
        return name.bytes
    return name if isinstance(name, bytes) else str(name).encode()


def uuid_from(content: bytes) -> UUID:
    """The identifier of 16 bytes, without the checks that its constructor makes of every way to call it."""
    return _UUID.decode(b"\xc4\x10" + content)


def uuids_from(contents: Sequence[bytes]) -> list[UUID]:
    """The identifiers of 16 bytes each: many at once are made in half the time."""
    return _UUIDS.decode(
        b"".join([b"\xdd", len(contents).to_bytes(4, "big"), *[b"\xc4\x10" + one for one in contents]])
    )


def make_id(kind: Kind, bucket: int, on: date | None, *names: object) -> UUID:
    """The identifier of the thing with these names: the same names always give the same identifier.

    Units: `on` gives the month that the identifier sorts by; None for things without one.
    """
    month, code = on.year * 12 + on.month - 1 if on else 0, int(kind)
    hashed = int.from_bytes(digest(code, *names, size=12), "big") & _HASHED_BITS
    number = month << 112 | code << 108 | bucket << 96 | hashed | _VERSION_8 | _VARIANT
    return uuid_from(number.to_bytes(16, "big"))


def bucket_of(identifier: UUID) -> int:
    """The bucket that a thing lives in, read from its identifier."""
    return identifier.int >> 96 & 0xFFF


def kind_of(identifier: UUID) -> Kind:
    """What the identifier names."""
    return Kind(identifier.int >> 108 & 0xF)


def account_bucket(root_reference: str) -> int:
    """The bucket of an account tree, from the reference of its root; stable across versions and machines."""
    return int.from_bytes(digest("account", root_reference, size=4), "big") % ACCOUNT_BUCKETS


def name_bucket(name: str) -> int:
    """The bucket of the directory that a reference is kept in, so that it is unique over all account trees."""
    return int.from_bytes(digest("directory", name, size=4), "big") % ACCOUNT_BUCKETS


def series_bucket(reference: str) -> int:
    """The bucket of a document series: above all account buckets, so that ascending lock order takes it last."""
    return SERIES_BUCKETS[int.from_bytes(digest("series", reference, size=4), "big") % len(SERIES_BUCKETS)]
