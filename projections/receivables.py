"""What was paid: what is open on invoices, receipts with what is left of them, attempts.

An invoice that no money touched has no row here: a billing run pays nothing for this projection. The view
`receivable_v1` joins the register with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import ClassVar
from uuid import UUID

from domain.events import Event
from domain.events import collection as collection_events
from domain.events import receivables as events
from projections.projection import Cursor, Entry, Projection

LEFT = """INSERT INTO settlement_v1 VALUES (%s, %s, %s, %s) ON CONFLICT (bucket, invoice)
DO UPDATE SET left_open = excluded.left_open, settled_on = excluded.settled_on"""
RECEIPT = """INSERT INTO receipt_v1 (bucket, receipt, account, currency, source, received_on, amount, text, credit,
returned) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0)"""
SPENT = "UPDATE receipt_v1 SET credit = credit - %s WHERE bucket = %s AND receipt = %s"
RETURNED = """UPDATE receipt_v1 SET returned = returned + %s, credit = credit - %s WHERE bucket = %s AND receipt = %s"""
ATTEMPT = """INSERT INTO attempt_v1 (bucket, attempt, invoice, number, account, provider, amount, currency,
opened_at, object, state, payment, code, url) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, '', 'open', '', '', '')"""
BOUND = "UPDATE attempt_v1 SET object = %s, url = %s WHERE bucket = %s AND attempt = %s"
LEARNED = """UPDATE attempt_v1 SET state = %s, payment = %s, code = %s,
url = CASE WHEN %s = '' THEN url ELSE %s END WHERE bucket = %s AND attempt = %s"""


class Receivables(Projection):
    """Amounts in minor units; `left_open` 0 is settled, `credit` of a receipt is what no invoice took."""

    name = "settlement_v1"
    tables = ("settlement_v1", "receipt_v1", "attempt_v1")
    topics = frozenset({"receivables", "collection"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS settlement_v1 (
            bucket smallint NOT NULL, invoice uuid NOT NULL, left_open bigint NOT NULL, settled_on date,
            PRIMARY KEY (bucket, invoice))""",
        """CREATE OR REPLACE VIEW receivable_v1 AS SELECT d.bucket, d.document AS invoice, d.number, d.account,
            d.currency, d.gross, coalesce(s.left_open, d.gross) AS left_open, d.issued_on, d.due_on, s.settled_on
            FROM document_v1 d LEFT JOIN settlement_v1 s ON s.bucket = d.bucket AND s.invoice = d.document
            WHERE d.kind = 'invoice'""",
        """CREATE TABLE IF NOT EXISTS receipt_v1 (
            bucket smallint NOT NULL, receipt text NOT NULL, account uuid NOT NULL, currency text NOT NULL,
            source text NOT NULL, received_on date NOT NULL, amount bigint NOT NULL, credit bigint NOT NULL,
            returned bigint NOT NULL, text text NOT NULL, PRIMARY KEY (bucket, receipt))""",
        "CREATE INDEX IF NOT EXISTS receipt_v1_account ON receipt_v1 (bucket, account)",
        """CREATE TABLE IF NOT EXISTS attempt_v1 (
            bucket smallint NOT NULL, attempt uuid NOT NULL, invoice uuid NOT NULL, number text NOT NULL,
            account uuid NOT NULL, provider text NOT NULL, amount bigint NOT NULL,
            currency text NOT NULL, opened_at timestamptz NOT NULL, object text NOT NULL, state text NOT NULL,
            payment text NOT NULL, code text NOT NULL, url text NOT NULL, PRIMARY KEY (bucket, attempt))""",
        "CREATE INDEX IF NOT EXISTS attempt_v1_object ON attempt_v1 (provider, object)",
        "CREATE INDEX IF NOT EXISTS attempt_v1_payment ON attempt_v1 (provider, payment)",
        "CREATE INDEX IF NOT EXISTS attempt_v1_invoice ON attempt_v1 (bucket, invoice)",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        for entry in entries:
            _apply(cursor, entry.bucket, entry.event)


def _apply(cursor: Cursor, bucket: int, event: Event) -> None:
    match event:
        case events.ReceiptBooked():
            row = [bucket, event.receipt, event.account, event.currency, event.source, event.received_on]
            cursor.execute(RECEIPT, [*row, event.amount, event.text, event.amount])
        case events.Allocated():
            cursor.execute(SPENT, [event.amount, bucket, event.receipt])
            _left(cursor, bucket, event.invoice, event.left, event.on)
        case events.Deallocated():
            cursor.execute(SPENT, [-event.amount, bucket, event.receipt])
            _left(cursor, bucket, event.invoice, event.left, event.on)
        case events.MoneyReturned():
            cursor.execute(RETURNED, [event.amount, event.amount, bucket, event.receipt])
        case events.ReturnUndone():
            cursor.execute(RETURNED, [-event.amount, -event.amount, bucket, event.receipt])
        case collection_events.AttemptOpened():
            row = [bucket, event.attempt, event.invoice, event.document, event.account]
            cursor.execute(ATTEMPT, [*row, event.provider, event.amount, event.currency, event.opened_at])
        case collection_events.ObjectBound():
            cursor.execute(BOUND, [event.object, event.url, bucket, event.attempt])
        case collection_events.OutcomeLearned():
            row = [event.state, event.payment, event.code, event.url, event.url, bucket, event.attempt]
            cursor.execute(LEARNED, row)


def _left(cursor: Cursor, bucket: int, invoice: UUID, left: int, on: date) -> None:
    cursor.execute(LEFT, [bucket, invoice, left, None if left else on])
