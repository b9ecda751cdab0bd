"""The billing basis: the facts of every account, license and counted month, packed by stream, for bulk reading.

A row is what a stream's events say, in order: an account's as they stand in the log, a license's without names, counts
as a quantity for each day. It is a cache of the log that one query can read for a whole range of buckets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID

from domain.counted_users import counts_of, pack_counts
from domain.events import Event
from domain.events.counted_users import CountEvent
from domain.events.license import LicenseStarted
from domain.history import pack, without_names
from domain.identity import Kind
from projections.projection import Cursor, Entry, Projection

UPSERT = """
INSERT INTO basis_v2 (bucket, stream, kind, owner, facts)
SELECT * FROM unnest(%b::smallint[], %b::uuid[], %b::smallint[], %b::uuid[], %b::bytea[])
ON CONFLICT (bucket, stream) DO UPDATE SET facts = basis_v2.facts || excluded.facts"""


class Basis(Projection):
    """Packs streams; `owner` is the account of a license, the license of a count, the account itself."""

    name = "basis_v2"
    tables = ("basis_v2",)
    topics = frozenset({"account", "license", "counted_users"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS basis_v2 (
            bucket smallint NOT NULL, stream uuid NOT NULL, kind smallint NOT NULL, owner uuid NOT NULL,
            facts bytea NOT NULL, PRIMARY KEY (bucket, stream))""",
        "CREATE INDEX IF NOT EXISTS basis_v2_owner ON basis_v2 (bucket, owner)",
        "DROP TABLE IF EXISTS basis_v1",
        *(f"DELETE FROM {of} WHERE projection = 'basis_v1'" for of in ("tracking", "parked_event")),
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        packed: dict[UUID, list[Entry]] = defaultdict(list)
        for entry in entries:
            packed[entry.stream].append(entry)
        rows = [_row(stream, found) for stream, found in packed.items()]
        if rows:
            cursor.execute(UPSERT, [list(column) for column in zip(*rows, strict=True)])


def _row(stream: UUID, entries: Sequence[Entry]) -> tuple[int, UUID, int, UUID, bytes]:
    events = [(entry, entry.event) for entry in entries]
    kind, owner = _owner(stream, events[0][1])
    return entries[0].bucket, stream, int(kind), owner, b"".join([_packed(*one) for one in events])


def _owner(stream: UUID, event: Event) -> tuple[Kind, UUID]:
    if isinstance(event, LicenseStarted):
        return Kind.LICENSE, event.account
    if isinstance(event, CountEvent):
        return Kind.COUNTED_USERS, event.license
    # The owner of a row that is there already is not written again, so a later event need not know it.
    return (Kind.ACCOUNT if event.TOPIC.startswith("account") else Kind.LICENSE), stream


def _packed(entry: Entry, event: Event) -> bytes:
    if isinstance(event, CountEvent):
        return pack_counts(counts_of(entry.version, event))
    if isinstance(event, LicenseStarted):
        return pack(entry.version, event.stored_as, without_names(event))
    return pack(entry.version, entry.topic, entry.state)
