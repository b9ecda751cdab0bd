"""What providers tell unasked: hints that something happened, and the news that reading the objects then gives.

A hint is never believed: it only says which objects to read. News is what they are now, so that it does not matter in
which order hints come, or how often. Source: ADR-0022.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec


class Hint(msgspec.Struct, frozen=True):
    """One event of a provider, from a webhook or from its list of events.

    Shapes: `event` is the provider's id of it, `kind` its name of what happened, `body` the event as it came.
    """

    provider: str
    event: str
    kind: str
    at: datetime
    body: bytes


class PaymentNews(msgspec.Struct, frozen=True):
    """A payment object changed. Shapes: `attempt` and `invoice` are our references on it, None when it is not ours."""

    object: str
    attempt: UUID | None
    invoice: UUID | None


class RefundNews(msgspec.Struct, frozen=True):
    """A refund as it stands, ours (`refund` is our reference on it) or made at the provider by hand (None).

    Shapes: `payment` is the payment that it takes from. Units: `amount` in minor units.
    """

    object: str
    refund: UUID | None
    payment: str
    state: Literal["pending", "succeeded", "failed", "unknown"]
    amount: int
    currency: str
    code: str = ""


class DisputeNews(msgspec.Struct, frozen=True):
    """A customer's bank wants money back, as it stands: a chargeback, a returned debit, a provider's own case.

    Units: `withdrawn` is what was ever taken from us for it, `given_back` what ever came back of that, in minor units;
    both only grow, so that older news changes nothing.
    """

    object: str
    payment: str
    state: Literal["open", "won", "lost"]
    amount: int
    withdrawn: int
    given_back: int
    currency: str
    reason: str = ""


class MethodNews(msgspec.Struct, frozen=True):
    """A customer left a method of payment on the provider's page. Shapes: `account` is its reference with us."""

    object: str
    account: str
    customer: str
    method: str
    label: str = ""


class RevokedNews(msgspec.Struct, frozen=True):
    """A method may not be charged any more: its customer or its bank said so."""

    customer: str
    method: str
    why: str


News = PaymentNews | RefundNews | DisputeNews | MethodNews | RevokedNews


class Movement(msgspec.Struct, frozen=True):
    """One line of a provider's own books.

    Shapes: `object` is the provider's id of the line, `payment` of the payment that it belongs to, `payout` of the
    transfer to our bank that it is part of, "" when it was not paid out yet.
    Units: `amount` in minor units, below zero when it went out; `fee` is what the provider kept of it.
    """

    object: str
    kind: Literal["payment", "refund", "refund_failed", "dispute", "dispute_won", "payout", "fee", "other"]
    at: datetime
    amount: int
    fee: int
    currency: str
    payment: str = ""
    payout: str = ""
