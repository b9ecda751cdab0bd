"""Refunds: money is booked as returned before the provider is asked, asked for once, and followed until it is certain.

A refund moves money in one call, so it is looked for by our reference before it is ever asked for again.
Source: ADR-0018.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.application import Billing
from domain.application.payments import receivables
from domain.application.returns import OpenRefund, RecordRefund
from domain.errors import Conflict, IntegrityError, Unavailable
from domain.payment import RefundReply
from domain.provider import Provider
from domain.receipt import RefundStanding
from jobs.collect import LONGEST_CALL

Pool = ConnectionPool[psycopg.Connection]
UNDER_WAY = """
SELECT account, currency, refund FROM refund_v1 WHERE state IN ('open', 'pending') AND opened_at < %s
ORDER BY opened_at"""


@dataclass(frozen=True)
class Refunder:
    """Providers by name, and the clock."""

    billing: Billing
    providers: Mapping[str, Provider]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def begin(self, wanted: OpenRefund, command_id: UUID | None = None) -> RefundStanding | None:
        """Gives money of a receipt back, as far as it is certain; None when this command was carried out before.

        Raises: Conflict for more than the receipt holds, or money that no provider brought that there is a key for.
        """
        provider = wanted.receipt.partition(":")[0]
        if provider in ("stripe", "paypal") and provider not in self.providers:
            raise Conflict(f"there is no key for {provider}, by which {wanted.receipt} came")
        opened: RefundStanding | None = self.billing.execute(wanted, command_id=command_id)
        return None if opened is None else self.ask(opened)

    def ask(self, opened: RefundStanding) -> RefundStanding:
        """Asks for a refund that was opened this moment: nobody knew it before, so the provider cannot have it yet."""
        return self._learn(opened, self.providers[opened.opened.provider].refund(opened.order()))

    def carry_on(self, standing: RefundStanding) -> RefundStanding:
        """Asks for a refund that the provider certainly has not got, else reads where it stands."""
        provider = self.providers[standing.opened.provider]
        found = provider.find_refund(standing.order())
        return self._learn(standing, provider.refund(standing.order()) if found is None else found)

    def _learn(self, standing: RefundStanding, reply: RefundReply) -> RefundStanding:
        opened = standing.opened
        today = self.now().astimezone(UTC).date()
        self.billing.execute(RecordRefund(opened.account, opened.currency, opened.refund, reply, today))
        return receivables(self.billing, opened.account, opened.currency).refund(opened.refund)


def follow_refunds(refunder: Refunder, pool: Pool, progress: Callable[[int], None] = lambda done: None) -> Counter[str]:
    """Takes up refunds that a crash left behind or that are pending; how many stand where.

    Shapes: what "does not fit" is of another amount than was asked for: it stays as it is, and one never stops others.
    """
    with pool.connection() as connection:
        rows = connection.execute(UNDER_WAY, [refunder.now() - LONGEST_CALL]).fetchall()
    counts: Counter[str] = Counter()
    for account, currency, refund in rows:
        standing = receivables(refunder.billing, account, currency).refund(refund)
        if standing.opened.provider in refunder.providers:
            counts[state_after(partial(refunder.carry_on, standing))] += 1
        progress(1)
    return counts


def state_after(step: Callable[[], RefundStanding]) -> str:
    """Where a refund stands after a step; one whose answer does not fit the books never stops others."""
    try:
        return step().state
    except IntegrityError:
        return "does not fit"
    except Unavailable:
        return "unavailable"
