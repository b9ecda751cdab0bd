"""Who is billed on a day: the accounts whose payer has its billing day then, and those that a bill has missed.

The payer's day decides, so that it gets one document for all it pays for; the last day of a month serves the days that
the month does not have. A billing day has missed an account when something that holds by it was not seen by any run
through it: the books are asked, not the hour. Source: ADR-0013, ADR-0045.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from projections.accounts import ON_DAY

Pool = ConnectionPool[psycopg.Connection]

JOINED_WHOLE = "SET LOCAL enable_nestloop = off"
"""Nobody knows how many were missed, least of all before statistics are taken. As it is, the query does well without;
an older form, which the planner took to be about few, was 45 s for 9,000 accounts, and that is not to come back."""

PAID_FOR = f"""
WITH billed AS MATERIALIZED (SELECT * FROM {ON_DAY} o),
paid AS MATERIALIZED (SELECT a.bucket, a.account, p.billing_day
    FROM billed a JOIN billed p ON p.account = a.payer WHERE p.zone = %(zone)s)"""
"""Materialized and joined by account alone, which is one in all buckets: looked up by bucket, or thought to be few, all
accounts of a bucket would be compared with each other."""

DUE = f"""{PAID_FOR}
SELECT account FROM paid WHERE billing_day = %(day)s OR (%(last)s AND billing_day > %(day)s) ORDER BY account"""

BEHIND = f"""{PAID_FOR},
latest AS MATERIALIZED (SELECT bucket, account, CASE WHEN least(billing_day, %(length)s) <= %(day)s
    THEN %(month)s::date + least(billing_day, %(length)s) - 1
    ELSE %(before)s::date + least(billing_day, %(length_before)s) - 1 END AS due FROM paid),
missed AS MATERIALIZED (SELECT * FROM latest
    WHERE due < %(on)s AND due >= (SELECT min(day) FROM wake WHERE zone = %(zone)s)),
read AS MATERIALIZED (SELECT r.run, r.through, r.accounts IS NULL AS whole, s.bucket, s.cut
    FROM billing_run r JOIN billing_chunk c ON c.run = r.run AND c.done, unnest(c.buckets, c.cuts) s(bucket, cut)
    WHERE r.through >= %(earliest)s),
chosen AS MATERIALIZED (SELECT run, account FROM billing_run, unnest(accounts) account WHERE through >= %(earliest)s),
seen AS (SELECT m.bucket, m.account, r.run, r.cut FROM missed m
    JOIN read r ON r.whole AND r.bucket = m.bucket AND r.through >= m.due
  UNION ALL SELECT m.bucket, m.account, r.run, r.cut FROM missed m JOIN chosen c ON c.account = m.account
    JOIN read r ON r.run = c.run AND r.bucket = m.bucket AND r.through >= m.due),
known AS MATERIALIZED (SELECT account, max(coalesce(cut, {2**63 - 1})) AS cut FROM seen s
    WHERE NOT EXISTS (SELECT FROM billing_exception e
        WHERE (e.bucket, e.run, e.account, e.outcome) = (s.bucket, s.run, s.account, 'failed')) GROUP BY account),
begun AS MATERIALIZED (SELECT account, stream, position, since FROM beginning_v1 WHERE since < %(on)s)
SELECT DISTINCT m.due, m.account FROM missed m JOIN begun b ON b.account = m.account AND b.since <= m.due
LEFT JOIN known k ON k.account = m.account
WHERE k.cut IS NULL OR (b.position > k.cut AND NOT EXISTS (SELECT FROM coverage c
    WHERE c.bucket = m.bucket AND c.license = b.stream
    AND c.days && datemultirange(daterange(greatest(b.since, m.due - 1), m.due + 1))))
ORDER BY m.due, m.account"""
"""What is told of a license counts where the days about its billing day are not billed, from when it holds: the last
of one month and the first of another. What changes on a bill comes with the next. Runs of earlier versions do not tell
how far they read; they are taken to have seen everything."""


def due(pool: Pool, zone: str, on: date) -> list[UUID]:
    """The accounts whose payer, in this zone, is billed on a day."""
    last = (on + timedelta(days=1)).month != on.month
    with pool.connection() as connection:
        where = {"zone": zone, "on": on, "day": on.day, "last": last}
        return [account for (account,) in connection.execute(DUE, where).fetchall()]


def behind(pool: Pool, zone: str, on: date) -> dict[date, list[UUID]]:
    """The accounts of a zone that their last billing day before a day has missed, by that day.

    No day before the zone's first wake has missed anybody.
    """
    before = on.replace(day=1) - timedelta(days=1)
    months = {"month": on.replace(day=1), "before": before.replace(day=1), "earliest": on - timedelta(days=31)}
    lengths = {"length": monthrange(on.year, on.month)[1], "length_before": before.day}
    found: dict[date, list[UUID]] = defaultdict(list)
    with pool.connection() as connection, connection.transaction():
        connection.execute(JOINED_WHOLE)
        where: dict[str, Any] = {"zone": zone, "on": on, "day": on.day, **months, **lengths}
        for day, account in connection.execute(BEHIND, where).fetchall():
            found[day].append(account)
    # Who pays and the billing day may have been others then.
    return {day: own for day, some in found.items() if (own := sorted({*some} & {*due(pool, zone, day)}))}
