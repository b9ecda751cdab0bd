"""What goes back, and what must not be charged meanwhile: refunds, disputes, holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from domain.events import Event
from domain.events import collection as collection_events
from domain.events import receivables as events
from projections.projection import Cursor, Entry, Projection

REFUND = """INSERT INTO refund_v1 (bucket, refund, account, receipt, provider, amount, currency, opened_at, number, why,
object, state, code) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '', 'open', '')"""
LEARNED = "UPDATE refund_v1 SET state = %s, object = %s, code = %s WHERE bucket = %s AND refund = %s"
DISPUTE = """INSERT INTO dispute_v1 VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (bucket, dispute) DO UPDATE SET state = excluded.state, withdrawn = excluded.withdrawn,
given_back = excluded.given_back, learned_on = excluded.learned_on, reason = excluded.reason"""
HOLD = "INSERT INTO hold_v1 VALUES (%s, %s, %s, %s)"
RELEASE = "DELETE FROM hold_v1 WHERE bucket = %s AND invoice = %s AND hold = %s"


class Returns(Projection):
    """Amounts in minor units; an invoice without a row in `hold_v1` may be collected."""

    name = "refund_v1"
    tables = ("refund_v1", "dispute_v1", "hold_v1")
    topics = frozenset({"receivables", "collection"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS refund_v1 (
            bucket smallint NOT NULL, refund uuid NOT NULL, account uuid NOT NULL, receipt text NOT NULL,
            provider text NOT NULL, amount bigint NOT NULL, currency text NOT NULL, opened_at timestamptz NOT NULL,
            number text NOT NULL, why text NOT NULL, object text NOT NULL, state text NOT NULL, code text NOT NULL,
            PRIMARY KEY (bucket, refund))""",
        "CREATE INDEX IF NOT EXISTS refund_v1_under_way ON refund_v1 (opened_at) WHERE state IN ('open', 'pending')",
        """CREATE TABLE IF NOT EXISTS dispute_v1 (
            bucket smallint NOT NULL, dispute text NOT NULL, account uuid NOT NULL, receipt text NOT NULL,
            state text NOT NULL, amount bigint NOT NULL, withdrawn bigint NOT NULL, given_back bigint NOT NULL,
            currency text NOT NULL, learned_on date NOT NULL, reason text NOT NULL, PRIMARY KEY (bucket, dispute))""",
        """CREATE TABLE IF NOT EXISTS hold_v1 (
            bucket smallint NOT NULL, invoice uuid NOT NULL, hold text NOT NULL, since date NOT NULL,
            PRIMARY KEY (bucket, invoice, hold))""",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        for entry in entries:
            _apply(cursor, entry.bucket, entry.event)


def _apply(cursor: Cursor, bucket: int, event: Event) -> None:
    match event:
        case events.RefundOpened():
            row = [bucket, event.refund, event.account, event.receipt, event.provider, event.amount, event.currency]
            cursor.execute(REFUND, [*row, event.opened_at, event.document, event.why])
        case events.RefundLearned():
            cursor.execute(LEARNED, [event.state, event.object, event.code, bucket, event.refund])
        case events.DisputeLearned():
            row = [bucket, event.dispute, event.account, event.receipt, event.state, event.amount, event.withdrawn]
            cursor.execute(DISPUTE, [*row, event.given_back, event.currency, event.on, event.reason])
        case collection_events.HoldPlaced():
            cursor.execute(HOLD, [bucket, event.invoice, event.hold, event.on])
        case collection_events.HoldReleased():
            cursor.execute(RELEASE, [bucket, event.invoice, event.hold])
