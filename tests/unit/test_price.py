"""Price models: what a quantity costs, in which steps, and what some more of it costs."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.price import Allowance, Graduated, Step, Tier, Volume, amount, prorated
from tests.property.histories import MODELS

LADDER = (Tier(5, Decimal(10), Decimal(100)), Tier(None, Decimal(5), Decimal(50)))
quantities = st.fractions(0, 60, max_denominator=4)


@pytest.mark.parametrize(
    ("model", "quantity", "cents"),
    [
        (Graduated((Tier(10, Decimal(1)), Tier(None, Decimal("0.5"), Decimal(3)))), 10, 1000),
        (Graduated((Tier(10, Decimal(1)), Tier(None, Decimal("0.5"), Decimal(3)))), 11, 1350),
        (Allowance(250, Decimal("0.045"), Decimal(15)), 250, 1500),
        (Allowance(250, Decimal("0.045"), Decimal(15)), 1250, 6000),
        (Graduated(LADDER), 0, 10000),
        (Volume(LADDER), 6, 8000),
    ],
)
def test_prices_at_the_borders_of_their_tiers(model, quantity, cents):
    assert amount(model, Fraction(quantity), "EUR") == cents


@given(st.sampled_from(MODELS), quantities, quantities)
def test_the_way_from_one_quantity_to_another_costs_the_difference_of_their_prices(model, before, after):
    way = sum(step.amount for step in model.steps(before, after)) * 100
    assert way == amount(model, after, "EUR") - amount(model, before, "EUR")


def test_a_tier_is_entered_once():
    assert Graduated(LADDER).steps(Fraction(4), Fraction(7)) == [
        Step(1, Fraction(1), Decimal(10), Decimal(0)),
        Step(2, Fraction(2), Decimal(5), Decimal(50)),
    ]
    assert Graduated(LADDER).steps(Fraction(6), Fraction(7)) == [Step(2, Fraction(1), Decimal(5), Decimal(0))]


@given(st.sampled_from(MODELS), st.integers(1, 60))
def test_units_that_were_there_all_the_time_are_paid_whole(model, units):
    whole = amount(model, Fraction(units), "EUR") / 100
    assert prorated(model, [(Fraction(units), Fraction(units))]) == whole


def test_units_that_came_and_went_are_paid_for_their_time_in_the_tiers_that_they_were_in():
    came = [(Fraction(5), Fraction("3.5")), (Fraction(-2), Fraction(-1))]
    assert prorated(Graduated(LADDER), came) == 100 + 35 - 10
