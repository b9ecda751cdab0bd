"""Upgrades and downgrades: for every license what was agreed, what is scheduled, and what was refused and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from psycopg.types.json import Jsonb

from domain.events import license as events
from projections.projection import Cursor, Entry, Projection

INSERT = """
INSERT INTO change_v1
    (bucket, license, change, effective_on, package, version, type, quantities, direction, state, reason)
SELECT * FROM unnest(%s::smallint[], %s::uuid[], %s::text[], %s::date[], %s::text[], %s::integer[], %s::text[],
%s::jsonb[], %s::text[], %s::text[], %s::text[])"""
WITHDRAW = "UPDATE change_v1 SET state = 'withdrawn', reason = %s WHERE bucket = %s AND license = %s AND change = %s"


class Changes(Projection):
    """One row for each change; which agreed one is current and which are scheduled depends on the day one asks for."""

    name = "change_v1"
    tables = ("change_v1",)
    topics = frozenset({"license"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS change_v1 (
            bucket smallint NOT NULL, license uuid NOT NULL, change text NOT NULL, effective_on date NOT NULL,
            package text NOT NULL, version integer NOT NULL, type text NOT NULL, quantities jsonb NOT NULL,
            direction text NOT NULL, state text NOT NULL, reason text NOT NULL,
            PRIMARY KEY (bucket, license, change))""",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        """Changes are written all at once, before any of them is withdrawn."""
        rows = [row for entry in entries if (row := _row(entry))]
        if rows:
            cursor.execute(INSERT, [list(column) for column in zip(*rows, strict=True)])
        for entry in entries:
            if isinstance(event := entry.event, events.ChangeWithdrawn):
                cursor.execute(WITHDRAW, [event.why, entry.bucket, entry.stream, event.change])


def _row(entry: Entry) -> tuple[object, ...] | None:
    """The row that an event adds, if it adds one."""
    event, key = entry.event, (entry.bucket, entry.stream)
    match event:
        case events.LicenseStarted():
            return (*key, "start", event.start_on, *_terms(event), "other", "agreed", "")
        case events.LicenseChanged():
            return (*key, event.change, event.effective_on, *_terms(event), event.direction, "agreed", "")
        case events.ChangeRefused():
            refused = (f"refused-{entry.version}", event.on, event.requested, 0, "", Jsonb({}))
            return (*key, *refused, "other", "refused", event.reason)
    return None


def _terms(event: events.LicenseStarted | events.LicenseChanged) -> tuple[object, ...]:
    return event.package, event.version, event.type, Jsonb(event.quantities)
