"""Checks the books: what must hold is asked of the database, with what was found where it does not.

docs/invariants.md lists the checks, with what else holds what they say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from itertools import chain
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.coverage import Coverage
from domain.events.license import LicenseCancelled, LicenseStarted
from domain.history import unpack
from domain.identity import ACCOUNT_BUCKETS, series_bucket
from domain.ladder import STOPPING
from domain.period import Span, day, span, union
from domain.terms import Stream
from jobs import basis
from jobs.cover import ANY_DAY
from jobs.kept import differing

Pool = ConnectionPool[psycopg.Connection]


class Check(NamedTuple):
    """One thing that must hold, and the first things found where it does not."""

    name: str
    says: str
    found: list[str]


SQL_CHECKS = (
    ("heads", "every bucket's positions run from 1 to its head without a gap", """
        SELECT h.bucket || ': head ' || h.position || ', events ' || count(e.position) FROM bucket_head h
        LEFT JOIN event e ON e.bucket = h.bucket GROUP BY h.bucket, h.position
        HAVING h.position <> count(e.position) OR h.position <> coalesce(max(e.position), 0)"""),
    ("streams", "versions of every stream run from 1 without a gap", """
        SELECT stream || ': ' || count(*) || ' events up to version ' || max(version) FROM event
        GROUP BY bucket, stream HAVING count(*) <> max(version)"""),
    ("clock", "events of a bucket were recorded in the order of their positions", """
        SELECT bucket || ' at ' || position FROM (SELECT bucket, position, recorded_at,
        lag(recorded_at) OVER (PARTITION BY bucket ORDER BY position) AS before FROM event) e
        WHERE before > recorded_at"""),
    ("numbers", "every number was given once", """
        SELECT number || ' stands ' || count(*) || ' times' FROM document_v1 GROUP BY number HAVING count(*) > 1"""),
    ("documents", "net and tax of every document add up to its gross", """
        SELECT number FROM document_v1 WHERE net + tax <> gross"""),
    ("settled", "no invoice is paid more than it asks for, or less than nothing", """
        SELECT number FROM receivable_v1 WHERE NOT (left_open BETWEEN least(gross, 0) AND greatest(gross, 0))"""),
    ("money", "what came in and did not go back is on invoices or is credit", """
        SELECT account || ' ' || currency FROM (
        SELECT account, currency, amount - returned - credit AS spent, 0 AS paid FROM receipt_v1 UNION ALL
        SELECT account, currency, 0, gross - left_open FROM receivable_v1) m
        GROUP BY account, currency HAVING sum(spent) <> sum(paid)"""),
    ("bank", "every bank transfer that is settled is a receipt of its amount, took one back, or is a payout", """
        SELECT t.transfer FROM bank_transfer t LEFT JOIN receipt_v1 r ON r.receipt = 'bank:' || t.transfer
        LEFT JOIN payout_v1 p ON p.came_back = t.transfer
        WHERE t.state = 'settled' AND t.amount > 0 AND coalesce(r.amount, p.amount) IS DISTINCT FROM t.amount"""),
    ("payouts", "every payout that was paid is a bank transfer of its amount, and has no twin", """
        SELECT p.reference FROM payout_v1 p LEFT JOIN bank_transfer t ON t.transfer = p.transfer
        WHERE p.transfer <> '' GROUP BY p.reference HAVING count(*) > 1
        OR max(t.amount) IS DISTINCT FROM -max(p.amount)"""),
    ("inbox", "nothing that a provider told was set aside, or waits for days, without anybody having looked", """
        SELECT provider || ' ' || event || ' is ' || state || ': ' || why FROM webhook_inbox
        WHERE seen_at IS NULL AND (state = 'quarantined' OR (state = 'parked' AND next_at IS NULL))"""),
    ("unpaid", "a license is stopped as unpaid only by open invoices whose chase came so far", """
        SELECT s.license || ': ' || coalesce(i.number, s.invoice::text) FROM suspension_v1 s
        LEFT JOIN receivable_v1 i ON i.bucket = s.bucket AND i.invoice = s.invoice
        LEFT JOIN dunning_v1 d ON d.bucket = s.bucket AND d.invoice = s.invoice
        WHERE s.reason = 'unpaid' AND s.invoice <> '00000000-0000-0000-0000-000000000000' AND (i.left_open > 0
        AND d.state IN ('chasing', 'paused', 'written_off') AND s.effect = d.effect AND NOT d.restores) IS NOT TRUE"""),
    ("parked", "no event waits for a mend", """
        SELECT projection || ' ' || stream || ': ' || error FROM parked_event"""),
)  # fmt: skip


def verify(pool: Pool, progress: Callable[[int], None] | None = None) -> Iterator[Check]:
    """Every check in turn; the projections should have caught up before."""
    with pool.connection() as connection:
        for name, says, statement in SQL_CHECKS:
            rows = connection.execute(f"{statement} LIMIT 10".encode()).fetchall()
            yield Check(name, says, [str(row[0]) for row in rows])
        yield Check("series", "the numbers of every series run from 1 without a gap", list(_series(connection)))
        says = "what a chase stopped is stopped, unless it has ended or a person lets it serve"
        yield Check("stopped", says, list(_serving(connection))[:10])
        yield from _by_bucket(pool, connection, progress)


SERVING = """
SELECT i.number, l.license, d.reached_on, b.facts FROM dunning_v1 d CROSS JOIN unnest(d.licenses) AS l(license)
JOIN receivable_v1 i ON i.bucket = d.bucket AND i.invoice = d.invoice
JOIN basis_v2 b ON b.bucket = d.bucket AND b.stream = l.license
LEFT JOIN suspension_v1 s ON s.bucket = d.bucket AND s.license = l.license AND s.reason = 'unpaid'
    AND s.invoice = d.invoice
WHERE d.state IN ('chasing', 'paused', 'written_off') AND d.effect = ANY(%s) AND NOT d.restores AND s.license IS NULL"""


def _serving(connection: psycopg.Connection) -> Iterator[str]:
    """Licenses that an invoice should have stopped, and that had begun and were never cancelled."""
    for number, license, reached_on, facts in connection.execute(SERVING, [sorted(STOPPING)]).fetchall():
        bodies = [fact.body for fact in unpack(license, facts)]
        begun = any(isinstance(body, LicenseStarted) and body.start_on <= reached_on for body in bodies)
        if begun and not any(isinstance(body, LicenseCancelled) for body in bodies):
            yield f"{number}: {license}"


def _series(connection: psycopg.Connection) -> Iterator[str]:
    rows = connection.execute(
        "SELECT series, count(*), max(substring(number FROM '[0-9]+$')::bigint) FROM document_v1 GROUP BY series"
    ).fetchall()
    for series, count, last in rows:
        if count != last:
            yield f"{series}: {count} documents up to number {last} (bucket {series_bucket(series)})"


BY_BUCKET = {
    "register": "the register holds every document of the log as it was issued, and no other",
    "lines": "every line of a document is kept for billing as it was issued, and no other",
    "once": "no day of a stream is covered twice",
    "left": "no line was taken back by more than it was",
    "coverage": "the coverage rows are what the lines add up to",
}


def _by_bucket(pool: Pool, connection: psycopg.Connection, progress: Callable[[int], None] | None) -> Iterator[Check]:
    """What is compared with the log, or folded again from it, a bucket at a time."""
    found = {name: list[str]() for name in BY_BUCKET}
    statement = "SELECT bucket FROM bucket_head WHERE position > 0 AND bucket < %s ORDER BY bucket"
    for (bucket,) in connection.execute(statement, [ACCOUNT_BUCKETS]).fetchall():
        for name, what in chain(differing(connection, bucket), _folded(pool, connection, bucket)):
            found[name].append(what)
        if progress:
            progress(1)
    for name, says in BY_BUCKET.items():
        yield Check(name, says, found[name][:10])


def _folded(pool: Pool, connection: psycopg.Connection, bucket: int) -> Iterator[tuple[str, str]]:
    """Folds all lines again: days covered once, nothing over-reversed, and the coverage rows as the fold says."""
    covered = dict[tuple[Stream, str], list[Span]]()
    for standings in basis.read(pool, [bucket]).standings.values():
        for standing in standings:
            billed = Coverage(standing.lines)
            yield from (("once", f"{one.license} {one.component}") for one in billed.covered_twice())
            yield from (("left", what) for what in _over(billed))
            covered |= _days_of(billed)
    if not _same(connection, bucket, covered):
        yield "coverage", f"bucket {bucket}"


def _over(billed: Coverage) -> Iterator[str]:
    for line in billed.taken_too_far():
        yield f"{line.ref}: {line.left} left of {line.line.amount}"
    for line in billed.charges.values():
        if not line.spans and line.left and line.line.reversible and not line.line.link:
            yield f"{line.ref}: fully taken back, but {line.left} left"


def _days_of(billed: Coverage) -> dict[tuple[Stream, str], list[Span]]:
    covered: dict[tuple[Stream, str], list[Span]] = defaultdict(list)
    for live in billed.live():
        occurrence = live.line.occurrence
        covered[live.stream, occurrence] += [span(*ANY_DAY)] if occurrence else live.spans
    return covered


def _same(connection: psycopg.Connection, bucket: int, covered: dict[tuple[Stream, str], list[Span]]) -> bool:
    """Whether the coverage rows of a bucket are these days, neighbours joined."""
    rows: list[tuple[UUID, str, UUID, str, str, date, date]] = connection.execute(
        "SELECT license, component, payer, currency, occurrence, lower(d), upper(d) "
        "FROM coverage, unnest(days) AS d WHERE bucket = %s",
        [bucket],
    ).fetchall()
    expected = {(*s, o, day(a), day(b)) for (s, o), spans in covered.items() for a, b in union(spans)}
    return len(rows) == len(expected) and set(rows) == expected
