"""Receipts and refunds as a payer's receivables hold them: how much came, what it paid for, and what went back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from domain.events.receivables import ReceiptBooked, RefundOpened
from domain.money import with_currency
from domain.payment import Refund

REFUND_ORDER = {"open": 0, "pending": 1, "succeeded": 2, "failed": 3}
"""How far a refund has come: a message about an earlier state is late and changes nothing."""


@dataclass
class Receipt:
    """One receipt and where its money is. Units: minor units; the parts never exceed `amount`."""

    booked: ReceiptBooked
    paid: dict[UUID, int] = field(default_factory=dict)
    returned: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """What did not go back."""
        return self.booked.amount - sum(self.returned.values())

    @property
    def credit(self) -> int:
        """What no invoice took yet."""
        return self.kept - sum(self.paid.values())

    def told(self, amount: int) -> str:
        """An amount of its currency, as people are told of it."""
        return with_currency(amount, self.booked.currency)


@dataclass
class RefundStanding:
    """One refund that we asked for, and where it stands at its provider."""

    opened: RefundOpened
    state: Literal["open", "pending", "succeeded", "failed"] = "open"
    object: str = ""
    code: str = ""

    def order(self) -> Refund:
        """What the provider is asked for: the same words however often it is taken up again."""
        names = ("refund", "payment", "amount", "currency", "document")
        return Refund(**{name: getattr(self.opened, name) for name in names})
