"""What brings service onto a bill, from which day on, and where in the log it was told: a run up to there saw it.

A license begins, changes, comes back from a pause or an end; an account gets another payer or billing day. Whoever was
billed before it was told is found by it (ADR-0045).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import ClassVar
from uuid import UUID

from domain.events import account, license
from projections.projection import Cursor, Entry, Projection

INSERT = """
INSERT INTO beginning_v1 (bucket, stream, version, position, account, since)
SELECT b, s, v, p, coalesce(a,
    (SELECT o.account FROM beginning_v1 o WHERE (o.bucket, o.stream, o.version) = (b, s, 1))), d
FROM unnest(%s::smallint[], %s::uuid[], %s::integer[], %s::bigint[], %s::uuid[], %s::date[]) n(b, s, v, p, a, d)"""

Row = tuple[int, UUID, int, int, UUID | None, date]


class Beginnings(Projection):
    """One row for each such event; `account` is whose service it is, which later events of a license do not tell."""

    name = "beginning_v1"
    tables = ("beginning_v1",)
    topics = frozenset({"account", "license"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS beginning_v1 (
            bucket smallint NOT NULL, stream uuid NOT NULL, version integer NOT NULL, position bigint NOT NULL,
            account uuid NOT NULL, since date NOT NULL, PRIMARY KEY (bucket, stream, version))""",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        """Starts are written before what refers to them."""
        rows = list(_rows(entries))
        for some in ([row for row in rows if row[4]], [row for row in rows if not row[4]]):
            if some:
                cursor.execute(INSERT, [list(column) for column in zip(*some, strict=True)])


def _rows(entries: Sequence[Entry]) -> Iterator[Row]:
    for entry in entries:
        event, place = entry.event, (entry.bucket, entry.stream, entry.version, entry.position)
        match event:
            case license.LicenseStarted():
                yield (*place, event.account, event.start_on)
            case license.LicenseChanged():
                yield (*place, None, event.effective_on)
            case license.LicenseResumed():
                yield (*place, None, event.on)
            case license.LicenseReactivated():
                yield (*place, None, event.from_on)
            case license.CancellationWithdrawn():  # the end was a later day
                yield (*place, None, event.on + timedelta(days=1))
            case account.PayerChanged() | account.BillingDayChanged():
                yield (*place, entry.stream, event.effective_on)
