"""What is owed: the charges of all terms, brought to their minimum or maximum, less the fixed discounts.

`charges` gives everything that the history implies up to a horizon. What depends on the amounts of a whole period comes
last, and only where nothing of the period is missing. Source: ADR-0009.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from domain import price as prices
from domain.charge import (
    Charge,
    Counts,
    Missing,
    Piece,
    Rating,
    holds,
    is_due,
    key,
    of_pieces,
    one_time,
    part,
    pieces,
    uncounted,
)
from domain.money import scale
from domain.package_version import Counted
from domain.period import Span, Touching, intersection
from domain.terms import Discount, Terms

BOUNDS = ("minimum", "maximum")
"""Components that bring the others of their package to an amount."""

Blocked = set[tuple[UUID, int, int]]
"""Periods of a license whose final amounts are not known, because a count is missing."""


def charges(terms: Iterable[Terms], counts: Counts, target: int, horizon: int) -> tuple[list[Charge], list[Missing]]:
    """Everything owed for service that begins before the horizon or by the target, and what could not be told.

    Shapes: ordinals; `target` is the run's date, inclusive; sorted by stream and day.
    """
    owed: list[Charge] = []
    missing: list[Missing] = []
    plan = _planned(tuple(terms), target, horizon)
    for planned in plan.plain:
        if isinstance(planned, Charge):
            owed.append(planned)
        else:
            for found in of_pieces(*planned, counts):
                if isinstance(found, Charge):
                    owed.append(found)
                else:
                    missing.append(found)
    if plan.bounds or plan.discounted:
        blocked = {(lack.stream.license, lack.start, lack.end) for lack in missing}
        for bound in plan.bounds:
            owed.extend(list(_to_bounds(bound, owed, blocked, target, horizon)))
        owed.extend([off for one in plan.discounted for off in _fixed_discounts(one, owed, blocked, target)])
    return owed, missing


class _Plan(NamedTuple):
    """What is charged up to a day, in order: each by itself, then what needs all others, then fixed amounts off.

    Shapes: `plain` holds terms with their pieces that are to be counted, and charges that need no count.
    """

    plain: Sequence[Charge | tuple[Terms, Sequence[Piece]]]
    bounds: Sequence[Terms]
    discounted: Sequence[Terms]


@lru_cache(maxsize=16384)
def _planned(terms: tuple[Terms, ...], target: int, horizon: int) -> _Plan:
    once = _once(terms)
    return _Plan(
        [planned for one in once if one.component.charge not in BOUNDS for planned in _plain(one, target, horizon)],
        [one for one in once if one.component.charge in BOUNDS],
        [one for one in once if any(discount.amount is not None for discount in one.discounts)],
    )


def _plain(terms: Terms, target: int, horizon: int) -> Iterator[Charge | tuple[Terms, Sequence[Piece]]]:
    if terms.component.charge == "one_time":
        if terms.start < max(horizon, target + 1):
            yield one_time(terms, target)
    elif isinstance(terms.component.quantity, Counted):
        if counted := pieces(terms, target, horizon):
            yield terms, counted
    else:
        found = of_pieces(terms, pieces(terms, target, horizon), uncounted)
        yield from (charge for charge in found if isinstance(charge, Charge))


def _once(all_terms: Sequence[Terms]) -> list[Terms]:
    """The terms, with one-time components only where they begin: whoever pays, they are charged once."""
    begun = dict[tuple[UUID, str], Terms]()
    for piece in all_terms:
        if piece.component.charge == "one_time":
            name = (piece.stream.license, piece.stream.component)
            begun[name] = min(begun.get(name, piece), piece, key=lambda found: found.start)
    return [
        piece
        for piece in all_terms
        if piece.component.charge != "one_time" or begun[piece.stream.license, piece.stream.component] is piece
    ]


def _to_bounds(terms: Terms, owed: Sequence[Charge], blocked: Blocked, target: int, horizon: int) -> Iterator[Charge]:
    """What brings a package to its minimum or maximum, per period, once everything else of the period is known."""
    currency, bound = terms.stream.currency, terms.component.charge
    price = prices.amount(terms.component.prices[currency], Fraction(1), currency)
    others = _Reached([charge.rating for charge in owed if _of_package(charge, terms)])
    for piece in pieces(terms, target, horizon):
        service, period = piece.service, piece.period
        if any(start < service[1] and service[0] < end for _, start, end in blocked):
            continue
        limit = part(price, *period, terms.package.proration.month_days, *service)
        rating = _atomic(
            terms, service, to_bound(bound, limit, others.by(service)), target, bound, terms.component.name
        )
        yield Charge(terms.stream, rating, terms.reasons)


def to_bound(bound: str, limit: int, reached: int) -> int:
    """What is added to an amount that is below its minimum, or taken off one that is above its maximum."""
    return max(limit - reached, 0) if bound == "minimum" else min(limit - reached, 0)


def _of_package(charge: Charge, terms: Terms) -> bool:
    return charge.stream.component.startswith(f"{terms.package.package}/") and charge.stream != terms.stream


class _Reached:
    """What charges come to in one period or another."""

    def __init__(self, ratings: Iterable[Rating]) -> None:
        self._ratings = sorted(ratings, key=lambda rating: rating.start)
        self._touching = Touching([one.start for one in self._ratings], [one.end for one in self._ratings])

    def by(self, service: Span) -> int:
        return sum(_inside(rating, service) for rating in self._ratings[self._touching.among(*service)])


def _inside(rating: Rating, service: Span) -> int:
    if rating.occurrence:
        return rating.amount(rating.start, rating.end) if service[0] <= rating.start < service[1] else 0
    days = intersection((rating.start, rating.end), service)
    return rating.amount(*days) if days else 0


def _atomic(terms: Terms, service: Span, amount: int, target: int, rule: str, text: str) -> Rating:
    return Rating(
        key=key(Fraction(amount), Fraction(1), rule),
        start=service[0],
        end=service[1],
        price=Fraction(amount),
        base_start=service[0],
        base_end=service[1],
        month_days=0,
        quantity=Fraction(1),
        due=is_due("in_arrears", service, target),
        text=text,
        rule=rule,
        package=terms.package,
        occurrence=f"{service[0]}",
    )


def _fixed_discounts(terms: Terms, owed: Sequence[Charge], blocked: Blocked, target: int) -> Iterator[Charge]:
    """Amounts off per period, owed in arrears from the final amounts of the period and never more than they are."""
    for discount in terms.discounts:
        if discount.amount is not None:
            yield from _amount_off(terms, discount, owed, blocked, target)


def _amount_off(
    terms: Terms, discount: Discount, owed: Sequence[Charge], blocked: Blocked, target: int
) -> Iterator[Charge]:
    own = [charge.rating for charge in owed if charge.stream == terms.stream]
    stream = terms.stream._replace(component=f"{terms.stream.component}~{discount.id}")
    off = Fraction(discount.amount or 0) * scale(terms.stream.currency)
    bounds, reached = (own[0].start, own[-1].end) if own else (0, 0), _Reached(own)
    for piece in pieces(terms, bounds[0], bounds[1]):
        service, period = piece.service, piece.period
        covered = any(start < service[1] and service[0] < end for _, start, end in blocked)
        if covered or not holds(terms, discount, piece.k, period):
            continue
        full = part(off, *period, terms.package.proration.month_days, *service)
        rating = _atomic(terms, service, -min(full, max(reached.by(service), 0)), target, "amount off", "Discount")
        yield Charge(stream, rating, terms.reasons)
