"""Reads the billing basis of whole buckets with a few set-oriented queries, all in one snapshot.

The snapshot says at which positions of the log it stands (the cut) and which generation of billing it saw; an issuing
transaction that finds another generation starts again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from domain.billing import Standing
from domain.events.documents import Line, Ref
from domain.identity import Kind
from domain.terms import Located, Stream
from projections.basis import unpack

STREAMS = "SELECT bucket, stream, kind, owner, facts FROM basis_v1 WHERE bucket = ANY(%s::smallint[]) ORDER BY stream"
LINES = """
SELECT license, document, line, payer, currency, body FROM billed_line WHERE bucket = ANY(%s::smallint[])
ORDER BY license, generation, document, line"""
CUT = "SELECT bucket, position FROM tracking WHERE projection = 'basis_v1' AND bucket = ANY(%s::smallint[])"
GENERATION = "SELECT bucket, generation FROM billing_generation WHERE bucket = ANY(%s::smallint[])"

_LINE = msgspec.json.Decoder(Line)

BilledLines = Sequence[tuple[Ref, Stream, Line]]


class Snapshot(NamedTuple):
    """What some buckets hold for billing, at one moment.

    Shapes: `accounts` facts by account; `standings` by account, the owner of the licenses.
    """

    cut: dict[int, int]
    generation: dict[int, int]
    accounts: dict[UUID, Sequence[Located]]
    standings: dict[UUID, list[Standing]]


def read(pool: ConnectionPool[psycopg.Connection], buckets: Sequence[int]) -> Snapshot:
    """Everything that billing needs of these buckets."""
    with pool.connection() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        wanted = [list(buckets)]
        cut: dict[int, int] = dict(cursor.execute(CUT, wanted).fetchall())
        generation: dict[int, int] = dict(cursor.execute(GENERATION, wanted).fetchall())
        streams = cursor.execute(STREAMS, wanted).fetchall()
        lines = cursor.execute(LINES, wanted).fetchall()
    return _arranged(cut, generation, streams, _lines(lines))


def _lines(rows: Sequence[tuple[UUID, UUID, int, UUID, str, bytes]]) -> dict[UUID, BilledLines]:
    found: dict[UUID, list[tuple[Ref, Stream, Line]]] = defaultdict(list)
    for license, document, number, payer, currency, body in rows:
        line = _LINE.decode(body)
        found[license].append(((document, number), Stream(license, line.component, payer, currency), line))
    return dict(found)


def _arranged(
    cut: dict[int, int],
    generation: dict[int, int],
    streams: Sequence[tuple[int, UUID, int, UUID, bytes]],
    lines: dict[UUID, BilledLines],
) -> Snapshot:
    accounts: dict[UUID, Sequence[Located]] = {}
    counts: dict[UUID, list[Located]] = defaultdict(list)
    licenses: list[tuple[UUID, UUID, list[Located]]] = []
    for _, stream, kind, owner, facts in streams:
        located = list(unpack(stream, facts))
        if kind == Kind.ACCOUNT:
            accounts[stream] = located
        elif kind == Kind.LICENSE:
            licenses.append((owner, stream, located))
        else:
            counts[owner].extend(located)
    standings: dict[UUID, list[Standing]] = defaultdict(list)
    for owner, license, located in licenses:
        own = Standing(license, located, accounts.get(owner, ()), counts.get(license, ()), lines.get(license, ()))
        standings[owner].append(own)
    return Snapshot(cut, generation, accounts, dict(standings))
