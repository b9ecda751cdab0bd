"""PayPal's own books: what moved on our balance, for comparing it with ours.

Source: PayPal's Transaction Search API and its table of transaction event codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlencode

import msgspec

from adapters.providers.paypal.shapes import Money, read
from adapters.providers.paypal.transport import Transport
from domain.errors import Unavailable
from domain.news import Movement

Kind = Literal["payment", "refund", "refund_failed", "dispute", "dispute_won", "payout", "fee", "other"]
KINDS: dict[str, Kind] = {
    "T00": "payment", "T01": "fee", "T04": "payout", "T1106": "dispute", "T1107": "refund", "T1108": "fee",
    "T1109": "fee", "T1201": "dispute", "T1202": "dispute_won",
}  # fmt: skip
"""By event code, or the first part of it."""
BOOKED = {"S", "V"}
"""Statuses of what really moved, also what another line turned back later; others are pending or denied."""
SPAN = timedelta(days=31)
PAGE = 500


class Info(msgspec.Struct, frozen=True):
    """One transaction on the balance."""

    transaction_id: str
    transaction_event_code: str
    transaction_initiation_date: str
    transaction_status: str
    transaction_amount: Money
    fee_amount: Money | None = None
    paypal_reference_id: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of the report."""

    transaction_info: Info


class Reporting:
    """PayPal's transaction search."""

    def __init__(self, transport: Transport) -> None:
        self._to = transport

    def movements(self, since: datetime, until: datetime) -> Iterator[Movement]:
        """What is on the balance from `since` to `until`, month by month, as PayPal gives it out."""
        start = since
        while start < until:
            end = min(start + SPAN, until)
            # PayPal counts in seconds: the one that `until` lies in belongs to it, or what has just moved is missed.
            yield from self._between(start, end if end < until else end + timedelta(seconds=2))
            start = end

    def _between(self, start: datetime, end: datetime) -> Iterator[Movement]:
        page, pages = 1, 1
        while page <= pages:
            words = {
                "start_date": _instant(start), "end_date": _instant(end - timedelta(seconds=1)),
                "fields": "transaction_info", "page_size": PAGE, "page": page,
            }  # fmt: skip
            told = self._to.ask("GET", f"/v1/reporting/transactions?{urlencode(words)}")
            if not told.done:
                raise Unavailable(f"PayPal's books cannot be read: {told.status or 'lost'} {told.issue or told.text}")
            lines = [read(Line, one).transaction_info for one in told.body.get("transaction_details") or ()]
            yield from (_movement(one) for one in lines if one.transaction_status in BOOKED)
            page, pages = page + 1, int(told.body.get("total_pages") or 1)


def _movement(seen: Info) -> Movement:
    code = seen.transaction_event_code
    kind: Kind = KINDS.get(code) or KINDS.get(code[:3]) or "other"
    amount, currency = seen.transaction_amount.minor, seen.transaction_amount.currency_code
    if kind == "payment" and amount < 0:
        kind = "other"  # we paid somebody
    return Movement(
        seen.transaction_id, kind, datetime.fromisoformat(seen.transaction_initiation_date).astimezone(UTC), amount,
        -seen.fee_amount.minor if seen.fee_amount else 0, currency,
        payment=seen.transaction_id if kind == "payment" else seen.paypal_reference_id,
    )  # fmt: skip


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
