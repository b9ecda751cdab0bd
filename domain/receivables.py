"""Receivables: what an account's receipts paid for, what is left of them as credit, and what went back.

One stream for each payer and currency, so that everything about its money is decided under one version. Money is never
lost: what no invoice takes is credit, drawn oldest first. Invoices are not in the stream; a command tells their gross.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from domain.aggregate import Aggregate
from domain.errors import Conflict, DuplicateRequest, Invalid, NotFound
from domain.events import Event
from domain.events import receivables as events
from domain.events.receivables import ReceiptBooked
from domain.identity import Kind, bucket_of, make_id


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


class Receivables(Aggregate):
    """The receipts of one payer in one currency. Shapes: `receipts` by name, in the order they were booked."""

    NAME = "receivables"

    def blank(self) -> None:
        self.receipts: dict[str, Receipt] = {}
        self.settled: dict[UUID, int] = defaultdict(int)

    @property
    def credit(self) -> int:
        """What the account holds with us."""
        return sum(receipt.credit for receipt in self.receipts.values())

    def open_amount(self, invoice: UUID, gross: int) -> int:
        """What an invoice of this gross is still owed."""
        return gross - self.settled[invoice]

    def book(self, booked: ReceiptBooked) -> bool:
        """Books a receipt once; False when it is there already.

        Raises: Invalid for nothing; DuplicateRequest when the same name came with another amount.
        """
        if booked.amount <= 0:
            raise Invalid(f"a receipt is above zero, not {booked.amount}")
        known = self.receipts.get(booked.receipt)
        if known is None:
            self.trigger(booked)
        elif (known.booked.amount, known.booked.currency) != (booked.amount, booked.currency):
            raise DuplicateRequest(f"{booked.receipt} is booked with {known.booked.amount}, not {booked.amount}")
        return known is None

    def allocate(self, receipt: str, invoice: UUID, gross: int, amount: int, on: date) -> None:
        """Lets a receipt pay for a part of an invoice.

        Raises: Conflict when the receipt has not so much left, or the invoice is not owed so much.
        """
        held, left = self.receipt(receipt), self.open_amount(invoice, gross) - amount
        if amount <= 0 or amount > held.credit:
            raise Conflict(f"{receipt} has {held.credit} left, not {amount}")
        if left < 0:
            raise Conflict(f"the invoice is owed {left + amount}, not {amount}")
        self.trigger(events.Allocated(receipt=receipt, invoice=invoice, amount=amount, left=left, on=on))

    def draw(self, invoices: Iterable[tuple[UUID, int]], on: date) -> int:
        """Pays invoices, in the order given, from all credit, the oldest first; what was drawn.

        Shapes: `invoices` as (invoice, gross).
        """
        drawn = 0
        for invoice, gross in invoices:
            for name, receipt in self.receipts.items():
                amount = min(receipt.credit, self.open_amount(invoice, gross))
                if amount > 0:
                    self.allocate(name, invoice, gross, amount, on)
                    drawn += amount
        return drawn

    def give_back(self, returned: events.MoneyReturned, gross: dict[UUID, int]) -> bool:
        """Books that money of a receipt went back, once: credit first, then what was paid last is open again.

        Shapes: `gross` of the invoices that the receipt paid for. Raises: Conflict for more than there is; an undone
        return is not booked again.
        """
        held = self.receipt(returned.receipt)
        if returned.return_id in held.returned:
            return False
        if not 0 < returned.amount <= held.kept:
            raise Conflict(f"{returned.receipt} has {held.kept} to give back, not {returned.amount}")
        short = returned.amount - held.credit
        for invoice, paid in reversed(list(held.paid.items())):
            if short > 0:
                self._open_again(returned, invoice, gross[invoice], min(paid, short))
                short -= min(paid, short)
        self.trigger(returned)
        return True

    def undo_return(self, receipt: str, return_id: str, on: date, why: str = "") -> bool:
        """Books that money is here again, as credit, once. Raises: NotFound when it never went back."""
        held = self.receipt(receipt)
        if return_id not in held.returned:
            raise NotFound(f"{receipt} has no return {return_id}")
        amount = held.returned[return_id]
        if amount:
            self.trigger(events.ReturnUndone(receipt=receipt, return_id=return_id, amount=amount, on=on, why=why))
        return amount > 0

    def deallocate(self, receipt: str, invoice: UUID, gross: int, on: date, why: str) -> None:
        """Takes a receipt's money off an invoice: it is credit again. Raises: Conflict when it did not pay for it."""
        amount = self.receipt(receipt).paid.get(invoice, 0)
        if not amount:
            raise Conflict(f"{receipt} does not pay for this invoice")
        self._release(receipt, invoice, gross, amount, on, why)

    def receipt(self, name: str) -> Receipt:
        """A receipt by its name. Raises: NotFound."""
        try:
            return self.receipts[name]
        except KeyError:
            raise NotFound(f"there is no receipt {name}") from None

    def _open_again(self, returned: events.MoneyReturned, invoice: UUID, gross: int, amount: int) -> None:
        self._release(returned.receipt, invoice, gross, amount, returned.on, f"{returned.kind} {returned.return_id}")

    def _release(self, receipt: str, invoice: UUID, gross: int, amount: int, on: date, why: str) -> None:
        left = self.open_amount(invoice, gross) + amount
        self.trigger(events.Deallocated(receipt=receipt, invoice=invoice, amount=amount, left=left, on=on, why=why))

    def when(self, event: Event) -> None:
        match event:
            case events.ReceiptBooked():
                self.receipts[event.receipt] = Receipt(event)
            case events.Allocated():
                self._pay(event.receipt, event.invoice, event.amount)
            case events.Deallocated():
                self._pay(event.receipt, event.invoice, -event.amount)
            case events.MoneyReturned():
                self.receipts[event.receipt].returned[event.return_id] = event.amount
            case events.ReturnUndone():
                # Kept at zero: a late message about the same return must not book it a second time.
                self.receipts[event.receipt].returned[event.return_id] = 0

    def _pay(self, receipt: str, invoice: UUID, amount: int) -> None:
        paid = self.receipts[receipt].paid
        paid[invoice] = paid.get(invoice, 0) + amount
        if not paid[invoice]:
            del paid[invoice]
        self.settled[invoice] += amount


def receivables_id(account: UUID, currency: str) -> UUID:
    """The stream of a payer's money in one currency."""
    return make_id(Kind.RECEIVABLES, bucket_of(account), None, account, currency)
