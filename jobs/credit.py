"""What an account holds with us, by which rule it is kept, and for whom the account pays."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.account import Account
from domain.application import Billing
from domain.application.payouts import credit_rule
from domain.credit_rule import KEEP, CreditRule
from domain.identity import bucket_of
from domain.license import License

Pool = ConnectionPool[psycopg.Connection]
PAID_FOR = """SELECT a.account, b.stream FROM account_v1 a
LEFT JOIN basis_v2 b ON b.bucket = a.bucket AND b.owner = a.account AND b.kind = 3
WHERE a.bucket = %s AND coalesce(a.payer, a.account) = %s ORDER BY b.stream"""
HELD = """SELECT currency, sum(credit)::bigint FROM receipt_v1 WHERE bucket = %s AND account = %s
GROUP BY currency HAVING sum(credit) > 0"""
GOING = """SELECT currency, sum(amount)::bigint FROM (
SELECT currency, amount FROM refund_v1 WHERE bucket = %s AND account = %s AND state IN ('open', 'pending') UNION ALL
SELECT currency, amount FROM payout_v1 WHERE bucket = %s AND account = %s AND state = 'open') g GROUP BY currency"""


class Credit(NamedTuple):
    """What an account holds with us. Units: minor units, by currency. Shapes: `whose` says who gave the rule."""

    rule: CreditRule
    whose: str
    credit: dict[str, int]
    on_its_way: dict[str, int]


def credit_of(billing: Billing, pool: Pool, account: Account, on: date) -> Credit:
    """An account's credit, what of it is on its way back, and by which rule; the projections have caught up before."""
    where = [bucket_of(account.id), account.id]
    with pool.connection() as connection:
        held = connection.execute(HELD, where).fetchall()
        going = connection.execute(GOING, where * 2).fetchall()
    licenses = [billing.find(License, license, "license") for _, license in paid_for(pool, account.id) if license]
    rule = credit_rule(billing, account, licenses, on)
    whose = "its own" if account.credit_rule else "of its packages" if rule != KEEP else "nobody said otherwise"
    return Credit(rule, whose, dict(held), dict(going))


def paid_for(pool: Pool, account: UUID) -> list[tuple[UUID, UUID | None]]:
    """The accounts that one pays for, each with its licenses; None for one without any."""
    with pool.connection() as connection:
        return connection.execute(PAID_FOR, [bucket_of(account), account]).fetchall()
