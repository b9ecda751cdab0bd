"""Settles from what accounts hold: credit notes become credit, and credit pays open invoices, the oldest first."""

from __future__ import annotations

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
WHERE i.left_open > 0 AND l.invoice IS NULL GROUP BY i.bucket, i.account, i.currency ORDER BY i.bucket, i.account"""


class Settled(NamedTuple):
    """How many credit notes became credit, and how many payers had invoices paid from theirs."""

    credit_notes: int
    drawn: int


def settle(billing: Billing, pool: ConnectionPool[psycopg.Connection], on: date) -> Settled:
    """Books new credit notes and draws credit that the projections know of; a second time it finds nothing.

    What was booked just now is drawn by the next one, when the projections have caught up with it.
    """
    with pool.connection() as connection:
        notes = connection.execute(UNBOOKED).fetchall()
    for (document,) in notes:
        billing.execute(BookCreditNote(document, on))
    return Settled(len(notes), sum(_draw(billing, pool, on)))


def _draw(billing: Billing, pool: ConnectionPool[psycopg.Connection], on: date) -> list[bool]:
    with pool.connection() as connection:
        payable = connection.execute(PAYABLE).fetchall()
    return [
        billing.execute(DrawCredit(account, currency, tuple(invoices), on)) > 0
        for account, currency, invoices in payable
    ]
