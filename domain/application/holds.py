"""Holds: what a return opened again is not collected, until its money is here again or a person says so.

Nobody is charged a second time for what we gave back, or what its owner and his bank argue about. Source: ADR-0018.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from uuid import UUID

import msgspec

from domain.aggregate import Aggregate
from domain.application import Billing, Outcome
from domain.application.chases import ended_by_payment
from domain.application.payments import collection, issued
from domain.errors import Conflict
from domain.receivables import Receivables


class ReleaseHold(msgspec.Struct, frozen=True):
    """A person lets an invoice be collected again that a refund or a dispute had opened; the answer is the holds."""

    invoice: UUID
    on: date
    why: str = ""

    def handle(self, billing: Billing) -> Outcome:
        attempts = collection(billing, self.invoice)
        holds = sorted(attempts.holds)
        if not holds:
            raise Conflict(f"{issued(billing, self.invoice).document} is not on hold")
        for name in holds:
            attempts.release(self.invoice, name, self.on, self.why)
        return Outcome((attempts,), answer=holds)


def put_on_hold(billing: Billing, money: Receivables, return_id: str, on: date) -> Iterable[Aggregate]:
    """The collections of what a return opened again, each with the hold."""
    for invoice in sorted(money.reopened[return_id]):
        attempts = collection(billing, invoice)
        attempts.hold(invoice, return_id, on)
        yield attempts


def pay_again(
    billing: Billing, money: Receivables, receipt: str, return_id: str, on: date, why: str
) -> Iterable[Aggregate]:
    """Money that went back is here again: it pays what its going had opened, which is held for it no longer.

    At once, for a refund of what would lie there as credit would leave the invoice open and not on hold. What other
    returns opened and hold stays open for them. What a dispute has meanwhile is not here: what is open for it stays on
    hold, until the end of the dispute restores it with its own.
    """
    undone = sorted(name for name, amount in money.receipt(receipt).returned.items() if not amount)
    opened = {invoice for name in undone for invoice in money.reopened[name]}
    owed = [(invoice, issued(billing, invoice).gross) for invoice in sorted(opened)]
    for invoice, gross in owed:
        attempts = collection(billing, invoice)
        if invoice in money.reopened[return_id] or attempts.holds.intersection(undone):
            held = sum(money.reopened[name][invoice] for name in attempts.holds.difference(undone))
            part = min(money.receipt(receipt).credit, money.open_amount(invoice, gross) - held)
            if part > 0 and attempts.live is None:
                money.allocate(receipt, invoice, gross, part, on)
        if money.open_amount(invoice, gross) <= 0 or not money.disputed(receipt):
            for name in undone:
                attempts.release(invoice, name, on, why)
        yield attempts
    yield from ended_by_payment(billing, money, owed, on)
