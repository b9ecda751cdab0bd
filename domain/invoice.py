"""Documents as they were issued: one event each, never another."""

from __future__ import annotations

from domain.aggregate import Aggregate
from domain.events import Event
from domain.events.documents import InvoiceIssued


class Invoice(Aggregate):
    """An invoice: `issued` is all of it."""

    NAME = "invoice"

    def blank(self) -> None:
        self.issued: InvoiceIssued | None = None

    def when(self, event: Event) -> None:
        assert isinstance(event, InvoiceIssued)
        self.issued = event


class CreditNote(Invoice):
    """A credit note: its amounts are below zero."""

    NAME = "credit_note"
