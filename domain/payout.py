"""Payout: credit that finance pays out by bank, from the proposal to the transfer on a statement of ours."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from domain.aggregate import Aggregate
from domain.errors import Conflict
from domain.events import Event
from domain.events import payout as events
from domain.money import with_currency


class Payout(Aggregate):
    """One payout and where it stands; `transfer` is the one that made it."""

    NAME = "payout"

    def blank(self) -> None:
        self.opened: events.PayoutOpened | None = None
        self.state: Literal["open", "paid", "failed"] = "open"
        self.transfer = ""
        self.came_back = ""

    @property
    def said(self) -> events.PayoutOpened:
        """What is to be paid out."""
        assert self.opened is not None
        return self.opened

    def open(self, opened: events.PayoutOpened) -> None:
        """Proposes it to finance."""
        self.trigger(opened)

    def make(self, transfer: str, amount: int, currency: str, on: date) -> bool:
        """Books that a transfer made it; False when that is known.

        Raises: Conflict for another amount, a second transfer, or when it was taken back.
        """
        said = self.said
        if (amount, currency) != (said.amount, said.currency):
            over, moved = with_currency(said.amount, said.currency), with_currency(amount, currency)
            raise Conflict(f"{said.reference} is over {over}, not {moved}")
        if self.transfer == transfer:
            return False
        if self.state != "open":
            made = f"was made by {self.transfer}" if self.transfer else "was taken back"
            raise Conflict(f"{said.reference} {made}: {transfer} is another transfer")
        self.trigger(events.PayoutMade(transfer=transfer, on=on))
        return True

    def fail(self, on: date, why: str, transfer: str = "") -> bool:
        """Books that it was not made, or came back by a transfer; False when that is known.

        Raises: Conflict for one that was made and did not come back, or came back before.
        """
        if self.state == "failed" and self.came_back == transfer:
            return False
        if self.state != ("paid" if transfer else "open"):
            raise Conflict(f"{self.said.reference} is {self.state}")
        self.trigger(events.PayoutFailed(on=on, why=why, transfer=transfer))
        return True

    def when(self, event: Event) -> None:
        match event:
            case events.PayoutOpened():
                self.opened = event
            case events.PayoutMade():
                self.state, self.transfer = "paid", event.transfer
            case events.PayoutFailed():
                self.state, self.came_back = "failed", event.transfer


def payout_name(payout: UUID) -> str:
    """The name of the return that a payout books on each receipt that it takes from."""
    return f"payout:{payout}"


def reference_of(payout: UUID) -> str:
    """What a transfer has to bear so that it is known: letters and digits that a bank does not change."""
    return f"PO-{payout.int & 0xFFFF_FFFF_FFFF:012X}"
