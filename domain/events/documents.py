"""Invoices and credit notes: pinned projections, written once with everything that is printed, never changed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from domain.events import Event
from domain.events.account import Party

Ref = tuple[UUID, int]
"""An event (stream, version), or a line (document, line number)."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a document, with all that a later difference and `explain` need to know of it.

    Shapes: `kind` charge | reversal | adjustment; service [start, end); `price` is the exact price of the whole period
    [base_start, base_end) in minor units ("n" or "n/d"); `quantity` as price; `occurrence` names an atomic charge and
    is empty where days divide it; `link` is the line reversed, adjusted or reinstated; `key` stands on lines issued
    before ADR-0040, and nothing reads it.
    Units: `amount` and `tax` in minor units, net of tax.
    """

    number: int
    kind: Literal["charge", "reversal", "adjustment"]
    license: UUID
    component: str
    text: str
    start: date
    end: date
    amount: int
    tax: int
    tax_percent: Decimal
    price: str
    base_start: date
    base_end: date
    key: str = ""
    quantity: str = "1"
    month_days: int = 0
    occurrence: str = ""
    reversible: bool = True
    link: Ref | None = None
    package: str = ""
    version: int = 0
    rule: str = ""
    reasons: tuple[Ref, ...] = ()


class TaxTotal(msgspec.Struct, frozen=True):
    """The net and the tax of one rate on one document, in minor units."""

    percent: Decimal
    net: int
    tax: int


class InvoiceIssued(Event):
    """An invoice was issued.

    Shapes: `cut` is the bucket's position that it was computed at; `through` the date it bills to; `run` the run.
    """

    TOPIC = "invoice.issued"
    document: str
    series: str
    account: UUID
    party: Party
    currency: str
    issued_on: date
    due_on: date
    through: date
    lines: tuple[Line, ...]
    taxes: tuple[TaxTotal, ...]
    net: int
    tax: int
    gross: int
    cut: int
    run: str
    remittance: tuple[str, ...] = ()


class CreditNoteIssued(InvoiceIssued):
    """A credit note was issued: amounts are negative, and every reversal names the invoice line that it takes back."""

    TOPIC = "credit_note.issued"


class NumbersTaken(Event):
    """A range of numbers was given to documents saved in the same transaction, so that the series has no gaps."""

    TOPIC = "series.numbers_taken"
    first: int
    last: int
