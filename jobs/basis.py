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
from psycopg.types.string import ByteaBinaryLoader
from psycopg_pool import ConnectionPool

from domain.counted_users import day_counts, unpack_counts
from domain.counting import DayCounts
from domain.events.documents import Line, Ref
from domain.history import History, Located, unpack
from domain.identity import Kind, uuid_from, uuids_from
from domain.standing import Standing
from domain.terms import BilledTo, Stream, billed_to

STREAMS = "SELECT stream, kind, owner, facts FROM basis_v2 WHERE bucket = ANY(%s::smallint[])"
"""In whatever order they lie: sorting would cost more than reading."""
LINES = """
SELECT license, document, line, payer, currency, body FROM billed_line WHERE bucket = ANY(%s::smallint[])
ORDER BY license, generation, document, line"""
CUT = "SELECT bucket, position FROM tracking WHERE projection = 'basis_v2' AND bucket = ANY(%s::smallint[])"
GENERATION = "SELECT bucket, generation FROM billing_generation WHERE bucket = ANY(%s::smallint[])"

COUNTED_USERS, LICENSE = int(Kind.COUNTED_USERS), int(Kind.LICENSE)

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
        lines = cursor.execute(LINES, wanted).fetchall()
        cursor.adapters.register_loader("uuid", ByteaBinaryLoader)
        streams = cursor.execute(STREAMS, wanted).fetchall()
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
    streams: Sequence[tuple[bytes, int, bytes, bytes]],
    lines: dict[UUID, BilledLines],
) -> Snapshot:
    """Puts together what belongs to one license; owners stay bytes, which are faster to look up and to sort."""
    accounts: dict[UUID, Sequence[Located]] = {}
    owners: dict[bytes, tuple[UUID, BilledTo, list[Standing]]] = {}
    counts: dict[bytes, list[tuple[bytes, UUID, bytes]]] = {}
    licenses: list[tuple[bytes, bytes, UUID, bytes]] = []
    for name, (stream, kind, owner, facts) in zip(uuids_from([row[0] for row in streams]), streams, strict=True):
        if kind == COUNTED_USERS:
            counts.setdefault(owner, []).append((stream, name, facts))
        elif kind == LICENSE:
            licenses.append((owner, stream, name, facts))
        else:
            accounts[name] = found = unpack(name, facts)
            owners[stream] = (name, billed_to(found, name), [])
    for owner, stream, license, facts in sorted(licenses):
        if owner not in owners:
            owners[owner] = (uuid_from(owner), billed_to((), uuid_from(owner)), [])
        account, billed, standings = owners[owner]
        counted = _counts(counts[stream]) if stream in counts else {}
        standings.append(Standing(History(license, account, facts), billed, counted, lines.get(license, ())))
    in_order = (owners[owner] for owner in sorted(owners))
    return Snapshot(cut, generation, accounts, {account: found for account, _, found in in_order if found})


def _counts(streams: Sequence[tuple[bytes, UUID, bytes]]) -> dict[str, DayCounts]:
    return day_counts([(name, unpack_counts(facts)) for _, name, facts in sorted(streams)])
