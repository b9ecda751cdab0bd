"""What makes billed and owed days the same: what their whole base comes to, however its price is spelled or made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.events import license as events
from domain.events.documents import Line
from domain.grid import MONTHLY, QUARTERLY, YEARLY
from domain.package_version import Component, Counted, Counting, Declared, Fixed, PackageVersion
from domain.price import Allowance, Block, Flat, Graduated, PerUnit, Price, Stairstep, Tier, Volume
from domain.terms import Stream
from tests.books import ACCOUNT, LICENSE, Books
from tests.spelling import forget, respelled, with_zeros

ISSUED_EARLIER = Path(__file__).with_name("lines_issued_earlier.jsonl")
"""Lines of `lived`, as issued when their keys were made of the spelling of the price."""
FEBRUARY, PAUSED = date(2024, 2, 1), date(2024, 1, 20)
TIERS = (Tier(3, Decimal("7.50")), Tier(None, Decimal("5.00"), Decimal("2.00")))
MODELS: dict[str, Price] = {
    "flat": Flat(Decimal("30.00")),
    "unit": PerUnit(Decimal("4.10")),
    "graduated": Graduated(TIERS),
    "volume": Volume(TIERS),
    "stairs": Stairstep((Tier(4, flat=Decimal("11.00")), Tier(None, flat=Decimal("33.00")))),
    "block": Block(3, Decimal("10.00"), 1),
    "allowance": Allowance(2, Decimal("1.20"), Decimal("10.00")),
}


def everything() -> PackageVersion:
    """A package with a component of every price model, and of every way to charge."""
    models = [Component(name, name, {"EUR": price}, quantity=Fixed(7)) for name, price in MODELS.items()]
    others = (
        Component("quarter", "quarter", {"EUR": Flat(Decimal("100.00"))}, cadence=QUARTERLY, mode="in_arrears_greedy"),
        Component("setup", "setup", {"EUR": Flat(Decimal("50.00"))}, charge="one_time"),
        Component("users", "users", {"EUR": MODELS["graduated"]}, charge="usage", quantity=Counted("users")),
        Component("days", "days", {"EUR": MODELS["unit"]}, charge="usage", quantity=Counted("users", by_day=True)),
        Component("least", "least", {"EUR": Flat(Decimal("1000.00"))}, charge="minimum"),
    )
    return PackageVersion(
        "p", 1, "P", date(2020, 1, 1), (*models, *others), countings=(Counting("users", "peak"),)
    )  # fmt: skip


def sold(spell: Callable[[Decimal], Decimal] = Decimal) -> Books:
    """A license of everything, counted, with an eighth off."""
    books = Books({("p", 1): respelled(everything(), spell)})
    books.counts = {date(2024, 1, 12).toordinal(): 3, date(2024, 1, 18).toordinal(): 5}
    off = events.DiscountGranted(
        discount="d", component="flat", percent=Decimal("12.50"), amount=None, from_on=date(2024, 1, 1), periods=0
    )  # fmt: skip
    books.record("license", off)
    return books


def lived() -> Books:
    """Billed, then paused and billed again, so that there is what stays and what was given back."""
    books = sold()
    books.run(FEBRUARY)
    books.record("license", events.LicenseSuspended(reason="manual", from_on=PAUSED, pauses_billing=True))
    books.run(FEBRUARY)
    return books


def as_issued_earlier(spell: Callable[[Decimal], Decimal]) -> Books:
    """The books of `lived` with the lines of then, under a catalog that spells its prices anew."""
    books = sold(spell)
    books.documents = lived().documents
    books.record("license", events.LicenseSuspended(reason="manual", from_on=PAUSED, pauses_billing=True))
    for row in ISSUED_EARLIER.read_text().splitlines():
        document, body = msgspec.json.decode(row, type=tuple[Any, msgspec.Raw])
        line = msgspec.json.decode(body, type=Line)
        books.lines.append(
            ((type(LICENSE)(document), line.number), Stream(LICENSE, line.component, ACCOUNT, "EUR"), line)
        )
    return books


@pytest.fixture(params=[-1, 0, 3], ids=["shortest", "as it was", "longer"])
def earlier(request) -> Books:
    books = as_issued_earlier(with_zeros(request.param))
    forget()
    return books


def test_lines_issued_when_keys_were_made_of_the_spelling_stay_as_they_are(earlier):
    kinds = {line.component.partition("/")[2] for _, _, line in earlier.lines}
    assert kinds == {one.id for one in everything().components}
    assert earlier.run(FEBRUARY) == []


def test_what_was_given_back_on_such_lines_comes_back_at_what_was_given_back(earlier):
    given_back = {ref: line for ref, _, line in earlier.lines if line.kind == "reversal" and not line.occurrence}
    earlier.record("license", events.LicenseResumed(reason="manual", on=PAUSED))
    again = {line.link: line for line in earlier.run(FEBRUARY) if line.kind == "charge" and not line.occurrence}
    assert len(given_back) == 15
    assert {ref: -line.amount for ref, line in given_back.items()} == {ref: again[ref].amount for ref in given_back}
    assert earlier.run(FEBRUARY) == []


@pytest.mark.parametrize("spellings", [("2", "2.0"), ("2.00", "2"), ("20", "2E+1"), ("2E+1", "20")])
def test_whichever_spelling_a_process_saw_first_the_next_run_finds_nothing(spellings):
    """The license of the first spelling is billed beside one of the second, then alone, then moved to the second."""
    forget()
    seen, price = (PerUnit(Decimal(spelling)) for spelling in reversed(spellings))
    seats(seen).run(FEBRUARY)
    books = seats(price, seen)
    assert len(books.run(FEBRUARY)) == 2
    forget()
    assert books.run(FEBRUARY) == []
    moved(books, date(2024, 1, 15), 5)
    forget()
    seats(seen).run(FEBRUARY)
    assert books.run(FEBRUARY) == []


def seats(*prices: Price) -> Books:
    """Five seats in versions of a package, one at each price."""
    versions = [
        PackageVersion(
            "p", number, "P", date(2020, 1, 1), (Component("c1", "c1", {"EUR": price}, quantity=Declared()),)
        )
        for number, price in enumerate(prices, start=1)
    ]
    return Books({("p", version.version): version for version in versions})


def moved(books: Books, on: date, quantity: int) -> None:
    """To the second version."""
    change = events.LicenseChanged(
        change=f"{on}", effective_on=on, package="p", version=2, type="production", quantities={"c1": quantity},
        direction="other",
    )  # fmt: skip
    books.record("license", change)


OLD = Graduated((Tier(5, Decimal("2.00")), Tier(None, Decimal("1.50"))))


def test_a_new_table_that_comes_to_the_same_prints_nothing_until_the_quantity_changes():
    """Five seats are 10.00 by both tables; the sixth is 1.50 by the old one and 1.00 by the new."""
    books = seats(OLD, msgspec.structs.replace(OLD, tiers=(OLD.tiers[0], Tier(None, Decimal("1.00")))))
    books.run(FEBRUARY)
    moved(books, date(2024, 1, 15), 5)
    assert books.run(FEBRUARY) == []
    moved(books, FEBRUARY, 6)
    assert [(line.kind, line.amount) for line in books.run(FEBRUARY)] == [("reversal", -1000), ("charge", 1100)]


@pytest.mark.parametrize(
    "price", [Graduated((Tier(5, Decimal("2.01")), Tier(None, Decimal("1.50")))), PerUnit(Decimal("2.00"))]
)
def test_another_amount_or_another_model_takes_back_what_was_charged_and_bills_anew(price):
    books = seats(OLD, price)
    charged = books.run(FEBRUARY)
    moved(books, FEBRUARY, 5)
    lines = books.run(FEBRUARY)
    assert [(line.kind, line.start) for line in lines] == [("reversal", FEBRUARY), ("charge", FEBRUARY)]
    assert lines[0].amount == -charged[1].amount
    assert sum(line.amount for _, _, line in books.lines if line.end > FEBRUARY) == lines[1].amount


@pytest.mark.parametrize(("cadence", "quantity"), [(YEARLY, 5), (MONTHLY, 6)])
def test_the_same_amount_a_year_or_for_more_is_another_price(cadence, quantity):
    """A fee of 10.00 whatever the quantity: a line says for how many, and how often."""
    books = seats(Flat(Decimal("10.00")), Flat(Decimal("10.00")))
    version = books.packages["p", 2]
    fee = msgspec.structs.replace(version.components[0], cadence=cadence)
    books.packages["p", 2] = msgspec.structs.replace(version, components=(fee,))
    books.run(FEBRUARY)
    moved(books, FEBRUARY, quantity)
    lines = books.run(FEBRUARY)
    assert [(line.kind, line.amount, line.quantity) for line in lines] == [
        ("reversal", -1000, "5"),
        ("charge", 1000, f"{quantity}"),
    ]


def test_when_a_price_falls_due_and_what_was_taken_off_it_leave_the_days_the_same():
    """From 20.00 in advance, half of it off, to 10.00 in arrears."""
    books = seats(Flat(Decimal("20.00")), Flat(Decimal("10.00")))
    version = books.packages["p", 2]
    fee = msgspec.structs.replace(version.components[0], mode="in_arrears")
    books.packages["p", 2] = msgspec.structs.replace(version, components=(fee,))
    half = events.DiscountGranted(
        discount="d", component="", percent=Decimal(50), amount=None, from_on=books.start, periods=0
    )
    books.record("license", half)
    assert [line.amount for line in books.run(FEBRUARY)] == [710, 1000]
    books.record("license", events.DiscountWithdrawn(discount="d", on=FEBRUARY))
    moved(books, FEBRUARY, 5)
    assert books.run(FEBRUARY) == []
    assert [(line.start, line.amount) for line in books.run(date(2024, 4, 1))] == [(date(2024, 3, 1), 1000)]
