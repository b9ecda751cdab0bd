"""What a run would issue, and what a change would cost: the run's own functions without the append."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.billing import documents, found
from domain.charge import Missing
from domain.document import Bill, draft
from domain.errors import NotFound
from domain.events.documents import Line
from domain.history import Located
from domain.identity import bucket_of
from domain.terms import Packages
from jobs import basis
from jobs.bill import Run, billable, rate
from jobs.issue import Issue

Pool = ConnectionPool[psycopg.Connection]


class Effect(NamedTuple):
    """The money effect of a change: the lines that it adds to the next documents. Units: minor units."""

    currency: str
    net: int
    lines: tuple[Line, ...]


class Previewed(NamedTuple):
    """The documents that a run would issue, the periods that it would park, and the accounts that it could not rate.

    Shapes: each account of licenses with what its periods lack, and with the reason.
    """

    issues: list[Issue]
    missing: list[tuple[UUID, Missing]]
    failed: list[tuple[UUID, str]]


def preview(pool: Pool, packages: Packages, run: Run) -> Previewed:
    """What a run would come to, without the append."""
    issues, missing, failed = list[Issue](), list[tuple[UUID, Missing]](), list[tuple[UUID, str]]()
    for bucket in billable_buckets(pool, run):
        snapshot = basis.read(pool, [bucket])
        rated = list(rate(snapshot, run, packages))
        issues.extend(Issue(*one) for one in documents(billable(rated), snapshot.accounts, run.issued_on))
        missing.extend((one.account, lack) for one in rated for lack in one.missing)
        failed.extend((one.account, one.failed) for one in rated if one.failed)
    return Previewed(issues, missing, failed)


def billable_buckets(pool: Pool, run: Run) -> list[int]:
    """The buckets that a run would look at."""
    with pool.connection() as connection:
        rows = connection.execute("SELECT DISTINCT bucket FROM basis_v2 WHERE kind = 3 ORDER BY bucket").fetchall()
    chosen = None if run.accounts is None else {bucket_of(account) for account in run.accounts}
    return [bucket for (bucket,) in rows if chosen is None or bucket in chosen]


def effect(pool: Pool, packages: Packages, license: UUID, facts: Sequence[Located], through: date) -> Effect:
    """What a license's next documents would hold because of some more facts: with them, less without them.

    Raises: NotFound when the license is not in the basis.
    """
    snapshot = basis.read(pool, [bucket_of(license)])
    standing = next((s for all in snapshot.standings.values() for s in all if s.history.license == license), None)
    if standing is None:
        raise NotFound(f"license {license} is not known yet")
    before = found(standing, through, packages).difference.lines
    changed = standing._replace(history=standing.history.followed_by(facts))
    after = found(changed, through, packages).difference.lines
    same = [(line.stream, line.start, line.end, line.amount) for line in before]
    new = tuple([line for line in after if (line.stream, line.start, line.end, line.amount) not in same])
    currency = after[0].stream.currency if after else ""
    net = sum(line.amount for line in after) - sum(line.amount for line in before)
    return Effect(currency, net, draft([Bill(changed, new)], Decimal(0)).lines)
