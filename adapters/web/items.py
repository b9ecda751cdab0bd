"""What an invoice is for, line by line, in the words of the customer who has its link."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from adapters.language import days, money, number, percent
from adapters.web.words import Words
from domain.events.documents import InvoiceIssued, Line


class Item(NamedTuple):
    """One line. Shapes: `about` is the license, the days of service and the quantity, as far as they say something."""

    text: str
    about: str
    amount: str


class Total(NamedTuple):
    """One line under the items."""

    text: str
    amount: str


def items(issued: InvoiceIssued, names: Mapping[UUID, str], words: Words) -> list[Item]:
    """The lines as they are on paper: those of nothing are kept in the books only."""
    shown = [line for line in issued.lines if line.amount or line.kind == "reversal"] or issued.lines
    return [
        Item(line.text, _about(line, names, words), money(line.amount, issued.currency, words.language))
        for line in shown
    ]


def totals(issued: InvoiceIssued, words: Words) -> list[Total]:
    """The net, and the tax of each rate."""
    rates = [(words("tax", percent=percent(tax.percent, words.language)), tax.tax) for tax in issued.taxes]
    amounts = [(words("net"), issued.net), *rates]
    return [Total(text, money(amount, issued.currency, words.language)) for text, amount in amounts]


def _about(line: Line, names: Mapping[UUID, str], words: Words) -> str:
    says_nothing = line.quantity == "1" or "/" in line.quantity
    quantity = "" if says_nothing else words("quantity", count=number(Decimal(line.quantity), words.language))
    service = "" if line.occurrence else days(line.start, line.end, words.language)
    return " · ".join(filter(None, (names.get(line.license, ""), service, quantity)))
