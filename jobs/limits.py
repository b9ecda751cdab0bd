"""Where every license stands against its limits on a day, pooled over a subtree where the account says so."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple
from uuid import UUID

import psycopg

from domain.application import Billing
from domain.application.licensing import license_named
from domain.counted_users import day_counts, unpack_counts
from domain.counting import DayCounts
from domain.identity import Kind, bucket_of
from domain.license import License
from domain.limits import above, may_add, state
from domain.package_version import Limit
from domain.terms import Packages

FACTS = "SELECT stream, facts FROM basis_v2 WHERE bucket = %s AND owner = %s AND kind = %s ORDER BY stream"
POOL = """
WITH RECURSIVE above AS (
    SELECT account, parent, 0 AS height FROM account_v2 WHERE bucket = %(bucket)s AND account = %(account)s
    UNION ALL SELECT a.account, a.parent, above.height + 1 FROM account_v2 a JOIN above ON a.account = above.parent
    WHERE a.bucket = %(bucket)s)
SELECT p.account, p.value, r.reference FROM above
JOIN pool_v1 p ON p.bucket = %(bucket)s AND p.account = above.account AND p.counter = %(counter)s
JOIN account_v2 r ON r.bucket = %(bucket)s AND r.account = above.account ORDER BY above.height LIMIT 1"""
POOLED = """
WITH RECURSIVE below AS (
    SELECT account FROM account_v2 WHERE bucket = %(bucket)s AND account = %(pool)s
    UNION ALL SELECT a.account FROM account_v2 a JOIN below ON a.parent = below.account WHERE a.bucket = %(bucket)s)
SELECT coalesce(sum(l.used), 0)::bigint FROM below JOIN basis_v2 b ON b.bucket = %(bucket)s AND b.owner = below.account
AND b.kind = 3 JOIN limit_v1 l ON l.bucket = b.bucket AND l.license = b.stream AND l.counter = %(counter)s"""


class LimitStanding(NamedTuple):
    """One limit of one license.

    Shapes: `since` is the first day of the present excess; `pool` the reference of the account whose pool it is;
    `may_add` whether so many more users as were asked about may be added now. A license that does not serve is blocked
    whatever it uses, and `why` says by what: `unpaid: filter off`; without limits it has one row, named "".
    """

    license: str
    limit: str
    counter: str
    value: int | str
    used: int | None
    state: str
    since: date | None
    pool: str = ""
    may_add: bool = True
    why: str = ""


def standings(
    connection: psycopg.Connection,
    billing: Billing,
    packages: Packages,
    reference: str,
    on: date,
    limit: int,
    after: str,
    adding: int = 1,
) -> list[LimitStanding]:
    """The limits of one license, or of many by reference, and whether some more users may be added."""
    names = [reference] if reference else billing.names(Kind.LICENSE, after, limit)
    return [
        found for name in names for found in of_license(connection, license_named(billing, name), packages, on, adding)
    ]


def of_license(
    connection: psycopg.Connection, license: License, packages: Packages, on: date, adding: int
) -> list[LimitStanding]:
    """Every limit of a license as it stands on a day."""
    held = license.current(on)
    version = packages(held.package, held.version)
    counts = _counts(connection, license.id) if any(limit.counter for limit in version.limits) else {}
    found = [_standing(connection, license, limit, counts.get(limit.counter), on, adding) for limit in version.limits]
    why = ", ".join(license.stopped_by(on))
    if not why:
        return found
    found = found or [LimitStanding(license.reference, "", "", "", None, "blocked", None)]
    return [one._replace(state="blocked", may_add=False, why=why) for one in found]


def _counts(connection: psycopg.Connection, license: UUID) -> dict[str, DayCounts]:
    rows = connection.execute(FACTS, [bucket_of(license), license, int(Kind.COUNTED_USERS)]).fetchall()
    return day_counts((stream, unpack_counts(facts)) for stream, facts in rows)


def _standing(
    connection: psycopg.Connection, license: License, limit: Limit, counts: DayCounts | None, on: date, adding: int
) -> LimitStanding:
    if not limit.counter:
        return LimitStanding(license.reference, limit.name, "", limit.value, None, "within", None)
    pool = _pool(connection, license, limit.counter) if license.account else None
    if pool:
        used, value, name = pool
        shared = Limit(name=limit.name, kind="integer", value=value, mode=limit.mode, grace_days=limit.grace_days)
        reached, may = state(shared, used, None, on), may_add(shared, used, adding, None, on)
        return LimitStanding(license.reference, limit.name, limit.counter, value, used, reached, None, name, may)
    days = {at: q for at, q in (counts.days if counts else {}).items() if at <= on.toordinal()}
    if not days:
        may = may_add(limit, 0, adding, None, on)
        return LimitStanding(
            license.reference, limit.name, limit.counter, limit.value, None, "within", None, may_add=may
        )
    used, since = days[max(days)], _since(limit, days)
    reached, may = state(limit, used, since, on), may_add(limit, used, adding, since, on)
    return LimitStanding(license.reference, limit.name, limit.counter, limit.value, used, reached, since, may_add=may)


def _since(limit: Limit, days: dict[int, int]) -> date | None:
    """The first day of the excess that still lasts."""
    since = None
    for at in sorted(days, reverse=True):
        if not above(limit, days[at]):
            break
        since = date.fromordinal(at)
    return since


def _pool(connection: psycopg.Connection, license: License, counter: str) -> tuple[int, int, str] | None:
    """What the pool above a license uses, its limit and whose it is; None where there is no pool."""
    where = {"bucket": bucket_of(license.id), "account": license.account, "counter": counter}
    pool = connection.execute(POOL, where).fetchone()
    if pool is None:
        return None
    used = connection.execute(POOLED, {**where, "pool": pool[0]}).fetchone()
    return (used[0] if used else 0), pool[1], pool[2]
