"""What is billed beside what is proposed: the view that existing items come to, and the rows that are to be written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import uuid5

from domain.charge import Charge, Rating, key, part
from domain.coverage import Coverage
from domain.difference import NewLine, difference
from domain.errors import IntegrityError
from domain.events.documents import Line, Ref
from domain.package_version import PackageVersion, Proration
from domain.period import day as date_of
from domain.terms import Stream
from tests.books import ACCOUNT, LICENSE, NAMESPACE
from tests.conformance.items import Item, compare
from tests.conformance.verdict import Case, Differs, Forgiven, NotExpressible
from tests.conformance.words import cents, day

TARGET = date(2100, 1, 1).toordinal()
KINDS = {"recurring": "charge", "fixed": "charge", "repair_adj": "reversal", "item_adj": "adjustment"}
POLICY = PackageVersion("p", 1, "P", date(2000, 1, 1), (), proration=Proration(reverse_on="known"))


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of the family."""
    rows = [Row(row, case["currency"]) for row in case["existing"]]
    try:
        billed = Coverage((row.ref, row.stream(rows), row.line(rows)) for row in rows)
        sound = not billed.covered_twice() and not billed.taken_too_far()
    except IntegrityError:
        sound = False
    if "error" in case["expected"]:
        if sound:
            raise Differs(f"theirs refuses: {case['expected']['error']}")
        return
    if case["stage"] == "effective_view":
        ours = list(_view(billed))
    else:
        proposed = [Row(row, case["currency"]).charge() for row in case["proposed"] or ()]
        ours = [_item(line) for line in difference(proposed, billed, TARGET).lines]
    compare(ours, [_theirs(row, case["currency"]) for row in case["expected"]["items"]], forgiven)


class Row(NamedTuple):
    """An item as the peer writes it: a plan is a component, the full price is the key."""

    row: dict[str, Any]
    currency: str

    @property
    def ref(self) -> Ref:
        return uuid5(NAMESPACE, self.row["ref"]), 1

    @property
    def days(self) -> tuple[int, int]:
        """Its days; a fixed item is of one day."""
        start = day(self.row["start"])
        end = day(self.row["end"]) if self.row["end"] else start + timedelta(days=1)
        return start.toordinal(), end.toordinal()

    @property
    def price(self) -> int:
        """The full price, where the row tells a rate; else what it came to is the price of its own days."""
        return cents(self.row.get("rate", self.row["amount"]), self.currency)

    @property
    def base(self) -> tuple[int, int]:
        """The days that the full price is for: as many more than its own as the full price is more than its amount."""
        start, end = self.days
        amount = cents(self.row["amount"], self.currency)
        whole = round(Fraction((end - start) * self.price, amount)) if amount else 0
        return start, max(start + whole, end)

    @property
    def occurrence(self) -> str:
        return f"once {self.row['start']}" if self.row["type"] == "fixed" else ""

    def linked(self, rows: Sequence[Row]) -> Row:
        """The item that this one is of: itself, or the one that it repairs or adjusts."""
        name = self.row.get("linked", self.row["ref"])
        return next((row for row in rows if row.row["ref"] == name), self)

    def stream(self, rows: Sequence[Row]) -> Stream:
        return Stream(LICENSE, self.linked(rows).row["plan"], ACCOUNT, self.currency)

    def line(self, rows: Sequence[Row]) -> Line:
        """The line that it is; what is paid once is not taken back."""
        if self.row["type"] not in KINDS:
            raise NotExpressible(f"no item of type {self.row['type']}")
        of = self.linked(rows)
        start, end = self.days
        return Line(
            number=1, kind=KINDS[self.row["type"]], license=LICENSE, component=of.row["plan"], text="",  # type: ignore[arg-type]
            start=date_of(start), end=date_of(end), amount=cents(self.row["amount"], self.currency), tax=0,
            tax_percent=Decimal(0), price=str(of.price), base_start=date_of(of.base[0]), base_end=date_of(of.base[1]),
            occurrence=of.occurrence, link=of.ref if of is not self else None,
            reversible=not of.occurrence,
        )  # fmt: skip

    def charge(self) -> Charge:
        """The charge that it proposes."""
        (start, end), base, price, quantity = self.days, self.base, Fraction(self.price), Fraction(1)
        rating = Rating(
            key=key(price, quantity, ""), start=start, end=end, price=price, base_start=base[0], base_end=base[1],
            month_days=0, quantity=quantity, due=True, text="", rule="", package=POLICY, occurrence=self.occurrence,
            reversible=not self.occurrence,
        )  # fmt: skip
        return Charge(self.stream([self]), rating)


def _view(billed: Coverage) -> Iterator[Item]:
    """The days that lines still cover, each piece at its share of the line's price."""
    for live in billed.live():
        for days in live.spans:
            amount = part(live.price, *live.base, live.line.month_days, *days)
            yield Item("recurring", date_of(days[0]), date_of(days[1]), amount, part=days != live.base)


def _item(line: NewLine) -> Item:
    base = line.link.base if line.link else (line.charge.rating.base_start, line.charge.rating.base_end)  # type: ignore[union-attr]
    fixed = line.charge is not None and bool(line.charge.rating.occurrence)
    kind = "repair_adj" if line.kind == "reversal" else "fixed" if fixed else "recurring"
    end = None if fixed else date_of(line.end)
    return Item(kind, date_of(line.start), end, line.amount, part=(line.start, line.end) != base)


def _theirs(row: dict[str, Any], currency: str) -> Item:
    end = day(row["end"]) if row["end"] else None
    return Item(row["type"], day(row["start"]), end, cents(row["amount"], currency))
