"""From lines to a document: numbered, taxed per rate, added up; the same for a preview and for the run.

Tax is computed once per rate on the net of the new charges of a document and spread over them; lines that give money
back, or give it again, carry the tax of what they undo. Names come last. Source: ADR-0010, ADR-0038; EN 16931 BR-CO-14,
BR-CO-15.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import count, repeat
from typing import NamedTuple

import msgspec

from domain.charge import Charge, Rating
from domain.difference import NewLine
from domain.events.documents import Line, TaxTotal
from domain.history import LICENSE
from domain.money import allocate, rounded
from domain.period import day
from domain.standing import Standing


class Bill(msgspec.Struct, frozen=True):
    """New lines of one license, and whose they are."""

    standing: Standing
    lines: tuple[NewLine, ...]


class Draft(msgspec.Struct, frozen=True):
    """A document before it has a number.

    Units: minor units; net + tax = gross, and both add up over `lines` and over `taxes`.
    """

    lines: tuple[Line, ...]
    taxes: tuple[TaxTotal, ...]
    net: int
    tax: int

    @property
    def gross(self) -> int:
        return self.net + self.tax


class _Blank(NamedTuple):
    """A document in which nobody is named yet.

    Shapes: the charge of each line; None for reversals, which have the names of what they take back.
    """

    lines: Sequence[Line]
    charges: Sequence[Charge | None]
    taxes: tuple[TaxTotal, ...]
    net: int
    tax: int


def draft(bills: Iterable[Bill], tax_percent: Decimal) -> Draft:
    """The document that says what differences found.

    Shapes: `bills` of one payer and currency, one for each license; lines are sorted by license, component, day.
    """
    in_order = sorted(bills, key=_license)
    parts = tuple([bill.lines for bill in in_order])
    shared = len(parts) == 1 and _is_new(parts[0])
    blank = _shared(parts, str(tax_percent)) if shared else _blank(parts, tax_percent)
    owners = [bill.standing for bill in in_order for _ in bill.lines]
    return Draft(tuple(map(_named, blank.lines, blank.charges, owners)), blank.taxes, blank.net, blank.tax)


def _license(bill: Bill) -> int:
    return bill.standing.history.license.int


def _is_new(lines: Iterable[NewLine]) -> bool:
    """Whether nothing is taken back or given again: such lines are the same for all licenses that owe the same."""
    return all([line.link is None for line in lines])


def _named(line: Line, charge: Charge | None, standing: Standing) -> Line:
    if charge is None:
        return line
    return msgspec.structs.replace(line, license=standing.history.license, reasons=standing.reasons(charge))


def _blank(parts: tuple[tuple[NewLine, ...], ...], tax_percent: Decimal) -> _Blank:
    """Shapes: the lines of each license, in order."""
    new = [line for part in parts for line in sorted(part, key=_order)]
    lines = tuple(map(_line, count(1), new, _taxes(new, tax_percent), repeat(tax_percent)))
    totals = _totals(lines)
    net, tax = sum([total.net for total in totals]), sum([total.tax for total in totals])
    return _Blank(lines, [line.charge for line in new], totals, net, tax)


@lru_cache(maxsize=4096)
def _shared(parts: tuple[tuple[NewLine, ...], ...], tax_percent: str) -> _Blank:
    """By the rate as it is written: 19 and 19.00 are equal, and are printed as they are."""
    return _blank(parts, Decimal(tax_percent))


def _order(line: NewLine) -> tuple[object, ...]:
    return (line.stream.component, line.start, line.kind == "charge", line.end)


def _taxes(lines: Sequence[NewLine], percent: Decimal) -> list[int]:
    """The tax of each line: carried by those that undo another, allocated from the document's total for the rest."""
    fresh = [line.amount for line in lines if line.tax is None]
    net, (numerator, denominator) = sum(fresh), percent.as_integer_ratio()
    shares = allocate(rounded(numerator * net, denominator * 100), fresh) if net else [0] * len(fresh)
    if len(shares) == len(lines):
        return shares
    left = iter(shares)
    return [next(left) if line.tax is None else line.tax for line in lines]


def _line(number: int, new: NewLine, tax: int, percent: Decimal) -> Line:
    charge, link = new.charge, new.link
    if charge is None:
        return _mirrored(number, new, tax)
    return msgspec.structs.replace(
        _printed(charge.rating, new.start, new.end),
        number=number,
        component=new.stream.component,
        amount=new.amount,
        tax=tax,
        tax_percent=link.whole.tax_percent if link else percent,
        link=link.ref if link else None,
    )


@lru_cache(maxsize=8192)
def _printed(rating: Rating, start: int, end: int) -> Line:
    """What all lines with a rating have in common."""
    return Line(
        number=0,
        kind="charge",
        license=LICENSE,
        component="",
        text=rating.text,
        start=day(start),
        end=day(end),
        amount=0,
        tax=0,
        tax_percent=Decimal(0),
        price=str(rating.price),
        base_start=day(rating.base_start),
        base_end=day(rating.base_end),
        quantity=str(rating.quantity),
        month_days=rating.month_days,
        occurrence=rating.occurrence,
        reversible=rating.reversible,
        package=rating.package.package,
        version=rating.package.version,
        rule=rating.rule,
    )


def _mirrored(number: int, new: NewLine, tax: int) -> Line:
    """A reversal: the line that it takes back, with its own days and amount."""
    assert new.link is not None
    return msgspec.structs.replace(
        new.link.whole,
        number=number,
        kind="reversal",
        start=day(new.start),
        end=day(new.end),
        amount=new.amount,
        tax=tax,
        link=new.link.ref,
    )


def _totals(lines: Iterable[Line]) -> tuple[TaxTotal, ...]:
    sums: dict[Decimal, tuple[int, int]] = {}
    for line in lines:
        net, tax = sums.get(line.tax_percent, (0, 0))
        sums[line.tax_percent] = net + line.amount, tax + line.tax
    return tuple([TaxTotal(percent, *sums[percent]) for percent in sorted(sums)])
