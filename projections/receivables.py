"""What is owed and what was paid: invoices with what is open on them, receipts with what is left, attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from domain.events import Event
from domain.events import collection as collection_events
from domain.events import receivables as events
from domain.events.documents import CreditNoteIssued, InvoiceIssued
from domain.identity import bucket_of
from projections.follower import Cursor, Entry, Projection

INVOICES = """COPY receivable_v1 (bucket, invoice, number, account, currency, gross, left_open, issued_on, due_on)
FROM STDIN"""
LEFT = """UPDATE receivable_v1 SET left_open = %s, settled_on = %s WHERE bucket = %s AND invoice = %s"""
RECEIPT = """INSERT INTO receipt_v1 (bucket, receipt, account, currency, source, received_on, amount, text, credit,
returned) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0)"""
SPENT = "UPDATE receipt_v1 SET credit = credit - %s WHERE bucket = %s AND receipt = %s"
RETURNED = """UPDATE receipt_v1 SET returned = returned + %s, credit = credit - %s WHERE bucket = %s AND receipt = %s"""
ATTEMPT = """INSERT INTO attempt_v1 (bucket, attempt, invoice, number, account, provider, mode, amount, currency,
opened_at, object, state, payment, code, url) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '', 'open', '', '', '')"""
BOUND = "UPDATE attempt_v1 SET object = %s, url = %s WHERE bucket = %s AND attempt = %s"
LEARNED = """UPDATE attempt_v1 SET state = %s, payment = %s, code = %s,
url = CASE WHEN %s = '' THEN url ELSE %s END WHERE bucket = %s AND attempt = %s"""


class Receivables(Projection):
    """Amounts in minor units; `left_open` 0 is settled, `credit` of a receipt is what no invoice took."""

    name = "receivable_v1"
    tables = ("receivable_v1", "receipt_v1", "attempt_v1")
    topics = frozenset({"invoice", "credit_note", "receivables", "collection"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS receivable_v1 (
            bucket smallint NOT NULL, invoice uuid NOT NULL, number text NOT NULL, account uuid NOT NULL,
            currency text NOT NULL, gross bigint NOT NULL, left_open bigint NOT NULL, issued_on date NOT NULL,
            due_on date NOT NULL, settled_on date, PRIMARY KEY (bucket, invoice))""",
        "CREATE INDEX IF NOT EXISTS receivable_v1_number ON receivable_v1 (number)",
        "CREATE INDEX IF NOT EXISTS receivable_v1_open ON receivable_v1 (bucket, account) WHERE left_open <> 0",
        """CREATE TABLE IF NOT EXISTS receipt_v1 (
            bucket smallint NOT NULL, receipt text NOT NULL, account uuid NOT NULL, currency text NOT NULL,
            source text NOT NULL, received_on date NOT NULL, amount bigint NOT NULL, credit bigint NOT NULL,
            returned bigint NOT NULL, text text NOT NULL, PRIMARY KEY (bucket, receipt))""",
        "CREATE INDEX IF NOT EXISTS receipt_v1_account ON receipt_v1 (bucket, account)",
        """CREATE TABLE IF NOT EXISTS attempt_v1 (
            bucket smallint NOT NULL, attempt uuid NOT NULL, invoice uuid NOT NULL, number text NOT NULL,
            account uuid NOT NULL, provider text NOT NULL, mode text NOT NULL, amount bigint NOT NULL,
            currency text NOT NULL, opened_at timestamptz NOT NULL, object text NOT NULL, state text NOT NULL,
            payment text NOT NULL, code text NOT NULL, url text NOT NULL, PRIMARY KEY (bucket, attempt))""",
        "CREATE INDEX IF NOT EXISTS attempt_v1_object ON attempt_v1 (provider, object)",
        "CREATE INDEX IF NOT EXISTS attempt_v1_payment ON attempt_v1 (provider, payment)",
        "CREATE INDEX IF NOT EXISTS attempt_v1_invoice ON attempt_v1 (bucket, invoice)",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        """Invoices first and in bulk: nothing is said of one before it is issued, and a run issues thousands."""
        found = [(entry, entry.event) for entry in entries]
        _invoices(cursor, found)
        for entry, event in found:
            _apply(cursor, entry, event)


def _invoices(cursor: Cursor, found: Sequence[tuple[Entry, Event]]) -> None:
    with cursor.copy(INVOICES.encode()) as copy:
        for entry, event in found:
            if isinstance(event, InvoiceIssued) and not isinstance(event, CreditNoteIssued):
                copy.write_row(
                    (entry.bucket, entry.stream, event.document, event.account, event.currency, event.gross,
                     event.gross, event.issued_on, event.due_on)
                )  # fmt: skip


def _apply(cursor: Cursor, entry: Entry, event: Event) -> None:
    bucket = entry.bucket
    match event:
        case events.ReceiptBooked():
            row = [bucket, event.receipt, event.account, event.currency, event.source, event.received_on]
            cursor.execute(RECEIPT, [*row, event.amount, event.text, event.amount])
        case events.Allocated():
            cursor.execute(SPENT, [event.amount, bucket, event.receipt])
            cursor.execute(LEFT, [event.left, None if event.left else event.on, bucket, event.invoice])
        case events.Deallocated():
            cursor.execute(SPENT, [-event.amount, bucket, event.receipt])
            cursor.execute(LEFT, [event.left, None, bucket, event.invoice])
        case events.MoneyReturned():
            cursor.execute(RETURNED, [event.amount, event.amount, bucket, event.receipt])
        case events.ReturnUndone():
            cursor.execute(RETURNED, [-event.amount, -event.amount, bucket, event.receipt])
        case collection_events.AttemptOpened():
            row = [bucket_of(event.invoice), event.attempt, event.invoice, event.document, event.account]
            cursor.execute(ATTEMPT, [*row, event.provider, event.mode, event.amount, event.currency, event.opened_at])
        case collection_events.ObjectBound():
            cursor.execute(BOUND, [event.object, event.url, bucket, event.attempt])
        case collection_events.OutcomeLearned():
            row = [event.state, event.payment, event.code, event.url, event.url, bucket, event.attempt]
            cursor.execute(LEARNED, row)
