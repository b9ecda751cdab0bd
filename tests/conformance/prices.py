"""The peers' price models as ours: ranges are tiers, a package is a block, free units are included."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

import msgspec

from domain.price import Allowance, Block, Graduated, PerUnit, Price, Stairstep, Tier, Volume
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import number


class Ladder:
    """A peer's ranges as tiers: in units so small that every border is a whole number of them."""

    def __init__(self, ranges: Sequence[dict[str, Any]], top: str = "to_value", scale: int = 1) -> None:
        borders = [Fraction(0) if row[top] is None else number(row[top]) for row in ranges]
        self.finer = lcm(*(border.denominator for border in borders))
        self.tiers = tuple(
            Tier(
                None if row[top] is None else int(border * self.finer),
                written(self._unit(row) / self.finer / scale),
                written(number(row.get("flat_amount", row.get("flat")) or 0)),
            )
            for row, border in zip(ranges, borders, strict=True)
        )

    @staticmethod
    def _unit(row: dict[str, Any]) -> Fraction:
        return number(row.get("per_unit_amount", row.get("rate", row.get("unit"))) or 0)


def written(exact: Fraction) -> Decimal:
    """Raises: NotExpressible for a price that no decimal writes."""
    decimal = Decimal(exact.numerator) / Decimal(exact.denominator)
    if Fraction(decimal) != exact:
        raise NotExpressible(f"{exact} is not a decimal")
    return decimal


def at_rate(price: Price, rate: Fraction) -> Price:
    """A price in another unit of account: each amount of it times the rate; how many units it is for stays."""
    counts = ("size", "included", "up_to", "tiers")
    amounts = {name: getattr(price, name) for name in price.__struct_fields__ if name not in counts}
    changed: dict[str, Any] = {name: written(number(amount) * rate) for name, amount in amounts.items()}
    if isinstance(price, Graduated | Volume | Stairstep):
        changed["tiers"] = tuple(
            Tier(tier.up_to, written(number(tier.unit) * rate), written(number(tier.flat) * rate))
            for tier in price.tiers
        )
    return msgspec.structs.replace(price, **changed)


def model_price(model: str, said: dict[str, Any]) -> tuple[Price, int]:
    """The price, and how many of its units are one of the peer's."""
    if model in ("graduated", "prorated_graduated", "volume", "graduated_percentage"):
        ranges = next((said[name] for name in said if name.endswith("ranges")), None)
        if not ranges:
            raise NotExpressible("ranges that the case does not tell")
        ladder = Ladder(ranges, scale=100 if model == "graduated_percentage" else 1)
        return (Volume if model == "volume" else Graduated)(ladder.tiers), ladder.finer
    if model == "package":
        return Block(said["package_size"], written(number(said["amount"])), int(said["free_units"] or 0)), 1
    if model == "standard":
        return PerUnit(written(number(said["amount"]))), 1
    if model == "allowance":
        return Allowance(said["included"], written(number(said["amount"]))), 1
    raise NotExpressible(f"no price model {model}")
