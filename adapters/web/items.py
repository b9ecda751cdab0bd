"""What an invoice is for, line by line, in the words of the customer who has its link."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from adapters.web.standing import amount
from domain.events.documents import InvoiceIssued, Line

DAY = "%-d %B"


class Item(NamedTuple):
    """One line. Shapes: `about` is the license, the days of service and the quantity, as far as they say something."""

    text: str
    about: str
    amount: str


class Total(NamedTuple):
    """One line under the items."""

    text: str
    amount: str


def items(issued: InvoiceIssued, names: Mapping[UUID, str]) -> list[Item]:
    """The lines as they are on paper: those of nothing are kept in the books only."""
    shown = [line for line in issued.lines if line.amount or line.kind == "reversal"] or issued.lines
    return [Item(line.text, _about(line, names), amount(line.amount, issued.currency)) for line in shown]


def totals(issued: InvoiceIssued) -> list[Total]:
    """The net, and the tax of each rate."""
    taxes = [Total(f"Tax {tax.percent.normalize():f} %", amount(tax.tax, issued.currency)) for tax in issued.taxes]
    return [Total("Net", amount(issued.net, issued.currency)), *taxes]


def _about(line: Line, names: Mapping[UUID, str]) -> str:
    quantity = "" if line.quantity == "1" or "/" in line.quantity else f"quantity {line.quantity}"
    words = (names.get(line.license, ""), "" if line.occurrence else _days(line.start, line.end), quantity)
    return " · ".join(filter(None, words))


def _days(start: date, end: date) -> str:
    """The days of service, the last one too."""
    last = end - timedelta(days=1)
    year = f" {start.year}" if start.year != last.year else ""
    return (
        last.strftime(f"{DAY} %Y") if start >= last else f"{start.strftime(DAY)}{year} – {last.strftime(f'{DAY} %Y')}"
    )
