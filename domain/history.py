"""Histories as the billing basis keeps them: the events of a stream, packed line by line.

A license's is kept without names, so that equal histories are equal bytes, and what they come to is worked out once
for all licenses that share one. Source: ADR-0020, ADR-0030.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.errors import IntegrityError
from domain.events import Event, decode, encode
from domain.events.documents import Ref
from domain.events.license import LicenseStarted

LICENSE, OWNER = UUID(int=0), UUID(int=1)
"""Stand for a license and its account where it does not matter which they are."""


class Located(NamedTuple):
    """An event and where it stands in the log."""

    ref: Ref
    body: Event


class History(msgspec.Struct, frozen=True):
    """What happened to a license; `facts` are packed and say neither its name nor its account's."""

    license: UUID
    account: UUID
    facts: bytes

    def followed_by(self, facts: Iterable[Located]) -> History:
        """The history with more events behind it."""
        return History(self.license, self.account, self.facts + b"".join(_packed(fact) for fact in facts))


def history_of(facts: Sequence[Located]) -> History:
    """The history that events of a license make. Raises: IntegrityError when it was never started."""
    started = facts[0].body if facts else None
    if not isinstance(started, LicenseStarted):
        raise IntegrityError("a license has to begin with its start")
    begun = pack(facts[0].ref[1], started.stored_as, without_names(started))
    return History(facts[0].ref[0], started.account, begun).followed_by(facts[1:])


def without_names(started: LicenseStarted) -> bytes:
    """The start of a license as it is stored, with nobody's name in it."""
    return encode(msgspec.structs.replace(started, reference="", account=OWNER))


def pack(version: int, topic: str, state: bytes) -> bytes:
    """One event as a line: version, topic, body; a JSON body has no raw line breaks."""
    return b"%d %s %s\n" % (version, topic.encode(), state)


def unpack(stream: UUID, facts: bytes) -> list[Located]:
    """The events of a packed stream, in order."""
    return [_unpacked(stream, *line.split(b" ", 2)) for line in facts.splitlines()]


def _unpacked(stream: UUID, version: bytes, topic: bytes, state: bytes) -> Located:
    return Located((stream, int(version)), decode(topic.decode(), state))


def _packed(fact: Located) -> bytes:
    return pack(fact.ref[1], fact.body.stored_as, encode(fact.body))
