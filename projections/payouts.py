"""Payouts by bank: what finance is to pay, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from domain.events import payout as events
from projections.projection import Cursor, Entry, Projection

OPENED = "INSERT INTO payout_v1 VALUES (%s, %s, %s, %s, %s, %s, %s, 'open', '', '', '', %s)"
MADE = "UPDATE payout_v1 SET state = 'paid', transfer = %s WHERE bucket = %s AND payout = %s"
FAILED = "UPDATE payout_v1 SET state = 'failed', came_back = %s, why = %s WHERE bucket = %s AND payout = %s"


class Payouts(Projection):
    """Amounts in minor units; `transfer` made it, `came_back` undid it, both as our bank names them."""

    name = "payout_v1"
    tables = ("payout_v1",)
    topics = frozenset({"payout"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS payout_v1 (
            bucket smallint NOT NULL, payout uuid NOT NULL, reference text NOT NULL, account uuid NOT NULL,
            currency text NOT NULL, amount bigint NOT NULL, opened_on date NOT NULL, state text NOT NULL,
            transfer text NOT NULL, came_back text NOT NULL, why text NOT NULL, receipts text[] NOT NULL,
            PRIMARY KEY (bucket, payout))""",
        "CREATE INDEX IF NOT EXISTS payout_v1_reference ON payout_v1 (reference)",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        for entry in entries:
            match entry.event:
                case events.PayoutOpened() as said:
                    row = [entry.bucket, entry.stream, said.reference, said.account, said.currency, said.amount]
                    cursor.execute(OPENED, [*row, said.on, [part.receipt for part in said.parts]])
                case events.PayoutMade() as made:
                    cursor.execute(MADE, [made.transfer, entry.bucket, entry.stream])
                case events.PayoutFailed() as failed:
                    cursor.execute(FAILED, [failed.transfer, failed.why, entry.bucket, entry.stream])
