"""What does not serve and why: a row for each license, reason, and who asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import ClassVar
from uuid import UUID

from domain.events import license as events
from projections.projection import Cursor, Entry, Projection

DEMAND = """INSERT INTO suspension_v1 VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (bucket, license, reason, invoice) DO UPDATE SET effect = excluded.effect"""
RELEASE = "DELETE FROM suspension_v1 WHERE bucket = %s AND license = %s AND reason = %s AND invoice = %s"
RESUME = "DELETE FROM suspension_v1 WHERE bucket = %s AND license = %s AND reason = %s"
NOBODY = UUID(int=0)
"""Stands for a person where a column needs a value."""


class Suspensions(Projection):
    """A license without a row serves; `invoice` is zero where a person or a rule asks, `effect` empty for wholly."""

    name = "suspension_v1"
    tables = ("suspension_v1",)
    topics = frozenset({"license"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS suspension_v1 (
            bucket smallint NOT NULL, license uuid NOT NULL, reason text NOT NULL, invoice uuid NOT NULL,
            effect text NOT NULL, since date NOT NULL, PRIMARY KEY (bucket, license, reason, invoice))""",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        for entry in entries:
            key = [entry.bucket, entry.stream]
            match entry.event:
                case events.LicenseSuspended() as one:
                    _demand(cursor, key, one.reason, one.invoice, one.effect, one.from_on)
                case events.SuspensionDemanded() as one:
                    _demand(cursor, key, one.reason, one.invoice, one.effect, one.on)
                case events.SuspensionReleased() as one:
                    cursor.execute(RELEASE, [*key, one.reason, one.invoice or NOBODY])
                case events.LicenseResumed() as one:
                    cursor.execute(RESUME, [*key, one.reason])


def _demand(cursor: Cursor, key: list[object], reason: str, invoice: UUID | None, effect: str, since: date) -> None:
    cursor.execute(DEMAND, [*key, reason, invoice or NOBODY, effect, since])
