"""A price as people read it: in the words of the catalog, which say only what is not left out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.price import Allowance, Block, Flat, Graduated, PerUnit, Stairstep, Tier, Volume, in_words

STEPS = (Tier(10, Decimal("2.00")), Tier(None, Decimal("1.50"), Decimal(5)))


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (Flat(Decimal("15.00")), "flat: 15.00"),
        (PerUnit(Decimal("0.0025")), "per_unit: 0.0025"),
        (Graduated(STEPS), "graduated: {up_to: 10, unit: 2.00}, {unit: 1.50, flat: 5}"),
        (Volume(STEPS), "volume: {up_to: 10, unit: 2.00}, {unit: 1.50, flat: 5}"),
        (Stairstep((Tier(None, flat=Decimal(9)),)), "stairstep: {flat: 9}"),
        (Stairstep((Tier(5), Tier(None, flat=Decimal(9)))), "stairstep: {up_to: 5}, {flat: 9}"),
        (Graduated((Tier(5), Tier(10, Decimal(1)), Tier())), "graduated: {up_to: 5}, {up_to: 10, unit: 1}, {free}"),
        (Block(100, Decimal("3.00"), included=50), "block: {size: 100, price: 3.00, included: 50}"),
        (Allowance(20, Decimal("1.00")), "allowance: {included: 20, unit: 1.00}"),
    ],
)
def test_a_price_is_told_in_the_words_of_the_catalog(price, words):
    assert in_words(price) == words
