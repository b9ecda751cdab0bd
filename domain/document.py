"""From lines to a document: numbered, taxed per rate, added up; the same for a preview and for the run.

Tax is computed once per rate on the net of the new charges of a document and spread over them; lines that give money
back, or give it again, carry the tax of what they undo. Source: ADR-0010; EN 16931 BR-CO-14, BR-CO-15.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import count, repeat

import msgspec

from domain.charge import Rating
from domain.difference import NewLine
from domain.events.documents import Line, TaxTotal
from domain.history import LICENSE
from domain.money import allocate, rounded
from domain.period import day


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


def draft(found: Iterable[NewLine], tax_percent: Decimal) -> Draft:
    """The document that says what a difference found.

    Shapes: `found` may be of many licenses of one payer and currency; lines are sorted by license, component, day.
    """
    ordered = sorted(found, key=_order)
    taxes = _taxes(ordered, tax_percent)
    lines = tuple(map(_line, count(1), ordered, taxes, repeat(tax_percent)))
    totals = _totals(lines)
    return Draft(lines, totals, sum([total.net for total in totals]), sum([total.tax for total in totals]))


def _order(line: NewLine) -> tuple[object, ...]:
    stream = line.stream
    return (stream.license.int, stream.component, line.start, line.kind == "charge", line.end)


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
    license, component, _, _ = new.stream
    return msgspec.structs.replace(
        _printed(charge.rating, new.start, new.end),
        number=number,
        license=license,
        component=component,
        amount=new.amount,
        tax=tax,
        tax_percent=link.line.tax_percent if link else percent,
        link=link.ref if link else None,
        reasons=charge.reasons,
    )


@lru_cache(maxsize=65536)
def _printed(rating: Rating, start: int, end: int) -> Line:
    """What the lines of all licenses with a rating have in common."""
    return Line(
        number=0,
        kind="charge",
        license=LICENSE,
        component="",
        text=rating.text,
        key=rating.key,
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
        new.link.line,
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
