"""Stripe's own records: its list of events, and the books of our balance with what was paid out to the bank."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from adapters.providers.stripe.calls import minor, name_of, reading
from domain.news import Hint, Movement

REACH = timedelta(days=30) - timedelta(minutes=5)
"""How far back Stripe lists events; a margin, so that a clock that is late does not ask for more."""
KINDS: dict[str, Any] = {
    "charge": "payment",
    "refund": "refund",
    "refund_failure": "refund_failed",
    "dispute": "dispute",
    "dispute_reversal": "dispute_won",
    "payout": "payout",
    "payout_reversal": "payout",
    "fee": "fee",
}


def hints(client: stripe.StripeClient, since: datetime, now: datetime) -> Iterator[Hint]:
    """Events since an instant, the oldest first; asked for more than Stripe keeps, it begins where that begins."""
    wanted: Any = {"created": {"gte": int(max(since, now - REACH).timestamp())}, "limit": 100}
    with reading():
        found = list(client.v1.events.list(wanted).auto_paging_iter())
    # Stripe lists the newest first.
    yield from map(_hint, reversed(found))


def movements(client: stripe.StripeClient, since: datetime, until: datetime) -> Iterator[Movement]:
    """Lines of the balance from one instant to before another, the oldest first.

    What a payout is made of is asked of each payout since then: a line is paid out days after it was written.
    """
    # Stripe counts in seconds: the one that `until` lies in belongs to it, or what has just moved is missed.
    start, end = int(since.timestamp()), int(until.timestamp()) + 1
    wanted: Any = {"created": {"gte": start, "lt": end}, "limit": 100, "expand": ["data.source"]}
    with reading():
        lines = list(client.v1.balance_transactions.list(wanted).auto_paging_iter())
        paid_out = dict(_paid_out(client, start))
    for line in reversed(lines):
        yield _movement(line, paid_out)


def _paid_out(client: stripe.StripeClient, start: int) -> Iterator[tuple[str, str]]:
    payouts: Any = {"created": {"gte": start}, "limit": 100}
    for payout in client.v1.payouts.list(payouts).auto_paging_iter():
        if payout.automatic:
            lines: Any = {"payout": payout.id, "limit": 100}
            for line in client.v1.balance_transactions.list(lines).auto_paging_iter():
                yield line.id, payout.id


def _hint(event: Any) -> Hint:
    body = json.dumps(event.to_dict(), ensure_ascii=False).encode()
    return Hint("stripe", event.id, event.type, datetime.fromtimestamp(event.created, UTC), body)


def _movement(line: Any, paid_out: dict[str, str]) -> Movement:
    currency = line.currency
    source = None if isinstance(line.source, str) else line.source
    kind = KINDS.get(line.reporting_category, "other")
    payout = source.id if source and kind == "payout" else paid_out.get(line.id, "")
    return Movement(
        object=line.id,
        kind=kind,
        at=datetime.fromtimestamp(line.created, UTC),
        amount=minor(line.amount, currency),
        fee=minor(line.fee, currency),
        currency=currency.upper(),
        payment=_payment(source),
        payout=payout,
    )


def _payment(source: Any) -> str:
    """The charge that a line is about: its source itself, or what was refunded or disputed."""
    if source is None:
        return ""
    if source.object == "charge":
        return str(source.id)
    return name_of(getattr(source, "charge", None))
