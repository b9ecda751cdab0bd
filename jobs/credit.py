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
from domain.history import OWNER, unpack
from domain.identity import bucket_of
from domain.license import License
from domain.terms import billed_to

Pool = ConnectionPool[psycopg.Connection]
BELOW = """WITH RECURSIVE below AS (SELECT %(account)s::uuid AS account UNION
SELECT a.account FROM account_v2 a JOIN below b ON a.parent = b.account WHERE a.bucket = %(bucket)s)
SELECT b.account, s.facts FROM below b JOIN basis_v2 s ON s.bucket = %(bucket)s AND s.stream = b.account"""
LICENSES = "SELECT stream FROM basis_v2 WHERE bucket = %s AND kind = 3 AND owner = ANY(%s::uuid[]) ORDER BY stream"
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
    licenses = [billing.find(License, license, "license") for license in paid_for(pool, account.id, on)]
    rule = credit_rule(billing, account, licenses, on)
    whose = "its own" if account.credit_rule else "of its packages" if rule != KEEP else "nobody said otherwise"
    return Credit(rule, whose, dict(held), dict(going))


def below(pool: Pool, account: UUID) -> list[UUID]:
    """An account and those below it, which are all that it can pay for."""
    with pool.connection() as connection:
        return [one for one, _ in _below(connection, account)]


def paid_for(pool: Pool, account: UUID, on: date) -> list[UUID]:
    """The licenses that an account pays for on a day, of its own and below: a payer that is yet to come does not count.

    The projections have caught up before.
    """
    with pool.connection() as connection:
        owners = [one for one, facts in _below(connection, account) if _payer(one, facts, on) == account]
        return [license for (license,) in connection.execute(LICENSES, [bucket_of(account), owners]).fetchall()]


def _payer(account: UUID, facts: bytes, on: date) -> UUID:
    day = on.toordinal()
    _, payer, *_ = next(billed_to(unpack(account, facts), account).cut((day, day + 1)))
    return account if payer is OWNER else payer


def _below(connection: psycopg.Connection, account: UUID) -> list[tuple[UUID, bytes]]:
    return connection.execute(BELOW, {"account": account, "bucket": bucket_of(account)}).fetchall()
