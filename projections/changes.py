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
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
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
        for entry in entries:
            self._apply(cursor, entry)

    def _apply(self, cursor: Cursor, entry: Entry) -> None:
        event, key = entry.event, [entry.bucket, entry.stream]
        match event:
            case events.LicenseStarted():
                terms = [event.package, event.version, event.type, Jsonb(event.quantities)]
                cursor.execute(INSERT, [*key, "start", event.start_on, *terms, "other", "agreed", ""])
            case events.LicenseChanged():
                terms = [event.package, event.version, event.type, Jsonb(event.quantities)]
                cursor.execute(INSERT, [*key, event.change, event.effective_on, *terms, event.direction, "agreed", ""])
            case events.ChangeWithdrawn():
                cursor.execute(WITHDRAW, [event.why, *key, event.change])
            case events.ChangeRefused():
                change = f"refused-{entry.version}"
                refused = [change, event.on, event.requested, 0, "", Jsonb({}), "other", "refused", event.reason]
                cursor.execute(INSERT, [*key, *refused])
