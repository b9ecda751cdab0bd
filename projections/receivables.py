"""What was paid: what is open on invoices, receipts with what is left of them, attempts.

An invoice that no money touched has no row here: a billing run pays nothing for this projection. The view
`receivable_v1` joins the register with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from domain.events import Event
from domain.events import collection as collection_events
from domain.events import receivables as events
from projections.projection import Cursor, Entry, Projection

RECEIPT = """INSERT INTO receipt_v1 (bucket, receipt, account, currency, source, received_on, amount, text, credit,
returned) SELECT *, 0 FROM unnest(%s::smallint[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::date[],
%s::bigint[], %s::text[], %s::bigint[])"""
MOVED = """UPDATE receipt_v1 r SET credit = r.credit + n.credit, returned = r.returned + n.returned
FROM unnest(%s::smallint[], %s::text[], %s::bigint[], %s::bigint[]) AS n(bucket, receipt, credit, returned)
WHERE r.bucket = n.bucket AND r.receipt = n.receipt"""
LEFT = """INSERT INTO settlement_v1 (bucket, invoice, left_open, settled_on)
SELECT * FROM unnest(%s::smallint[], %s::uuid[], %s::bigint[], %s::date[])
ON CONFLICT (bucket, invoice) DO UPDATE SET left_open = excluded.left_open, settled_on = excluded.settled_on"""
ATTEMPT = """INSERT INTO attempt_v1 (bucket, attempt, invoice, number, account, provider, amount, currency,
opened_at, object, state, payment, code, url) SELECT *, '', 'open', '', '', '' FROM unnest(%s::smallint[], %s::uuid[],
%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::bigint[], %s::text[], %s::timestamptz[])"""
BOUND = """UPDATE attempt_v1 a SET object = n.object FROM unnest(%s::smallint[], %s::uuid[], %s::text[])
AS n(bucket, attempt, object) WHERE a.bucket = n.bucket AND a.attempt = n.attempt"""
LEARNED = """UPDATE attempt_v1 a SET state = n.state, payment = n.payment, code = n.code
FROM unnest(%s::smallint[], %s::uuid[], %s::text[], %s::text[], %s::text[]) AS n(bucket, attempt, state, payment, code)
WHERE a.bucket = n.bucket AND a.attempt = n.attempt"""
PAGE = """UPDATE attempt_v1 a SET url = n.url FROM unnest(%s::smallint[], %s::uuid[], %s::text[])
AS n(bucket, attempt, url) WHERE a.bucket = n.bucket AND a.attempt = n.attempt"""

Key = tuple[int, UUID]


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
        """A statement for each kind of row, and what is told of a row comes after what makes it."""
        batch = _Batch()
        for entry in entries:
            batch.add(entry.bucket, entry.event)
        batch.write(cursor)


class _Batch:
    """What many events come to: money that moves adds up, of what is learned the last counts."""

    def __init__(self) -> None:
        self.receipts: list[Sequence[object]] = []
        self.moved: dict[tuple[int, str], tuple[int, int]] = {}
        self.left: dict[Key, Sequence[object]] = {}
        self.attempts: list[Sequence[object]] = []
        self.bound: dict[Key, Sequence[object]] = {}
        self.learned: dict[Key, Sequence[object]] = {}
        self.pages: dict[Key, Sequence[object]] = {}

    def add(self, bucket: int, event: Event) -> None:
        """Takes one event in."""
        match event:
            case events.ReceiptBooked():
                row = [bucket, event.receipt, event.account, event.currency, event.source, event.received_on]
                self.receipts.append([*row, event.amount, event.text, event.amount])
            case events.Allocated():
                self._move(bucket, event.receipt, -event.amount)
                self.left[bucket, event.invoice] = event.left, None if event.left else event.on
            case events.PaidInstead():
                self._move(bucket, event.receipt, -event.amount)
                self._move(bucket, event.instead_of, event.amount)
            case events.Deallocated():
                self._move(bucket, event.receipt, event.amount)
                self.left[bucket, event.invoice] = event.left, None if event.left else event.on
            case events.MoneyReturned():
                self._move(bucket, event.receipt, -event.amount, event.amount)
            case events.ReturnUndone():
                self._move(bucket, event.receipt, event.amount, -event.amount)
            case collection_events.AttemptOpened():
                row = [bucket, event.attempt, event.invoice, event.document, event.account]
                self.attempts.append([*row, event.provider, event.amount, event.currency, event.opened_at])
            case collection_events.ObjectBound():
                self.bound[bucket, event.attempt] = (event.object,)
                self.pages[bucket, event.attempt] = (event.url,)
            case collection_events.OutcomeLearned():
                self.learned[bucket, event.attempt] = event.state, event.payment, event.code
                if event.url:
                    self.pages[bucket, event.attempt] = (event.url,)

    def _move(self, bucket: int, receipt: str, credit: int, returned: int = 0) -> None:
        before = self.moved.get((bucket, receipt), (0, 0))
        self.moved[bucket, receipt] = before[0] + credit, before[1] + returned

    def write(self, cursor: Cursor) -> None:
        """Brings the rows up to it."""
        for statement, rows in (
            (RECEIPT, self.receipts), (MOVED, _flat(self.moved)), (LEFT, _flat(self.left)),
            (ATTEMPT, self.attempts), (BOUND, _flat(self.bound)), (LEARNED, _flat(self.learned)),
            (PAGE, _flat(self.pages)),
        ):  # fmt: skip
            if rows:
                cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])


def _flat(rows: Mapping[Any, Sequence[object]]) -> list[Sequence[object]]:
    return [(*key, *values) for key, values in rows.items()]
