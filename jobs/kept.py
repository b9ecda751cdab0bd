"""Whether documents are kept as they were issued: by the register, and line by line for billing."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg

from domain.events import looker, topics
from domain.events.documents import CreditNoteIssued, InvoiceIssued
from projections.documents import TYPES, Head, row

TOPICS = [*topics(InvoiceIssued), *topics(CreditNoteIssued)]
ISSUED = "SELECT stream, topic, state FROM event WHERE bucket = %s AND topic = ANY(%s)"
REGISTER = f"SELECT {', '.join(TYPES)} FROM document_v1 WHERE bucket = %s"
LINES = """
SELECT document, sha256(string_agg(body, '' ORDER BY line)) FROM billed_line WHERE bucket = %s GROUP BY document"""


def differing(connection: psycopg.Connection, bucket: int) -> Iterator[tuple[str, str]]:
    """Where a bucket's documents are not kept as the log has them, in a cell of the register or a byte of a line.

    Shapes: ("register" or "lines", the document's number, or its id where it was never issued).
    """
    register, lines = set[tuple[Any, ...]](), dict[UUID, bytes]()
    names = dict[UUID, str]()
    for document, topic, state in connection.execute(ISSUED, [bucket, TOPICS]).fetchall():
        head = looker(topic, Head)(state)
        register.add(row(bucket, document, topic, head))
        lines[document], names[document] = sha256(b"".join(head.lines)).digest(), head.document
    entered = set(connection.execute(REGISTER.encode(), [bucket]).fetchall())
    kept: dict[UUID, bytes] = dict(connection.execute(LINES, [bucket]).fetchall())
    for document in {document for _, document, *_ in register ^ entered}:
        yield "register", names.get(document, f"{document}")
    for document in {document for document, _ in lines.items() ^ kept.items()}:
        yield "lines", names.get(document, f"{document}")
