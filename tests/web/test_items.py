"""The lines of an invoice as its customer reads them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.web.items import items
from adapters.web.words import WORDS
from domain.events.account import Party
from domain.events.documents import InvoiceIssued, Line, TaxTotal

JANUARY, FEBRUARY = date(2025, 1, 1), date(2025, 2, 1)
LICENSE = UUID(int=7)


def line(**more: Any) -> Line:
    plain = Line(
        number=1, kind="charge", license=LICENSE, component="users", text="Users", start=JANUARY, end=FEBRUARY,
        amount=5000, tax=0, tax_percent=Decimal(0), price="5000", base_start=JANUARY, base_end=FEBRUARY, quantity="12",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


def shown(*lines: Line) -> list[tuple[str, str]]:
    issued = InvoiceIssued(
        document="INV-000001", series="INV", account=UUID(int=1), party=Party(name="Acme"), currency="EUR",
        issued_on=FEBRUARY, due_on=FEBRUARY, through=FEBRUARY, lines=lines, taxes=(TaxTotal(Decimal(0), 0, 0),), net=0,
        tax=0, gross=0, cut=1, run="r",
    )  # fmt: skip
    return [(one.about, one.amount) for one in items(issued, {LICENSE: "acme-1"}, WORDS["en"])]


def test_lines_of_nothing_are_left_out_but_for_what_is_taken_back_and_for_an_invoice_of_nothing_else():
    assert len(shown(line(), line(amount=0))) == 1
    assert len(shown(line(), line(amount=0, kind="reversal"))) == 2
    assert len(shown(line(amount=0))) == 1


@pytest.mark.parametrize(("quantity", "said"), [("12", True), ("2.5", True), ("1", False), ("7/31", False)])
def test_a_quantity_is_told_where_it_says_something(quantity, said):
    ((about, _),) = shown(line(quantity=quantity))
    assert ("quantity" in about) == said


def test_what_is_paid_once_has_no_days_of_service():
    ((about, _),) = shown(line(occurrence="once", quantity="1"))
    assert about == "acme-1"
