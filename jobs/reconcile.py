"""Our books against a provider's, and its payouts against our bank: both ways, to the cent.

Every payment that the provider took has to be a receipt of ours of the same amount, less what went back by either's
account, and every receipt a payment there; what a payout says has to be the sum of its lines and a line of the bank.
Source: ADR-0018.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg_pool import ConnectionPool

from domain.identity import name_bucket
from domain.news import Movement
from domain.provider import Provider

Pool = ConnectionPool[psycopg.Connection]
Progress = Callable[[int], None]
OURS = """SELECT receipt, currency, amount, amount - returned, received_on FROM receipt_v1
WHERE source = %s AND (received_on >= %s OR receipt = ANY(%s))"""
AT_BANK = """SELECT transfer FROM bank_transfer t WHERE amount = %s AND currency = %s
AND state IN ('suspense', 'payout') AND NOT EXISTS (SELECT FROM receipt_v1 r WHERE r.receipt = 'bank:' || t.transfer)
AND (why = %s OR (state = 'suspense' AND (position(lower(%s) IN lower(text || ' ' || name)) > 0)))
ORDER BY state, booked_on LIMIT 1"""
IS_PAYOUT = """UPDATE bank_transfer SET state = 'payout', why = %s WHERE bucket = %s AND transfer = %s
AND state IN ('suspense', 'payout')"""
TOUCHING = frozenset({"payment", "refund", "refund_failed", "dispute", "dispute_won"})
PAID_OUT_WITHIN = timedelta(days=14)
SETTLING = timedelta(days=2)
"""A receipt may be booked a day before or after the provider's own line of it."""


class Booked(NamedTuple):
    """A receipt of ours. Units: `kept` is what did not go back of `amount`, in minor units."""

    currency: str
    amount: int
    kept: int
    on: date


class Difference(NamedTuple):
    """One thing in which the books differ, and what to do about it. Units: minor units."""

    what: str
    name: str
    ours: int | None
    theirs: int | None
    currency: str
    says: str


@dataclass
class Reconciled:
    """What was compared. Units: `payments`, `payouts`, `at_bank` are counts."""

    payments: int = 0
    payouts: int = 0
    at_bank: int = 0
    differences: list[Difference] = field(default_factory=list)


def reconcile(
    provider: Provider, pool: Pool, since: datetime, until: datetime, progress: Progress = lambda done: None
) -> Reconciled:
    """Compares everything since an instant; payouts found at the bank are marked there, so that nobody allocates them.

    The projections have caught up before. Raises: Unavailable when the provider does not answer.
    """
    lines = []
    for line in provider.movements(since, until):
        lines.append(line)
        progress(1)
    found = Reconciled()
    with pool.connection() as connection:
        found.differences += _payments(_ours(connection, provider.name, since, lines), lines, found, since, until)
        _payouts(connection, provider.name, lines, since, found)
    return found


def _ours(connection: psycopg.Connection, name: str, since: datetime, lines: Iterable[Movement]) -> dict[str, Booked]:
    """Our receipts of the time, and those of the provider's payments, by the provider's names."""
    names = [f"{name}:{line.payment}" for line in lines if line.kind == "payment"]
    rows = connection.execute(OURS, [name, _day(since), names]).fetchall()
    return {receipt.partition(":")[2]: Booked(*rest) for receipt, *rest in rows}


def _payments(
    ours: dict[str, Booked], lines: Iterable[Movement], found: Reconciled, since: datetime, until: datetime
) -> Iterator[Difference]:
    net: dict[str, int] = defaultdict(int)
    for line in lines:
        if line.kind in TOUCHING:
            net[line.payment] += line.amount
    taken = {line.payment: line for line in lines if line.kind == "payment"}
    found.payments = len(taken)
    for payment, line in taken.items():
        yield from _of_payment(payment, line, ours.get(payment), net[payment])
    for payment in ours.keys() - taken.keys():
        booked = ours[payment]
        if _day(since) + SETTLING <= booked.on <= _day(until) - SETTLING:
            says = "in our books, and not in the provider's"
            yield Difference("missing payment", payment, booked.amount, None, booked.currency, says)


def _of_payment(payment: str, line: Movement, booked: Booked | None, net: int) -> Iterator[Difference]:
    if booked is None:
        says = "taken by the provider, and not in our books: `tally webhooks catch-up`, then `tally payments collect`"
        yield Difference("missing receipt", payment, None, line.amount, line.currency, says)
    elif (booked.currency, booked.amount) != (line.currency, line.amount):
        says = "booked with another amount than the provider took"
        yield Difference("amount", payment, booked.amount, line.amount, line.currency, says)
    elif booked.kept != net:
        says = "what went back of it differs: `tally webhooks catch-up` reads refunds and disputes"
        yield Difference("returned", payment, booked.kept, net, line.currency, says)


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _payouts(
    connection: psycopg.Connection, name: str, lines: list[Movement], since: datetime, found: Reconciled
) -> None:
    parts: dict[str, int] = defaultdict(int)
    for line in lines:
        if line.kind != "payout":
            parts[line.payout] += line.amount - line.fee
    for payout in (line for line in lines if line.kind == "payout"):
        found.payouts += 1
        told = payout.payout or payout.object
        # Lines of an early payout may be older than what was asked for.
        if payout.at >= since + PAID_OUT_WITHIN and parts[told] != -payout.amount:
            sums = (parts[told], -payout.amount)
            found.differences.append(
                Difference("payout", told, *sums, payout.currency, "its lines do not add up to it")
            )
        found.at_bank += _at_bank(connection, name, told, payout, found)


def _at_bank(connection: psycopg.Connection, name: str, told: str, payout: Movement, found: Reconciled) -> bool:
    """Finds the bank's line of a payout, by its amount and the provider's name in the text, and marks it.

    One that somebody allocated between the two is not it: the next is looked at.
    """
    why = f"payout {told} of {name}"
    while row := connection.execute(AT_BANK, [-payout.amount, payout.currency, why, name]).fetchone():
        if connection.execute(IS_PAYOUT, [why, name_bucket(row[0]), row[0]]).rowcount:
            return True
    says = "not on any statement of ours yet"
    found.differences.append(Difference("not at the bank", told, None, -payout.amount, payout.currency, says))
    return False
