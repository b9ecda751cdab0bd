"""Reads the billing basis of whole buckets with a few set-oriented queries, all in one snapshot.

The snapshot says at which positions of the log it stands (the cut) and which generation of billing it saw; an issuing
transaction that finds another generation starts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.string import ByteaBinaryLoader
from psycopg_pool import ConnectionPool

from domain.counted_users import day_counts, unpack_counts
from domain.counting import DayCounts
from domain.coverage import Gist, gist
from domain.events.documents import Ref
from domain.history import History, Located, unpack
from domain.identity import Kind, uuid_from, uuids_from
from domain.standing import Standing
from domain.terms import BilledTo, Stream, billed_to

STREAMS = "SELECT stream, kind, owner, facts FROM basis_v2 WHERE bucket = ANY(%s::smallint[])"
"""In whatever order they lie: sorting would cost more than reading."""
LINES = """
SELECT license, generation, document, line, payer, currency, body FROM billed_line WHERE bucket = ANY(%s::smallint[])"""
CUT = "SELECT bucket, position FROM tracking WHERE projection = 'basis_v2' AND bucket = ANY(%s::smallint[])"
GENERATION = "SELECT bucket, generation FROM billing_generation WHERE bucket = ANY(%s::smallint[])"

COUNTED_USERS, LICENSE = int(Kind.COUNTED_USERS), int(Kind.LICENSE)

LineRow = tuple[bytes, int, bytes, int, bytes, str, bytes]
"""License, generation, document, number, payer, currency, body; so sorted, a line stands behind those it links to."""

BilledLines = Sequence[tuple[Ref, Stream, Gist]]


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
        cursor.adapters.register_loader("uuid", ByteaBinaryLoader)
        lines = cursor.execute(LINES, wanted).fetchall()
        streams = cursor.execute(STREAMS, wanted).fetchall()
    return _arranged(cut, generation, streams, _lines(lines))


def _lines(rows: Sequence[LineRow]) -> dict[bytes, BilledLines]:
    """The lines of each license in the order in which they were issued."""
    return {license: _of_license(license, list(own)) for license, own in groupby(sorted(rows), itemgetter(0))}


def _of_license(license: bytes, rows: Sequence[LineRow]) -> BilledLines:
    """Its lines are of few streams, which are made once."""
    found: list[tuple[Ref, Stream, Gist]] = []
    streams: dict[tuple[str, bytes, str], Stream] = {}
    documents = uuids_from([row[2] for row in rows])
    for document, (_, _, _, number, payer, currency, body) in zip(documents, rows, strict=True):
        line = gist(body)
        of = (line.component, payer, currency)
        stream = streams.get(of) or streams.setdefault(of, Stream(uuid_from(license), of[0], uuid_from(payer), of[2]))
        found.append(((document, number), stream, line))
    return found


def _arranged(
    cut: dict[int, int],
    generation: dict[int, int],
    streams: Sequence[tuple[bytes, int, bytes, bytes]],
    lines: dict[bytes, BilledLines],
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
        standings.append(Standing(History(license, account, facts), billed, counted, lines.get(stream, ())))
    in_order = (owners[owner] for owner in sorted(owners))
    return Snapshot(cut, generation, accounts, {account: found for account, _, found in in_order if found})


def _counts(streams: Sequence[tuple[bytes, UUID, bytes]]) -> dict[str, DayCounts]:
    return day_counts([(name, unpack_counts(facts)) for _, name, facts in sorted(streams)])
