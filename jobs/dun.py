"""Dunning: every overdue invoice takes its turn on its ladder, and is charged again when the ladder says so.

Few set-oriented queries find the invoices that have something to do; each then takes its turn by one command, which
looks at the books again, so that any number of runs at once, or one killed anywhere, come to the same. The ladder owns
all retries: a charge that a step asked for is made when no attempt was opened since. Source: ADR-0025.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.account import Account
from domain.application import Billing
from domain.application.dunning import ChaseInvoice
from domain.application.payments import collection, receivables
from domain.calendar import after_business_days, works
from domain.collection import Collection
from domain.dunning import Dunning
from domain.errors import TallyError
from jobs.collect import Collector
from jobs.collect_open import charge

Pool = ConnectionPool[psycopg.Connection]
TO_CHASE = """
SELECT i.invoice, i.number, b.amount IS NOT NULL FROM receivable_v1 i
JOIN account_v2 a ON a.bucket = i.bucket AND a.account = i.account
LEFT JOIN dunning_v1 d ON d.bucket = i.bucket AND d.invoice = i.invoice
LEFT JOIN live_instrument l ON l.bucket = i.bucket AND l.invoice = i.invoice
LEFT JOIN attempt_v1 t ON t.bucket = l.bucket AND t.attempt = l.attempt
LEFT JOIN (SELECT amount, currency, max(booked_on) AS booked_on FROM bank_transfer
    WHERE state IN ('new', 'suspense') AND amount > 0 GROUP BY amount, currency) b
    ON b.amount = i.left_open AND b.currency = i.currency AND b.booked_on >= i.issued_on
WHERE i.left_open > 0 AND i.due_on <= %(today)s AND (%(zone)s = '' OR a.zone = %(zone)s)
AND coalesce(d.ended, '') <> 'written_off' AND (
    d.invoice IS NULL
    OR (d.state IN ('waiting', 'ended') AND d.pauses = '{}')
    OR (d.state = 'chasing' AND d.next_on <= %(today)s)
    OR EXISTS (SELECT FROM jsonb_each_text(d.pauses) p WHERE p.value <= %(today)s::text)
    OR EXISTS (SELECT FROM hold_v1 h WHERE h.bucket = i.bucket AND h.invoice = i.invoice AND NOT d.pauses ? h.hold)
    OR EXISTS (SELECT FROM jsonb_object_keys(d.pauses) k WHERE k NOT IN ('by_hand', 'claimed', 'bank')
        AND k NOT LIKE 'attempt:%%' AND NOT EXISTS (
        SELECT FROM hold_v1 h WHERE h.bucket = i.bucket AND h.invoice = i.invoice AND h.hold = k))
    OR (t.state = 'pending' AND 'attempt:' || t.attempt <> ALL (d.waited))
    OR EXISTS (SELECT FROM jsonb_object_keys(d.pauses) k WHERE k LIKE 'attempt:%%'
        AND (t.state = 'pending' AND k = 'attempt:' || t.attempt) IS NOT TRUE)
    OR (b.amount IS NOT NULL AND 'bank' <> ALL (d.waited)) OR (b.amount IS NULL AND d.pauses ? 'bank')
    OR (%(charges)s AND t.state = 'action_required')
    OR (%(charges)s AND d.state = 'chasing' AND l.invoice IS NULL AND d.retry_after >= (SELECT count(*)
        FROM attempt_v1 o WHERE o.bucket = i.bucket AND o.invoice = i.invoice)))
ORDER BY i.due_on, i.number"""
PAID = """
SELECT i.invoice, i.number, false FROM dunning_v1 d
JOIN receivable_v1 i ON i.bucket = d.bucket AND i.invoice = d.invoice
JOIN account_v2 a ON a.bucket = i.bucket AND a.account = i.account
WHERE d.state <> 'ended' AND i.left_open <= 0 AND (%(zone)s = '' OR a.zone = %(zone)s) ORDER BY i.number"""
"""Chases that a payment ended while their turn was being taken: the payment's own command ends all others."""


class Wanted(NamedTuple):
    """An invoice that has something to do; `arrived` when a bank transfer of its amount is not matched yet."""

    invoice: UUID
    number: str
    arrived: bool


@dataclass
class Dunned:
    """What a run did: how many turns ended how, and what could not be done, by the number of the invoice."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dunner:
    """Takes the turns of a day; without a collector nobody is charged, and charges that are due wait for one."""

    billing: Billing
    collector: Collector | None
    today: date

    def turn(self, wanted: Wanted) -> str:
        """One invoice's turn; what became of it, in a word."""
        held: Dunning = self.billing.execute(ChaseInvoice(wanted.invoice, self.today, wanted.arrived))
        if not held.running:
            return "ended" if held.ended else "waits"
        if held.paused:
            return "waits"
        charged = self._collect(held, wanted.invoice) if self.collector else ""
        reached = bool(held.stages) and held.stages[-1].on == self.today
        return charged or ("reached" if reached else "chased")

    def _collect(self, held: Dunning, invoice: UUID) -> str:
        attempts = collection(self.billing, invoice)
        if self._is_stuck(held, attempts):
            assert self.collector
            assert attempts.live
            self.collector.stop(attempts.live)
            attempts = collection(self.billing, invoice)
        return self._charge(held, attempts, invoice) if self._is_owed(held, attempts) else ""

    def _is_stuck(self, held: Dunning, attempts: Collection) -> bool:
        """Whether a payment has waited for the customer longer than the ladder lets it."""
        live, started = attempts.live, held.started
        if live is None or live.state != "action_required" or started is None:
            return False
        if self.collector is None or live.opened.provider not in self.collector.providers:
            return False
        opened, working = live.opened.opened_at.astimezone(UTC).date(), works(started.ladder.calendar)
        return after_business_days(opened, started.ladder.customer_waits, working) <= self.today

    def _is_owed(self, held: Dunning, attempts: Collection) -> bool:
        """Whether a step asked for a charge that was not made yet; there is one a day at most, whoever made it."""
        assert self.collector
        today = self.collector.now().astimezone(UTC).date()
        tried_today = any(one.opened.opened_at.astimezone(UTC).date() >= today for one in attempts.attempts.values())
        if tried_today or held.started is None:
            return False
        return held.owes_charge(attempts, receivables(self.billing, held.started.account, held.started.currency))

    def _charge(self, held: Dunning, attempts: Collection, invoice: UUID) -> str:
        assert self.collector
        assert held.started
        method = self.billing.find(Account, held.started.account, "account").method
        if method is None or method.provider not in self.collector.providers:
            return ""
        state = charge(self.collector, invoice, method, after=len(attempts.attempts))
        return "" if state == "skipped" else f"charged: {state}"


def dun(
    billing: Billing,
    pool: Pool,
    collector: Collector | None,
    today: date,
    zone: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Dunned:
    """Every overdue invoice of payers in a zone ('' for all) takes its turn; a second time it finds nothing to do.

    The projections have caught up before. One invoice's fault never stops the others.
    """
    dunner, done = Dunner(billing, collector, today), Dunned()
    words = {"today": today, "zone": zone, "charges": collector is not None}
    with pool.connection() as connection:
        rows = [*connection.execute(PAID, words).fetchall(), *connection.execute(TO_CHASE, words).fetchall()]
    for wanted in map(Wanted._make, rows):
        try:
            done.counts[dunner.turn(wanted)] += 1
        except TallyError as error:
            done.counts["faults"] += 1
            done.faults[wanted.number] = str(error)
        progress(1)
    return done


def dun_zones(
    billing: Billing,
    pool: Pool,
    collector: Collector | None,
    day_in: Callable[[str], date],
    progress: Callable[[int], None] = lambda done: None,
) -> Dunned:
    """Overdue invoices of all zones take their turns, each on the day that it is there. The projections as in `dun`."""
    with pool.connection() as connection:
        zones = [zone for (zone,) in connection.execute("SELECT DISTINCT zone FROM account_v2 ORDER BY 1").fetchall()]
    done = Dunned()
    for zone in zones:
        found = dun(billing, pool, collector, day_in(zone), zone, progress)
        done.counts.update(found.counts)
        done.faults.update(found.faults)
    return done
