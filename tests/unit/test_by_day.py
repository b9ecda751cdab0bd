"""Units that come and go in a period: each is paid for the days that it was there, in the tier that it was in."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from domain.package_version import Component, Counted, Counting, PackageVersion
from domain.price import Graduated, PerUnit, Price, Tier, comings
from tests.books import Books

SEATS = Graduated((Tier(2, Decimal("31")), Tier(None, Decimal("62"), Decimal("5"))))


def billed(price: Price, levels: dict[int, int], start: date = date(2024, 1, 1)) -> int:
    """What January comes to, when so many units are there from these days on."""
    seats = Component("c1", "Seats", {"EUR": price}, charge="usage", quantity=Counted("seats", by_day=True))
    package = PackageVersion("p", 1, "P", date(2020, 1, 1), (seats,), countings=(Counting("seats", "last"),))
    books = Books({("p", 1): package}, start=start)
    books.counts = {date(2024, 1, on).toordinal(): level for on, level in levels.items()}
    return sum(line.amount for line in books.run(date(2024, 2, 1)))


@pytest.mark.parametrize(
    ("levels", "amount"),
    [
        ({1: 2}, 6200),
        ({1: 1, 17: 2}, 3100 + 1500),
        ({1: 2, 17: 1}, 3100 + 1600),
        ({1: 2, 17: 3, 27: 2}, 6200 + 2000 + 500),
        ({1: 0}, 0),
    ],
)
def test_each_unit_is_paid_for_its_days_in_its_tier_and_a_tier_is_entered_whole(levels, amount):
    assert billed(SEATS, levels) == amount


def test_a_begun_period_is_a_part_of_the_whole_one():
    assert billed(PerUnit(Decimal("31")), {22: 1}, start=date(2024, 1, 22)) == 1000


def test_a_day_without_a_reading_is_as_the_day_before():
    moves = list(comings([(1, Fraction(3)), (5, Fraction(3)), (11, Fraction(1))], 21, 20))
    assert moves == [(3, 3), (-2, -1)]
