"""Price models: what a quantity costs for one whole period, exactly, before any rounding.

Every model is a pure function of a quantity. Amounts are decimals in major units as the catalog wrote them; `amount`
gives an exact fraction in minor units. Tiers are on the cumulated quantity: `up_to` is inclusive, the last is open.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

import msgspec

from domain.errors import Invalid
from domain.money import scale


class Flat(msgspec.Struct, frozen=True, tag="flat"):
    """One amount for the period, whatever the quantity."""

    amount: Decimal

    def major(self, quantity: Fraction) -> Fraction:
        return Fraction(self.amount)


class PerUnit(msgspec.Struct, frozen=True, tag="per_unit"):
    """Each unit at the same price."""

    unit: Decimal

    def major(self, quantity: Fraction) -> Fraction:
        return quantity * Fraction(self.unit)


class Tier(msgspec.Struct, frozen=True):
    """One step of a ladder: from above the last step's `up_to`, up to and with this one's (None is open).

    Shapes: `unit` is the price of each unit in it, `flat` is due once when the tier is entered.
    """

    up_to: int | None = None
    unit: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)


class Graduated(msgspec.Struct, frozen=True, tag="graduated"):
    """Each unit at the price of the tier it falls in; the first tier is entered at once, with its flat amount."""

    tiers: tuple[Tier, ...]

    def major(self, quantity: Fraction) -> Fraction:
        total, below = Fraction(0), Fraction(0)
        for tier in self.tiers:
            if below and quantity <= below:
                break
            top = quantity if tier.up_to is None else min(quantity, Fraction(tier.up_to))
            total += (top - below) * Fraction(tier.unit) + Fraction(tier.flat)
            below = Fraction(tier.up_to or 0)
        return total


class Volume(msgspec.Struct, frozen=True, tag="volume"):
    """All units at the price of the tier that the whole quantity falls in."""

    tiers: tuple[Tier, ...]

    def major(self, quantity: Fraction) -> Fraction:
        tier = _tier(self.tiers, quantity)
        return quantity * Fraction(tier.unit) + Fraction(tier.flat)


class Stairstep(msgspec.Struct, frozen=True, tag="stairstep"):
    """One amount for the step that the quantity falls in: the flat amounts of the tiers, units are free."""

    tiers: tuple[Tier, ...]

    def major(self, quantity: Fraction) -> Fraction:
        return Fraction(_tier(self.tiers, quantity).flat)


class Block(msgspec.Struct, frozen=True, tag="block"):
    """Units are sold in blocks: a begun block is paid whole, after `included` free units."""

    size: int
    price: Decimal
    included: int = 0

    def major(self, quantity: Fraction) -> Fraction:
        return ceiling(max(quantity - self.included, Fraction(0)) / self.size) * Fraction(self.price)


class Allowance(msgspec.Struct, frozen=True, tag="allowance"):
    """A fee with units included; what is above them costs a rate."""

    included: int
    unit: Decimal
    flat: Decimal = Decimal(0)

    def major(self, quantity: Fraction) -> Fraction:
        return Fraction(self.flat) + max(quantity - self.included, Fraction(0)) * Fraction(self.unit)


Price = Flat | PerUnit | Graduated | Volume | Stairstep | Block | Allowance
"""Any price model; on paper and in events it is told apart by its tag `type`."""


def ceiling(number: Fraction) -> int:
    """The next whole number."""
    return -(-number.numerator // number.denominator)


def _tier(tiers: Sequence[Tier], quantity: Fraction) -> Tier:
    return next((tier for tier in tiers if tier.up_to is None or quantity <= tier.up_to), tiers[-1])


@lru_cache(maxsize=65536)
def amount(price: Price, quantity: Fraction, currency: str) -> Fraction:
    """What a quantity costs for one whole period.

    Units: exact minor units of the currency, not yet rounded. Raises: Invalid for a quantity below zero.
    """
    if quantity < 0:
        raise Invalid("a quantity cannot be below zero")
    return price.major(quantity) * scale(currency)


def check_tiers(tiers: Sequence[Tier]) -> str | None:
    """What is wrong with a ladder of tiers, in words, or None: rising, the last open, nothing below zero."""
    if not tiers:
        return "needs at least one tier"
    tops = [tier.up_to for tier in tiers]
    if tops[-1] is not None:
        return "the last tier has to be open (leave out up_to)"
    closed = [top for top in tops[:-1] if top is not None]
    if len(closed) != len(tops) - 1:
        return "only the last tier may be open"
    if any(top <= 0 for top in closed) or any(b <= a for a, b in itertools.pairwise(closed)):
        return "tiers have to rise"
    return None
