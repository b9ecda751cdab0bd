"""What happens to the money between an account and us: receipts, what they pay for, and what goes back."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from domain.events import Event

Source = Literal["stripe", "paypal", "bank", "manual", "credit_note"]
Return = Literal["refund", "reversal", "dispute", "payout"]


class ReceiptBooked(Event):
    """Money came in, or a credit note gave some: it is the account's until an invoice takes it.

    Shapes: `receipt` names it once and for all ("stripe:ch_…", "bank:…", "credit_note:CN-000001"); `attempt` is the
    attempt that brought it. Units: `amount` in minor units of `currency`, above zero.
    """

    TOPIC = "receivables.receipt_booked"
    account: UUID
    currency: str
    receipt: str
    source: Source
    amount: int
    received_on: date
    text: str = ""
    attempt: UUID | None = None


class Allocated(Event):
    """A part of a receipt paid for a part of an invoice; `left` is what stays open on the invoice, 0 settles it."""

    TOPIC = "receivables.allocated"
    receipt: str
    invoice: UUID
    amount: int
    left: int
    on: date


class Deallocated(Event):
    """A part of a receipt does not pay for an invoice any more; `left` is what is open on it again."""

    TOPIC = "receivables.deallocated"
    receipt: str
    invoice: UUID
    amount: int
    left: int
    on: date
    why: str = ""


class MoneyReturned(Event):
    """Money of a receipt went back: refunded, reversed by a bank, withdrawn for a dispute, or paid out.

    Shapes: `return_id` names it once and for all, for example by the provider's id.
    """

    TOPIC = "receivables.money_returned"
    receipt: str
    return_id: str
    kind: Return
    amount: int
    on: date
    text: str = ""


class ReturnUndone(Event):
    """Money that had gone back is here again: the refund failed, the dispute was won."""

    TOPIC = "receivables.return_undone"
    receipt: str
    return_id: str
    amount: int
    on: date
    why: str = ""
