"""The billing basis: the facts of every account, license and counted month, packed by stream, for bulk reading.

A row is a stream's events as they stand in the log, so that the run folds exactly what was recorded; it is a cache of
the log that one query can read for a whole range of buckets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from domain.events import decode
from domain.events import license as license_events
from domain.events.counted_users import CountEvent
from domain.identity import Kind
from domain.terms import Located
from projections.projection import Cursor, Entry, Projection

UPSERT = """
INSERT INTO basis_v1 (bucket, stream, kind, owner, facts)
SELECT * FROM unnest(%b::smallint[], %b::uuid[], %b::smallint[], %b::uuid[], %b::bytea[])
ON CONFLICT (bucket, stream) DO UPDATE SET facts = basis_v1.facts || excluded.facts"""


class Basis(Projection):
    """Packs streams; `owner` is the account of a license, the license of a count, the account itself."""

    name = "basis_v1"
    tables = ("basis_v1",)
    topics = frozenset({"account", "license", "counted_users"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS basis_v1 (
            bucket smallint NOT NULL, stream uuid NOT NULL, kind smallint NOT NULL, owner uuid NOT NULL,
            facts bytea NOT NULL, PRIMARY KEY (bucket, stream))""",
        "CREATE INDEX IF NOT EXISTS basis_v1_owner ON basis_v1 (bucket, owner)",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        packed: dict[UUID, list[Entry]] = defaultdict(list)
        for entry in entries:
            packed[entry.stream].append(entry)
        rows = [_row(stream, found) for stream, found in packed.items()]
        if rows:
            cursor.execute(UPSERT, [list(column) for column in zip(*rows, strict=True)])


def _row(stream: UUID, entries: Sequence[Entry]) -> tuple[int, UUID, int, UUID, bytes]:
    kind, owner = _owner(entries[0])
    return entries[0].bucket, stream, int(kind), owner, b"".join(pack(entry) for entry in entries)


def _owner(entry: Entry) -> tuple[Kind, UUID]:
    event = entry.event
    if isinstance(event, license_events.LicenseStarted):
        return Kind.LICENSE, event.account
    if isinstance(event, CountEvent):
        return Kind.COUNTED_USERS, event.license
    # The owner of a row that is there already is not written again, so a later event need not know it.
    return (Kind.ACCOUNT if event.TOPIC.startswith("account") else Kind.LICENSE), entry.stream


def pack(entry: Entry) -> bytes:
    """One event as a line: version, topic, body; a JSON body has no raw line breaks."""
    return b"%d %s %s\n" % (entry.version, entry.topic.encode(), entry.state)


def unpack(stream: UUID, facts: bytes) -> list[Located]:
    """The events of a packed stream, in order."""
    split = [line.split(b" ", 2) for line in facts.splitlines()]
    return [Located((stream, int(version)), decode(topic.decode(), state)) for version, topic, state in split]
