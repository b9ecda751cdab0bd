"""Settles from what accounts hold: credit notes become credit, and credit pays open invoices, the oldest first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import psycopg
from psycopg_pool import ConnectionPool

from domain.application import Billing
from domain.application.payments import BookCreditNote, DrawCredit

UNBOOKED = """
SELECT d.document FROM document_v1 d LEFT JOIN receipt_v1 r
ON r.bucket = d.bucket AND r.receipt = 'credit_note:' || d.number
WHERE d.kind = 'credit_note' AND d.gross < 0 AND r.receipt IS NULL ORDER BY d.bucket, d.number"""
PAYABLE = """
SELECT i.account, i.currency, array_agg(i.invoice ORDER BY i.due_on, i.number) FROM receivable_v1 i
JOIN (SELECT bucket, account, currency FROM receipt_v1 GROUP BY 1, 2, 3 HAVING sum(credit) > 0) c
ON c.bucket = i.bucket AND c.account = i.account AND c.currency = i.currency
LEFT JOIN live_instrument l ON l.bucket = i.bucket AND l.invoice = i.invoice
LEFT JOIN hold_v1 h ON h.bucket = i.bucket AND h.invoice = i.invoice
WHERE i.left_open > 0 AND l.invoice IS NULL AND h.invoice IS NULL
GROUP BY i.bucket, i.account, i.currency ORDER BY i.bucket, i.account"""


class Settled(NamedTuple):
    """How many credit notes became credit, and how many payers had invoices paid from theirs."""

    credit_notes: int
    drawn: int


def settle(
    billing: Billing, pool: ConnectionPool[psycopg.Connection], on: date, follow: Callable[[], object]
) -> Settled:
    """Credit notes become credit and pay what is open, before anybody is asked for money; twice is the same as once.

    Shapes: `follow` brings the projections up to the log: before, in between, and afterwards.
    """
    follow()
    with pool.connection() as connection:
        notes = connection.execute(UNBOOKED).fetchall()
    for (document,) in notes:
        billing.execute(BookCreditNote(document, on))
    if notes:
        follow()
    drawn = _draw(billing, pool, on)
    if drawn:
        follow()
    return Settled(len(notes), sum(drawn))


def _draw(billing: Billing, pool: ConnectionPool[psycopg.Connection], on: date) -> list[bool]:
    with pool.connection() as connection:
        payable = connection.execute(PAYABLE).fetchall()
    return [
        billing.execute(DrawCredit(account, currency, tuple(invoices), on)) > 0
        for account, currency, invoices in payable
    ]
