"""Enters documents into their register in the transaction that issues them, where it has had all that came before.

Nobody has to read them back then. Where the register is behind, or somebody follows just now, they follow as always:
its rows and its tracking are the same either way. Source: ADR-0037.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

import psycopg

from domain.events.documents import InvoiceIssued
from domain.ports import Append
from projections.documents import COLUMNS, TYPES, Documents, row
from projections.step import TRACK

STANDS = """
SELECT c.bucket FROM unnest(%b::smallint[], %b::bigint[]) AS b(bucket, after),
LATERAL claim(b.bucket, b.after + 1, %b) c WHERE c.after = b.after"""
"""Where a projection stands just there, and nobody holds it."""


class Entered(NamedTuple):
    """A document that was appended."""

    bucket: int
    document: UUID
    issued: InvoiceIssued


def enter(append: Append, documents: Sequence[Entered], first: Mapping[int, int]) -> None:
    """Enters appended documents. Shapes: `first` is the position before the first of them, by bucket.

    What the register does not take is left to following, which parks it and says why: a register never stops a run.
    """
    stands = append.query(STANDS, [list(first), list(first.values()), [Documents.name]])
    there = Counter(one.bucket for one in documents)
    upto = {bucket: first[bucket] + there[bucket] for (bucket,) in stands}
    rows = [row(one.bucket, one.document, one.issued.TOPIC, one.issued) for one in documents if one.bucket in upto]
    with suppress(psycopg.DataError, psycopg.IntegrityError, OverflowError), append.nested() as part:
        part.rows(COLUMNS, rows, list(TYPES.values()))
        part.query(TRACK, [[Documents.name] * len(upto), list(upto), list(upto.values())])
