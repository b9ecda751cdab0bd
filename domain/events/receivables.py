"""What happens to the money between an account and us: receipts, what they pay for, and what goes back."""

from __future__ import annotations

from datetime import date, datetime
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
    """A part of a receipt does not pay for an invoice any more; `left` is what is open on it again.

    Shapes: `return_id` of the return that took it, "" when a person did.
    """

    TOPIC = "receivables.deallocated"
    receipt: str
    invoice: UUID
    amount: int
    left: int
    on: date
    why: str = ""
    return_id: str = ""


class PaidInstead(Event):
    """A receipt pays for a part of an invoice in the place of another, which is credit for it; the invoice is as paid
    as before."""

    TOPIC = "receivables.paid_instead"
    receipt: str
    instead_of: str
    invoice: UUID
    amount: int
    on: date


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


class RefundOpened(Event):
    """Money of a receipt is to go back by its provider; it is booked as returned from now on, so that it goes once.

    Shapes: `payment` is the provider's id of the payment. Units: `amount` in minor units.
    """

    TOPIC = "receivables.refund_opened"
    refund: UUID
    account: UUID
    receipt: str
    provider: str
    payment: str
    amount: int
    currency: str
    opened_at: datetime
    document: str = ""
    why: str = ""


class RefundLearned(Event):
    """The provider said where a refund stands; `failed` brings the money back to the account's credit."""

    TOPIC = "receivables.refund_learned"
    refund: UUID
    state: Literal["pending", "succeeded", "failed"]
    object: str = ""
    code: str = ""
    text: str = ""


class DisputeLearned(Event):
    """The provider said where a dispute about a receipt stands.

    Units: `withdrawn` what was ever taken for it, `given_back` what ever came back, in minor units.
    """

    TOPIC = "receivables.dispute_learned"
    dispute: str
    account: UUID
    receipt: str
    state: Literal["open", "won", "lost"]
    amount: int
    withdrawn: int
    given_back: int
    currency: str
    on: date
    reason: str = ""
