"""Charges what is open, invoice by invoice at once, and takes up what a crash left behind.

How one invoice is collected is the protocol's (`jobs/collect.py`); here is which, and that no fault stops the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.account import Account
from domain.application.payments import collection
from domain.errors import Conflict, IntegrityError, Invalid, Unavailable
from domain.events.account import PaymentMethodAdded
from jobs.collect import LONGEST_CALL, Collector

Pool = ConnectionPool[psycopg.Connection]
LEFT_BEHIND = """
SELECT a.invoice, a.attempt FROM live_instrument l JOIN attempt_v1 a ON a.bucket = l.bucket AND a.attempt = l.attempt
WHERE a.opened_at < %s ORDER BY a.opened_at"""
TO_COLLECT = """
SELECT i.invoice, i.account FROM receivable_v1 i
LEFT JOIN live_instrument l ON l.bucket = i.bucket AND l.invoice = i.invoice
LEFT JOIN hold_v1 h ON h.bucket = i.bucket AND h.invoice = i.invoice
WHERE i.left_open > 0 AND l.invoice IS NULL AND h.invoice IS NULL ORDER BY i.due_on, i.number"""
AT_ONCE = 8
"""Invoices that are collected at once: most of the time of each is spent in waiting for the provider."""


def collect_open(
    collector: Collector, pool: Pool, progress: Callable[[int], None] = lambda done: None, at_once: int = AT_ONCE
) -> Counter[str]:
    """Takes up what was left behind, and charges open invoices of accounts with a payment method, once for a method.

    A method that was declined is not tried again here: the ladder of dunning, a person or another method begins anew.
    The projections have caught up before. Shapes: how many attempts ended up in which state; "skipped" had nobody to
    charge, and what "does not fit" is money other than what was asked for.
    """
    with pool.connection() as connection:
        left = connection.execute(LEFT_BEHIND, [collector.now() - LONGEST_CALL]).fetchall()
        owed = connection.execute(TO_COLLECT).fetchall()
    work = [partial(_take_up, collector, *row) for row in left] + [partial(_charge, collector, *row) for row in owed]
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(at_once) as workers:
        for state in workers.map(_looked_at, work):
            counts[state] += 1
            progress(1)
    return counts


def _looked_at(doing: Callable[[], str]) -> str:
    """One invoice's fault never stops the others: what does not fit the books is told, and stays as it is."""
    try:
        return doing()
    except IntegrityError:
        return "does not fit"
    except Unavailable:
        return "unavailable"


def _take_up(collector: Collector, invoice: UUID, attempt: UUID) -> str:
    held = collection(collector.billing, invoice).attempt(attempt)
    return collector.learn(held).state if held.opened.provider in collector.providers else "skipped"


def _charge(collector: Collector, invoice: UUID, account: UUID) -> str:
    method = collector.billing.find(Account, account, "account").method
    attempts = collection(collector.billing, invoice).attempts.values()
    if method is None or method.provider not in collector.providers:
        return "skipped"
    if any(one.live or one.opened.method == method.token for one in attempts):
        return "skipped"
    return charge(collector, invoice, method)


def charge(collector: Collector, invoice: UUID, method: PaymentMethodAdded, after: int | None = None) -> str:
    """Charges an invoice by a method now; where the attempt stands, or "skipped" when others were faster.

    Shapes: `after` how many attempts there were when this was decided.
    """
    try:
        attempt = collector.begin(invoice, method.provider, method.customer, method.token, after)
    except (Conflict, Invalid):
        return "skipped"
    return attempt.state
