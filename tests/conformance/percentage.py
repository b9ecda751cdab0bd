"""A rate on what transactions add up to, and a fee for each of them, after what is free and within bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

from domain.owed import to_bound
from domain.price import Allowance
from tests.conformance.prices import written
from tests.conformance.words import number

BOUNDS = {"minimum": "per_transaction_min_amount", "maximum": "per_transaction_max_amount"}


class Rate(NamedTuple):
    """What transactions cost: `of` units so small that what is free is a whole number of them (`finer` to one), and
    `fee` for each transaction that is not free."""

    of: Allowance
    fee: Allowance
    finer: int

    def whole(self, units: Fraction, count: int) -> Fraction:
        """What transactions cost that add up to some units."""
        return self._way(None, units, None, count)

    def each(self, said: dict[str, Any], values: Iterable[Any]) -> Iterator[Fraction]:
        """What each transaction costs, brought to its least or most amount; a free one costs nothing."""
        at = Fraction(0)
        for nth, value in enumerate(map(number, values)):
            amount = self._way(at, at + value, nth, nth + 1)
            yield _bounded(said, amount) if nth >= self.fee.included else Fraction(0)
            at += value

    def _way(self, before: Fraction | None, after: Fraction, earlier: int | None, count: int) -> Fraction:
        of = self.of.steps(None if before is None else before * self.finer, after * self.finer)
        fee = self.fee.steps(None if earlier is None else Fraction(earlier), Fraction(count))
        return sum((step.amount for step in (*of, *fee)), Fraction(0))


def has_bounds(said: dict[str, Any]) -> bool:
    """Whether each transaction has a least or most amount."""
    return any(said.get(name) for name in BOUNDS.values())


def _bounded(said: dict[str, Any], amount: Fraction) -> Fraction:
    """An amount brought to its bounds, in units so small that all of them are whole."""
    for bound, name in BOUNDS.items():
        if said.get(name):
            limit = number(said[name])
            finer = lcm(limit.denominator, amount.denominator)
            amount += Fraction(to_bound(bound, int(limit * finer), int(amount * finer)), finer)
    return amount


def rate_of(said: dict[str, Any], running: Sequence[Any]) -> Rate:
    """The rate above the free units, and the fee above the free transactions.

    Shapes: `running` is what the transactions add up to, one by one, as far as some are free. While both the free
    number and the free amount last, a transaction is free; the one that uses the amount up pays its fee.
    """
    most, amount = (
        int(said.get("free_units_per_events") or 0),
        number(said.get("free_units_per_total_aggregation") or 0),
    )
    totals = [number(total) for total in running]
    ends = [most] if most else []
    ends += [sum(total < amount for total in totals)] if amount else []
    free = [amount] if amount or not most else []
    free += [totals[min(most or len(totals), len(totals)) - 1]] if totals and ends else []
    units = min(free, default=Fraction(0))
    per_unit = written(number(said["rate"]) / 100 / units.denominator)
    fee = Allowance(min(ends, default=0), written(number(said.get("fixed_amount") or 0)))
    return Rate(Allowance(units.numerator, per_unit), fee, units.denominator)
