"""What a run would issue, and what a change would cost: the run's own functions without the append."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import psycopg
from msgspec.structs import replace
from psycopg_pool import ConnectionPool

from domain.billing import Issue, documents, found
from domain.charge import Missing
from domain.difference import NewLine
from domain.document import Bill, draft
from domain.errors import NotFound
from domain.events.documents import Line
from domain.events.license import LicenseStarted
from domain.history import Located, unpack
from domain.identity import bucket_of
from domain.standing import Standing
from domain.terms import Packages
from jobs import basis
from jobs.rate import Run, billable, rate

Pool = ConnectionPool[psycopg.Connection]


class Effect(NamedTuple):
    """The money effect of a change on the next documents: the lines that it adds, and those that it takes the place of.

    Units: `net` in minor units: what the lines come to, less those that they stand `instead_of`.
    """

    currency: str
    net: int
    lines: tuple[Line, ...]
    instead_of: tuple[Line, ...]


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
        issues.extend(documents(billable(rated), snapshot.accounts, run.issued_on))
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
    changed = replace(standing, history=standing.history.followed_by(facts))
    before, after = (found(one, through, packages).difference.lines for one in (standing, changed))
    added = draft([Bill(changed, _others(after, before))], Decimal(0))
    gone = draft([Bill(standing, _others(before, after))], Decimal(0))
    return Effect(_currency(standing), added.net - gone.net, added.lines, gone.lines)


def _others(lines: Sequence[NewLine], known: Sequence[NewLine]) -> tuple[NewLine, ...]:
    """The lines that are not among those known."""
    left, others = Counter(map(_said, known)), list[NewLine]()
    for line in lines:
        if left[_said(line)]:
            left[_said(line)] -= 1
        else:
            others.append(line)
    return tuple(others)


def _said(line: NewLine) -> tuple[object, ...]:
    return line.stream, line.start, line.end, line.amount


def _currency(standing: Standing) -> str:
    history = standing.history
    started = unpack(history.license, history.facts)[0].body
    assert isinstance(started, LicenseStarted)
    return started.currency
