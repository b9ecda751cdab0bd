"""The register of invoices and credit notes: one row for each, as it was issued."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import ClassVar
from uuid import UUID

import msgspec

from domain.events import looker
from domain.events.documents import InvoiceIssued
from projections.projection import Cursor, Entry, Projection

TYPES = {
    "bucket": "int2", "document": "uuid", "number": "text", "series": "text", "kind": "text", "account": "uuid",
    "party": "text", "currency": "text", "issued_on": "date", "due_on": "date", "through": "date", "net": "int8",
    "tax": "int8", "gross": "int8", "lines": "int4", "run": "text",
}  # fmt: skip
COLUMNS = f"document_v1 ({', '.join(TYPES)})"
COPY = f"COPY {COLUMNS} FROM STDIN (FORMAT BINARY)".encode()


class _Name(msgspec.Struct, frozen=True):
    name: str


class Head(msgspec.Struct, frozen=True):
    """What the register holds of a document: its lines are counted, not read."""

    document: str
    series: str
    account: UUID
    party: _Name
    currency: str
    issued_on: date
    due_on: date
    through: date
    lines: tuple[msgspec.Raw, ...]
    net: int
    tax: int
    gross: int
    run: str


class Documents(Projection):
    """Amounts in minor units; the document itself, with its lines, is the event."""

    name = "document_v1"
    tables = ("document_v1",)
    topics = frozenset({"invoice", "credit_note"})
    ddl: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE IF NOT EXISTS document_v1 (
            bucket smallint NOT NULL, document uuid NOT NULL, number text NOT NULL, series text NOT NULL,
            kind text NOT NULL, account uuid NOT NULL, party text NOT NULL, currency text NOT NULL,
            issued_on date NOT NULL, due_on date NOT NULL, through date NOT NULL, net bigint NOT NULL,
            tax bigint NOT NULL, gross bigint NOT NULL, lines integer NOT NULL, run text NOT NULL,
            PRIMARY KEY (bucket, document))""",
        "CREATE INDEX IF NOT EXISTS document_v1_number ON document_v1 (number)",
        "CREATE INDEX IF NOT EXISTS document_v1_account ON document_v1 (bucket, account)",
    )

    def apply(self, cursor: Cursor, entries: Sequence[Entry]) -> None:
        heads = {topic: looker(topic, Head) for topic in {entry.topic for entry in entries}}
        with cursor.copy(COPY) as copy:
            copy.set_types(list(TYPES.values()))
            for bucket, _, document, _, topic, state in entries:
                copy.write_row(row(bucket, document, topic, heads[topic](state)))


def row(bucket: int, document: UUID, topic: str, head: Head | InvoiceIssued) -> tuple[object, ...]:
    """A document as the register has it."""
    return (
        bucket,
        document,
        head.document,
        head.series,
        topic.partition(".")[0],
        head.account,
        head.party.name,
        head.currency,
        head.issued_on,
        head.due_on,
        head.through,
        head.net,
        head.tax,
        head.gross,
        len(head.lines),
        head.run,
    )
