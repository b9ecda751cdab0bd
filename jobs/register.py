"""Enters documents into their register in the transaction that issues them, where it has had all that came before.

Nobody has to read them back then. Where the register is behind, or somebody follows just now, they follow as always:
its rows and its tracking are the same either way. So it is with those that want no documents and would only pass them
by: they are moved with the register. Source: ADR-0037, ADR-0039.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import msgspec
import psycopg

from domain.events.documents import InvoiceIssued
from domain.ports import Append
from projections import ALL
from projections.documents import COLUMNS, TYPES, Documents, row

MOVE_ON = """
SELECT m.bucket FROM unnest(%b::smallint[], %b::bigint[], %b::bigint[]) AS b(bucket, after, upto),
LATERAL move_on(b.bucket, b.after, b.upto, %b) m WHERE m.projection = %b"""
MOVED = [one.name for one in ALL if one.name == Documents.name or not one.topics & Documents.topics]
"""The register, and those that want no documents: they would only pass them by."""


class Entered(msgspec.Struct, frozen=True):
    """A document that was appended."""

    bucket: int
    document: UUID
    issued: InvoiceIssued


def enter(append: Append, documents: Sequence[Entered], first: Mapping[int, int]) -> None:
    """Enters appended documents. Shapes: `first` is the position before the first of them, by bucket.

    What the register does not take is left to following, which parks it and says why: a register never stops a run.
    """
    there = Counter(one.bucket for one in documents)
    uptos = [after + there[bucket] for bucket, after in first.items()]
    with suppress(psycopg.DataError, psycopg.IntegrityError, OverflowError), append.nested() as part:
        moved = part.query(MOVE_ON, [list(first), list(first.values()), uptos, MOVED, Documents.name])
        mine = {bucket for (bucket,) in moved}
        rows = [row(one.bucket, one.document, one.issued.TOPIC, one.issued) for one in documents if one.bucket in mine]
        part.rows(COLUMNS, rows, list(TYPES.values()))
