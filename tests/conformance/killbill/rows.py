"""Our lines in Kill Bill's words, ready to be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from domain.charge import key
from domain.events.documents import Line
from tests.conformance.items import Item
from tests.conformance.killbill.ledger import Row
from tests.conformance.killbill.package import OF
from tests.conformance.words import cents, day

KINDS = {"reversal": "repair_adj", "adjustment": "item_adj"}


def items(rows: Iterable[Row]) -> Iterator[Item]:
    """The rows of an invoice; neighbouring pieces of one period at one price are one row, as the peer writes them.

    Shapes: what stands instead of usage already billed is one row of what it adds; something sold once and an
    adjustment are of one day.
    """
    for group in _grouped(rows):
        first, last = group[0].line, group[-1]
        kind = _kind(first)
        yield Item(
            kind,
            first.start,
            first.start if kind == "item_adj" or _of_a_day(kind, last) else last.end,
            sum(row.line.amount for row in group),
            part=(first.start, last.line.end) != (first.base_start, first.base_end),
        )


def _of_a_day(kind: str, row: Row) -> bool:
    return kind == "external_charge" and row.end is not None and (row.end - row.line.start).days == 1


def theirs(row: dict[str, Any], currency: str) -> Item:
    """A row as the case writes it."""
    start, end = (day(row[name]) if row.get(name) else None for name in ("start", "end"))
    return Item(row["type"], start, end, cents(row["amount"], currency))


def _grouped(rows: Iterable[Row]) -> list[list[Row]]:
    groups: list[list[Row]] = []
    for row in sorted(rows, key=_place):
        if groups and _goes_on(groups[-1][-1].line, row.line):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _place(row: Row) -> tuple[str, str, str, date]:
    return str(row.line.license), _component(row.line), _kind(row.line), row.line.start


def _component(line: Line) -> str:
    """What a row is of: the units of one usage are one row."""
    return line.component.partition(OF)[0]


def _goes_on(before: Line, line: Line) -> bool:
    """Whether a line is the rest of the one before it."""
    one, other = ((each.license, _component(each), _kind(each)) for each in (before, line))
    if one != other or line.kind == "adjustment":
        return False
    if _kind(line) == "usage":
        return before.start == line.start
    if line.occurrence or (before.base_start, before.end) != (line.base_start, line.start):
        return False
    return key(before.price, before.quantity, before.rule) == key(line.price, line.quantity, line.rule)


def _kind(line: Line) -> str:
    package, name = line.component.rsplit("/", maxsplit=1)
    if line.occurrence not in ("", "once"):
        return "usage"
    if line.kind != "charge":
        return KINDS[line.kind]
    return "external_charge" if package.startswith("external_charge") else name
