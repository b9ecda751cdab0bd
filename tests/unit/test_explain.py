"""What `explain` says of a line is what the bill did."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from domain.events.documents import Line
from domain.money import rounded
from jobs.explain import computation, exactly


def a_line(price: str, amount: int) -> Line:
    january = (date(2025, 1, 1), date(2025, 2, 1))
    return Line(
        number=1, kind="charge", license=UUID(int=9), component="guard/base", text="Base", key="k", start=january[0],
        end=january[1], amount=amount, tax=0, tax_percent=Decimal(0), price=price, base_start=january[0],
        base_end=january[1],
    )  # fmt: skip


def test_half_a_cent_is_explained_as_it_was_billed():
    assert computation(a_line("5/2", rounded(5, 2)), "EUR", by_day=False) == "0.03 for the period, all 31 days"


@pytest.mark.parametrize(
    ("minor", "currency", "major"),
    [("2000", "EUR", "20.00"), ("5/2", "EUR", "0.025"), ("-1/4", "EUR", "-0.0025"), ("5", "EUR", "0.05"),
     ("1500", "JPY", "1500"), ("3/2", "JPY", "1.5"), ("1500", "BHD", "1.500"), ("1000/31", "EUR", "10/31")],
)  # fmt: skip
def test_the_price_of_a_period_is_told_in_major_units_and_exactly(minor, currency, major):
    assert exactly(minor, currency) == major
