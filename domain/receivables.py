"""Receivables: what an account's receipts paid for, what is left of them as credit, and what went back.

One stream for each payer and currency, so that everything about its money is decided under one version. Money is never
lost: what no invoice takes is credit, drawn oldest first. Invoices are not in the stream; a command tells their gross.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from uuid import UUID

import msgspec

from domain.aggregate import Aggregate
from domain.errors import Conflict, DuplicateRequest, Invalid, NotFound
from domain.events import Event
from domain.events import receivables as events
from domain.events.receivables import DisputeLearned, ReceiptBooked, RefundOpened
from domain.identity import Kind, bucket_of, make_id
from domain.money import with_currency
from domain.payment import RefundReply
from domain.receipt import REFUND_ORDER, Receipt, RefundStanding


class Receivables(Aggregate):
    """The receipts of one payer in one currency.

    Shapes: `receipts` by name, in the order they were booked; `reopened` what a return opened again, by invoice;
    `moved_on` the last day on which money came in, paid for something, or could not be paid out.
    """

    NAME = "receivables"

    def blank(self) -> None:
        self.receipts: dict[str, Receipt] = {}
        self.settled: dict[UUID, int] = defaultdict(int)
        self.refunds: dict[UUID, RefundStanding] = {}
        self.disputes: dict[str, DisputeLearned] = {}
        self.reopened: dict[str, Counter[UUID]] = defaultdict(Counter)
        self.moved_on = date.min

    @property
    def credit(self) -> int:
        """What the account holds with us."""
        return sum(receipt.credit for receipt in self.receipts.values())

    def open_amount(self, invoice: UUID, gross: int) -> int:
        """What an invoice of this gross is still owed."""
        return gross - self.settled[invoice]

    def sources(self, invoice: UUID) -> set[str]:
        """How the money came that pays for an invoice."""
        return {receipt.booked.source for receipt in self.receipts.values() if invoice in receipt.paid}

    def pays(self, receipt: str, invoice: UUID) -> bool:
        """Whether a receipt is there and pays for a part of an invoice, or all of it."""
        return receipt in self.receipts and invoice in self.receipts[receipt].paid

    def book(self, booked: ReceiptBooked) -> bool:
        """Books a receipt once; False when it is there already.

        Raises: Invalid for nothing; DuplicateRequest when the same name came with another amount.
        """
        if booked.amount <= 0:
            raise Invalid(f"a receipt is above zero, not {with_currency(booked.amount, booked.currency)}")
        known = self.receipts.get(booked.receipt)
        if known is None:
            self.trigger(booked)
        elif (known.booked.amount, known.booked.currency) != (booked.amount, booked.currency):
            before, now = (with_currency(one.amount, one.currency) for one in (known.booked, booked))
            raise DuplicateRequest(f"{booked.receipt} is booked with {before}, not {now}")
        return known is None

    def allocate(self, receipt: str, invoice: UUID, gross: int, amount: int, on: date) -> None:
        """Lets a receipt pay for a part of an invoice.

        Raises: Conflict when the receipt has not so much left, or the invoice is not owed so much.
        """
        held, left = self.receipt(receipt), self.open_amount(invoice, gross) - amount
        if amount <= 0 or amount > held.credit:
            raise Conflict(f"{receipt} has {held.told(held.credit)} left, not {held.told(amount)}")
        if left < 0:
            raise Conflict(f"the invoice is owed {held.told(left + amount)}, not {held.told(amount)}")
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
        self._give_back(returned, gross)
        return True

    def _give_back(self, returned: events.MoneyReturned, gross: dict[UUID, int]) -> None:
        held = self.receipt(returned.receipt)
        if not 0 < returned.amount <= held.kept:
            raise Conflict(
                f"{returned.receipt} has {held.told(held.kept)} to give back, not {held.told(returned.amount)}"
            )
        short = returned.amount - held.credit
        for invoice, paid in reversed(list(held.paid.items())):
            if short > 0:
                self._open_again(returned, invoice, gross[invoice], min(paid, short))
                short -= min(paid, short)
        self.trigger(returned)

    def undo_return(self, receipt: str, return_id: str, on: date, why: str = "", left: int = 0) -> bool:
        """Books that money is here again, as credit, but for what is left away and what a dispute has of it; once.

        Raises: NotFound when it never went back.
        """
        held = self.receipt(receipt)
        if return_id not in held.returned:
            raise NotFound(f"{receipt} has no return {return_id}")
        amount = held.returned[return_id] - left
        if amount > 0:
            self.trigger(events.ReturnUndone(receipt=receipt, return_id=return_id, amount=amount, on=on, why=why))
            self._take_disputed(receipt, on)
        return amount > 0

    def open_refund(self, opened: RefundOpened, gross: dict[UUID, int]) -> None:
        """Begins a refund: its money counts as returned from now on, so that two of them never take the same.

        Raises: Conflict for more than the receipt still holds.
        """
        if opened.refund in self.refunds:
            raise Conflict(f"refund {opened.refund} was begun already")
        returned = _refunded(opened.receipt, refund_name(opened.refund), opened.amount, opened.opened_at.date())
        self.give_back(returned, gross)
        self.trigger(opened)

    def learn_refund(self, refund: UUID, reply: RefundReply, on: date) -> bool:
        """Records where a refund stands; False when that is known, not certain, or older than what is known.

        One that failed, even after it had succeeded, is credit again. Raises: NotFound.
        """
        held = self.refund(refund)
        if reply.state == "unknown" or REFUND_ORDER[reply.state] <= REFUND_ORDER[held.state]:
            return False
        self.trigger(
            events.RefundLearned(
                refund=refund, state=reply.state, object=reply.object or held.object, code=reply.code, text=reply.text
            )
        )
        if reply.state == "failed":
            self.undo_return(held.opened.receipt, refund_name(refund), on, reply.code)
        return True

    def disputed(self, receipt: str) -> list[DisputeLearned]:
        """The disputes that keep money of a receipt."""
        about = (one for one in self.disputes.values() if one.receipt == receipt)
        return [one for one in about if one.withdrawn > one.given_back]

    def _take_disputed(self, receipt: str, on: date) -> None:
        """What a dispute took while another return had it all is not here, although that return is undone."""
        held = self.receipt(receipt)
        for one in self.disputed(receipt):
            lacking = one.withdrawn - one.given_back - held.returned.get(dispute_name(one.dispute), 0)
            self._take_for(one, min(lacking, held.credit), on, {})

    def _take_for(self, one: DisputeLearned, amount: int, on: date, gross: dict[UUID, int]) -> None:
        """A dispute took so much, or so much more than was booked for it."""
        if amount > 0:
            returned = events.MoneyReturned(
                receipt=one.receipt, return_id=dispute_name(one.dispute), kind="dispute", amount=amount, on=on,
                text=one.reason,
            )  # fmt: skip
            self._give_back(returned, gross)

    def learn_dispute(self, learned: DisputeLearned, gross: dict[UUID, int]) -> bool:
        """Records where a dispute stands; what was withdrawn for it went back, what was given back is credit.

        False for what is known: the amounts only grow, and an end is not left. What they grew by is booked too.
        Raises: NotFound for the receipt.
        """
        receipt, name = self.receipt(learned.receipt), dispute_name(learned.dispute)
        held, booked = self.disputes.get(learned.dispute), receipt.returned.get(name)
        now = _latest(held, learned)
        if now == held:
            return False
        self.trigger(now)
        keeps = max(now.withdrawn - now.given_back, 0)
        lacking = now.withdrawn if booked is None else keeps - booked
        self._take_for(now, min(lacking, receipt.kept), now.on, gross)
        if name in receipt.returned:
            self.undo_return(now.receipt, name, now.on, now.state, left=keeps)
        return True

    def refund(self, refund: UUID) -> RefundStanding:
        """A refund by its id. Raises: NotFound."""
        try:
            return self.refunds[refund]
        except KeyError:
            raise NotFound(f"there is no refund {refund} of this account") from None

    def pay_instead(self, receipt: str, instead_of: str, invoice: UUID, amount: int, on: date) -> None:
        """Lets a receipt pay for a part of an invoice in the place of another, whose money is credit then.

        Raises: Conflict when the one has not so much left, or the other does not pay so much.
        """
        held, paid = self.receipt(receipt), self.receipt(instead_of).paid.get(invoice, 0)
        if not 0 < amount <= min(held.credit, paid):
            has, pays, asked = map(held.told, (held.credit, paid, amount))
            raise Conflict(f"{receipt} has {has} left and {instead_of} pays {pays}: {asked} is not in both")
        self.trigger(events.PaidInstead(receipt=receipt, instead_of=instead_of, invoice=invoice, amount=amount, on=on))

    def receipt(self, name: str) -> Receipt:
        """A receipt by its name. Raises: NotFound."""
        try:
            return self.receipts[name]
        except KeyError:
            raise NotFound(f"there is no receipt {name}") from None

    def _open_again(self, returned: events.MoneyReturned, invoice: UUID, gross: int, amount: int) -> None:
        self.trigger(
            events.Deallocated(
                receipt=returned.receipt, invoice=invoice, amount=amount,
                left=self.open_amount(invoice, gross) + amount, on=returned.on,
                why=f"{returned.kind} {returned.return_id}", return_id=returned.return_id,
            )
        )  # fmt: skip

    def when(self, event: Event) -> None:
        match event:
            case events.ReceiptBooked():
                self.receipts[event.receipt] = Receipt(event)
                self._move(event.received_on)
            case events.Allocated():
                self._pay(event.receipt, event.invoice, event.amount)
                self._move(event.on)
            case events.PaidInstead():
                self._pay(event.instead_of, event.invoice, -event.amount)
                self._pay(event.receipt, event.invoice, event.amount)
            case events.Deallocated():
                self._pay(event.receipt, event.invoice, -event.amount)
                self._move(event.on)
                if event.return_id:
                    self.reopened[event.return_id][event.invoice] += event.amount
            case events.MoneyReturned():
                self._went_back(event.receipt, event.return_id, event.amount)
            case events.ReturnUndone():
                # Kept, at zero: a late message about the same return must not book it a second time.
                self._went_back(event.receipt, event.return_id, -event.amount)
                if event.return_id.startswith("payout:"):
                    self._move(event.on)
            case events.RefundOpened():
                self.refunds[event.refund] = RefundStanding(event)
            case events.RefundLearned():
                held = self.refunds[event.refund]
                held.state, held.object, held.code = event.state, event.object, event.code
            case events.DisputeLearned():
                self.disputes[event.dispute] = event

    def _move(self, on: date) -> None:
        self.moved_on = max(self.moved_on, on)

    def _went_back(self, receipt: str, return_id: str, amount: int) -> None:
        returned = self.receipts[receipt].returned
        returned[return_id] = returned.get(return_id, 0) + amount

    def _pay(self, receipt: str, invoice: UUID, amount: int) -> None:
        paid = self.receipts[receipt].paid
        paid[invoice] = paid.get(invoice, 0) + amount
        if not paid[invoice]:
            del paid[invoice]
        self.settled[invoice] += amount


def receivables_id(account: UUID, currency: str) -> UUID:
    """The stream of a payer's money in one currency."""
    return make_id(Kind.RECEIVABLES, bucket_of(account), None, account, currency)


def refund_name(refund: UUID) -> str:
    """The name of the return that a refund of ours books."""
    return f"refund:{refund}"


def dispute_name(dispute: str) -> str:
    """The name of the return that a dispute books. Shapes: `dispute` as "stripe:dp_…"."""
    return f"dispute:{dispute}"


def _refunded(receipt: str, return_id: str, amount: int, on: date) -> events.MoneyReturned:
    return events.MoneyReturned(receipt=receipt, return_id=return_id, kind="refund", amount=amount, on=on)


def _latest(held: DisputeLearned | None, learned: DisputeLearned) -> DisputeLearned:
    """What is known of a dispute after news of it: amounts only grow, and an end is not left for an open case."""
    if held is None:
        return learned
    state = held.state if learned.state == "open" else learned.state
    withdrawn, given_back = max(held.withdrawn, learned.withdrawn), max(held.given_back, learned.given_back)
    now = msgspec.structs.replace(learned, state=state, withdrawn=withdrawn, given_back=given_back)
    same = (now.state, now.withdrawn, now.given_back) == (held.state, held.withdrawn, held.given_back)
    return held if same else now
