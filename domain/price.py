"""Price models: what a quantity costs for one whole period, exactly, before any rounding.

Every model says in which steps a quantity goes from one to another, and at which price: a whole price is the way from
nothing billed yet, a price of some more units is the way from those billed before. Amounts are decimals in major units
as the catalog wrote them; `amount` gives an exact fraction in minor units. Tiers are on the cumulated quantity:
`up_to` is inclusive, the last is open.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import msgspec

from domain.errors import Invalid
from domain.money import scale

Before = Fraction | None
"""The quantity billed before; None where nothing was, so that what is due at once is still to be billed."""


class Step(NamedTuple):
    """Some units at one price, with the amount that is due for entering their tier.

    Shapes: `tier` counts from 1; `units` below zero are taken back. Units: major.
    """

    tier: int
    units: Fraction
    unit: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)

    @property
    def for_units(self) -> Fraction:
        return self.units * Fraction(self.unit)

    @property
    def amount(self) -> Fraction:
        return self.for_units + Fraction(self.flat)


class Flat(msgspec.Struct, frozen=True, cache_hash=True, tag="flat"):
    """One amount for the period, whatever the quantity."""

    amount: Decimal

    def steps(self, before: Before, after: Fraction) -> list[Step]:
        return [Step(1, Fraction(0), flat=self.amount)] if before is None else []


class PerUnit(msgspec.Struct, frozen=True, cache_hash=True, tag="per_unit"):
    """Each unit at the same price."""

    unit: Decimal

    def steps(self, before: Before, after: Fraction) -> list[Step]:
        return [Step(1, after - (before or 0), self.unit)]


class Tier(msgspec.Struct, frozen=True, cache_hash=True):
    """A range of quantities: from above the `up_to` of the tier before, up to and with its own (None is open).

    Shapes: `unit` is the price of each unit in it, `flat` is due once when the tier is entered.
    """

    up_to: int | None = None
    unit: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)


class Graduated(msgspec.Struct, frozen=True, cache_hash=True, tag="graduated"):
    """Each unit at the price of the tier it falls in; the first tier is entered at once, with its flat amount."""

    tiers: tuple[Tier, ...]

    def steps(self, before: Before, after: Fraction) -> list[Step]:
        start = before or Fraction(0)
        sign = 1 if after >= start else -1
        low, high = min(start, after), max(start, after)
        found, below = [], low
        for number, tier in enumerate(self.tiers, start=1):
            top = high if tier.up_to is None else min(high, Fraction(tier.up_to))
            first = number == 1 and before is None
            entered = first or (number > 1 and low <= below < high)
            units = top - max(below, low)
            if entered or units > 0:
                found.append(Step(number, sign * max(units, Fraction(0)), tier.unit, sign * tier.flat * entered))
            if tier.up_to is None or high <= tier.up_to:
                break
            below = Fraction(tier.up_to)
        return found


class Volume(msgspec.Struct, frozen=True, cache_hash=True, tag="volume"):
    """All units at the price of the tier that the whole quantity falls in."""

    tiers: tuple[Tier, ...]

    def steps(self, before: Before, after: Fraction) -> list[Step]:
        return _instead(self._whole, before, after)

    def _whole(self, quantity: Fraction) -> Step:
        number, tier = _tier(self.tiers, quantity)
        return Step(number, quantity, tier.unit, tier.flat)


class Stairstep(msgspec.Struct, frozen=True, cache_hash=True, tag="stairstep"):
    """One amount for the step that the quantity falls in: the flat amounts of the tiers, units are free."""

    tiers: tuple[Tier, ...]

    def steps(self, before: Before, after: Fraction) -> list[Step]:
        return _instead(self._whole, before, after)

    def _whole(self, quantity: Fraction) -> Step:
        number, tier = _tier(self.tiers, quantity)
        return Step(number, quantity, flat=tier.flat)


class Block(msgspec.Struct, frozen=True, cache_hash=True, tag="block"):
    """Units are sold in blocks: a begun block is paid whole, after `included` free units."""

    size: int
    price: Decimal
    included: int = 0

    def steps(self, before: Before, after: Fraction) -> list[Step]:
        return [Step(1, Fraction(self.blocks(after) - self.blocks(before or Fraction(0))), self.price)]

    def blocks(self, quantity: Fraction) -> int:
        """How many blocks a quantity begins."""
        return ceiling(max(quantity - self.included, Fraction(0)) / self.size)


class Allowance(msgspec.Struct, frozen=True, cache_hash=True, tag="allowance"):
    """A fee with units included; what is above them costs a rate."""

    included: int
    unit: Decimal
    flat: Decimal = Decimal(0)

    def steps(self, before: Before, after: Fraction) -> list[Step]:
        units = self.above(after) - self.above(before or Fraction(0))
        return [Step(1, units, self.unit, self.flat if before is None else Decimal(0))]

    def above(self, quantity: Fraction) -> Fraction:
        """The units that are not included."""
        return max(quantity - self.included, Fraction(0))


Price = Flat | PerUnit | Graduated | Volume | Stairstep | Block | Allowance
"""Any price model; on paper and in events it is told apart by its tag `type`."""


def ceiling(number: Fraction) -> int:
    """The next whole number."""
    return -(-number.numerator // number.denominator)


def _tier(tiers: Sequence[Tier], quantity: Fraction) -> tuple[int, Tier]:
    numbered = enumerate(tiers, start=1)
    return next(found for found in numbered if found[1].up_to is None or quantity <= found[1].up_to)


def _instead(whole: Callable[[Fraction], Step], before: Before, after: Fraction) -> list[Step]:
    """The whole quantity at its price, and what was billed before taken back."""
    if before is None:
        return [whole(after)]
    old = whole(before)
    return [Step(old.tier, -old.units, old.unit, -old.flat), whole(after)]


@lru_cache(maxsize=65536)
def amount(price: Price, quantity: Fraction, currency: str) -> Fraction:
    """What a quantity costs for one whole period.

    Units: exact minor units of the currency, not yet rounded. Raises: Invalid for a quantity below zero.
    """
    if quantity < 0:
        raise Invalid("a quantity cannot be below zero")
    return sum((step.amount for step in price.steps(None, quantity)), Fraction(0)) * scale(currency)


def prorated(price: Price, parts: Iterable[tuple[Fraction, Fraction]]) -> Fraction:
    """What units cost that came and went in the period, each paid for its share of it.

    Shapes: (units, what they weigh: units times the part of the period that they were there), in order; units below
    zero went. Entering a tier is paid whole, by the highest quantity reached. Units: major, exact, at least zero.
    """
    at = reached = total = Fraction(0)
    for units, weight in parts:
        moved = sum(step.for_units for step in price.steps(at, at + units))
        total += moved * weight / units
        at += units
        reached = max(reached, at)
    return max(total + sum(Fraction(step.flat) for step in price.steps(None, reached)), Fraction(0))


def comings(levels: Iterable[tuple[int, Fraction]], end: int, whole: int) -> Iterator[tuple[Fraction, Fraction]]:
    """The units that came and went, each with what it weighs: the part of the period that was left then.

    Shapes: (day, how many there are from then on) in order, up to the day `end`; the whole period has `whole` days.
    """
    before = Fraction(0)
    for day, level in levels:
        if level != before:
            yield level - before, (level - before) * (end - day) / whole
        before = level


def in_words(price: Price) -> str:
    """A price as the catalog writes it, without what may be left out there."""
    match price:
        case Flat():
            said = str(price.amount)
        case PerUnit():
            said = str(price.unit)
        case Block() | Allowance():
            said = _fields(price)
        case _:
            said = ", ".join(map(_fields, price.tiers))
    return f"{price.__struct_config__.tag}: {said}"


def _fields(part: Block | Allowance | Tier) -> str:
    named = ((name, getattr(part, name)) for name in part.__struct_fields__)
    return "{" + (", ".join(f"{name}: {value}" for name, value in named if value) or "free") + "}"


def check_tiers(tiers: Sequence[Tier]) -> str | None:
    """What is wrong with tiers, in words, or None: they rise, and the last is open."""
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
