"""Terms become charges, one for each period and piece of it, with the price they are at.

`due` says which of them fall due by the date of the run, so that what is due is always part of what is owed. Charges
that days do not divide (one-time, usage, top-ups, fixed discounts) are atomic and carry an occurrence. A charge does
not say whose it is, so that licenses with the same terms and quantity share it. Source: ADR-0009, ADR-0020, ADR-0038.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

import msgspec

from domain import price as prices
from domain.counting import DayCounts, levels, measures, units
from domain.errors import Invalid
from domain.events.documents import Ref
from domain.grid import axis, position
from domain.money import rounded, scale, share
from domain.package_version import Component, Counted, Counting, Fixed, Mode, PackageVersion
from domain.period import Span, intersection
from domain.terms import Discount, Stream, Terms

Counts = Callable[[str], DayCounts]
"""What is known of a counter of the license."""


FROM_THE_START: Sequence[Mode] = ("in_advance", "as_used")
"""Modes by which a period falls due on its first day."""
UNDISCOUNTED = Fraction(1)
ONCE = "once"
"""The rule and the occurrence of what is charged a single time."""


def uncounted(_: str) -> DayCounts:
    """The counts of what needs none."""
    return DayCounts()


class Rating(msgspec.Struct, frozen=True, eq=False):
    """What a piece of a period comes to, whosever it is.

    Shapes: service [start, end) inside the base [base_start, base_end); `occurrence` is empty where days divide it;
    `due` whether it falls due by the run's date; `as_used` whether other units at the same money leave what is billed
    as it is. Units: `price` exact minor units for the whole base.
    """

    key: str
    start: int
    end: int
    price: Fraction
    base_start: int
    base_end: int
    month_days: int
    quantity: Fraction
    due: bool
    text: str
    rule: str
    package: PackageVersion
    occurrence: str = ""
    reversible: bool = True
    as_used: bool = False

    def amount(self, start: int, end: int) -> int:
        """The price's share of some of its days, in minor units; an atomic charge is not divided."""
        return _amount(self, start, end)


@lru_cache(maxsize=16384)
def _amount(rating: Rating, start: int, end: int) -> int:
    if rating.occurrence:
        return rounded(rating.price.numerator, rating.price.denominator)
    return part(rating.price, rating.base_start, rating.base_end, rating.month_days, start, end)


class Charge(msgspec.Struct, frozen=True, eq=False):
    """One thing owed: the stream that it belongs to, what it comes to, and why.

    Shapes: `stream` and `reasons` with LICENSE and OWNER in place of names; the events that said what was counted are
    reasons too: those of `counted`, (counter, first day, end), which each license has its own of.
    """

    stream: Stream
    rating: Rating
    reasons: tuple[Ref, ...] = ()
    counted: tuple[tuple[str, int, int], ...] = ()


class Missing(msgspec.Struct, frozen=True):
    """A period that cannot be billed because nobody reported its count: reported as parked, never taken as zero."""

    stream: Stream
    counter: str
    start: int
    end: int


def part(price: Fraction, base_start: int, base_end: int, month_days: int, start: int, end: int) -> int:
    """The share of a full period's price that belongs to some of its days, rounded at the borders (ADR-0005)."""
    on = axis(base_start, base_end, month_days)
    zero = position(base_start, on)
    return share(price, position(start, on) - zero, position(end, on) - zero, position(base_end, on) - zero)


class Piece(msgspec.Struct, frozen=True, eq=False):
    """The days of one period that terms cover.

    Shapes: `window` are the days whose counts it is charged by; `k` counts the periods of the grid; `due` says whether
    it falls due by the run's date, `awaited` whether its counts are to be there by then: of what is charged as it is
    used, only when the period is over.
    """

    service: Span
    period: Span
    window: Span
    k: int
    due: bool
    awaited: bool


@lru_cache(maxsize=2048)
def pieces(terms: Terms, target: int, horizon: int) -> Sequence[Piece]:
    """The pieces of the grid's periods that the terms cover, in order."""
    reach = target + 1 if terms.component.mode in FROM_THE_START else target
    end = min(terms.end, max(horizon, reach))
    if terms.start >= end:
        return ()
    usage, mode = terms.component.charge == "usage", terms.component.mode
    awaited: Mode = "in_arrears" if usage else mode
    due: Mode = "as_used" if mode == "as_used" else awaited
    numbered = enumerate(terms.grid.periods(terms.start, end), start=terms.grid.index(terms.start))
    found = ((intersection(period, (terms.start, terms.end)), period, k) for k, period in numbered)
    return [
        Piece(
            service=service,
            period=period,
            window=_window(terms, service if usage else period),
            k=k,
            due=is_due(due, service, target),
            awaited=is_due(awaited, service, target),
        )
        for service, period, k in found
        if service
    ]


def _window(terms: Terms, days: Span) -> Span:
    """The days of service among those that are charged for: nobody is counted before it or after it."""
    return intersection(days, (terms.first, terms.last)) or days


def of_pieces(terms: Terms, pieces: Sequence[Piece], counts: Counts) -> Iterator[Charge | Missing]:
    """What a component is charged for pieces by themselves, or that nobody counted what one is charged by.

    Bounds and fixed amounts off need the charges of a whole period.
    """
    by_day = terms.component.charge == "usage" and is_by_day(terms.component)
    for piece, quantity in zip(pieces, _quantities(terms, [piece.window for piece in pieces], counts), strict=True):
        charge: Charge | Missing | None
        if quantity is None:
            charge = _lack(terms, piece, counts) if piece.awaited else None
        elif by_day:
            charge = _charge(terms, piece, quantity, _by_day(terms, counts, piece))
        else:
            charge = _priced(terms, piece, quantity.numerator, quantity.denominator)
        if charge is not None:
            yield charge


def one_time(terms: Terms, target: int) -> Charge:
    """What a component is charged that is charged once, when it begins."""
    return Charge(terms.stream, _one_time(terms, target), terms.reasons)


@lru_cache(maxsize=32768)
def _priced(terms: Terms, piece: Piece, numerator: int, denominator: int) -> Charge | None:
    """Found by two numbers, because a fraction is slow to find."""
    quantity = Fraction(numerator, denominator)
    return _charge(terms, piece, quantity, _price(terms, quantity))


def _charge(terms: Terms, piece: Piece, quantity: Fraction, price: Fraction) -> Charge | None:
    rating = _rated(terms, piece, quantity, price)
    if rating is None:
        return None
    return Charge(terms.stream, rating, terms.reasons, tuple([(of, *piece.period) for of in terms.component.counters]))


def _rated(terms: Terms, piece: Piece, quantity: Fraction, price: Fraction) -> Rating | None:
    usage, service = terms.component.charge == "usage", piece.service
    base = service if usage else _base(terms, service, piece.period)
    if base is None:
        return None
    factor = _discount_factor(terms, piece.k, piece.period) if terms.discounts else UNDISCOUNTED
    price = price if factor is UNDISCOUNTED else price * factor
    rule = _rule(terms, factor)
    return Rating(
        key=key(price, quantity, rule),
        start=service[0],
        end=service[1],
        price=price,
        base_start=base[0],
        base_end=base[1],
        month_days=terms.package.proration.month_days,
        quantity=quantity,
        due=piece.due,
        text=terms.component.name,
        rule=rule,
        package=terms.package,
        occurrence=f"{service[0]}" if usage else "",
        reversible=terms.component.reversible,
        as_used=terms.component.mode == "as_used",
    )


def is_due(mode: Mode, service: Span, target: int) -> bool:
    """Whether a piece falls due by the target: in advance or as used when it begins, in arrears when it has ended."""
    if mode in FROM_THE_START:
        return service[0] <= target
    return service[1] <= target if mode == "in_arrears" else service[0] < target


def _quantities(terms: Terms, windows: Sequence[Span], counts: Counts) -> Sequence[Fraction | None]:
    """The quantity of a component in each period: sold, counted (None by nobody), or at least what was committed."""
    rule = terms.component.quantity
    if isinstance(rule, Counted):
        return _counted(terms, rule, windows, counts)
    if isinstance(rule, Fixed):
        return [units(rule.quantity)] * len(windows)
    return [_free_of_nfr(terms, units(max(terms.declared, rule.minimum, terms.minimum)))] * len(windows)


def _counted(terms: Terms, rule: Counted, windows: Sequence[Span], counts: Counts) -> Sequence[Fraction | None]:
    found = measures(_counting(terms, rule.counter), counts(rule.counter), windows)
    if rule.or_counter:
        others = measures(_counting(terms, rule.or_counter), counts(rule.or_counter), windows)
        found = [_larger(one, other, rule.per) for one, other in zip(found, others, strict=True)]
    least = max(rule.minimum, terms.minimum)
    if least:
        found = [None if one is None else max(one, units(least)) for one in found]
    if terms.type == "nfr":
        found = [None if one is None else _free_of_nfr(terms, one) for one in found]
    return found


def _larger(one: Fraction | None, other: Fraction | None, per: int) -> Fraction | None:
    return None if one is None or other is None else max(one, Fraction(prices.ceiling(other / per)))


def _counting(terms: Terms, counter: str) -> Counting:
    counting = terms.package.counting(counter)
    if counting is None:
        raise Invalid(f"{terms.package.package} does not say how {counter} is counted")
    return counting


def _lack(terms: Terms, piece: Piece, counts: Counts) -> Missing:
    """Which counter it is that nobody counted."""
    counters = terms.component.counters
    lacking = (of for of in counters if measures(_counting(terms, of), counts(of), [piece.window]) == [None])
    return Missing(terms.stream, next(lacking), *piece.window)


def _free_of_nfr(terms: Terms, quantity: Fraction) -> Fraction:
    included = terms.package.nfr_included
    if terms.type != "nfr" or included is None:
        return quantity
    return max(quantity - included, Fraction(0))


def _price(terms: Terms, quantity: Fraction) -> Fraction:
    currency = terms.stream.currency
    price = _model(terms)
    return prices.amount(price, quantity, currency) if price else Fraction(0)


def _model(terms: Terms) -> prices.Price | None:
    """The price in the license's currency; None where a license that is not for resale has everything free."""
    if terms.type == "nfr" and terms.package.nfr_included is None:
        return None
    price = terms.component.prices.get(terms.stream.currency)
    if price is None:
        raise Invalid(f"{terms.stream.component} has no price in {terms.stream.currency}")
    return price


def is_by_day(component: Component) -> bool:
    """Whether units of usage are paid for the days that they were there."""
    return isinstance(component.quantity, Counted) and component.quantity.by_day


def _by_day(terms: Terms, counts: Counts, piece: Piece) -> Fraction:
    """What the units of a period cost, each paid for the days that it was there."""
    rule, service, period = terms.component.quantity, piece.service, piece.period
    days = axis(*period, terms.package.proration.month_days)
    assert isinstance(rule, Counted)
    least = max(rule.minimum, terms.minimum)
    held = [
        (position(day, days), _free_of_nfr(terms, Fraction(max(level, least) if least else level)))
        for day, level in levels(counts(rule.counter), *service)
    ]
    whole = position(period[1], days) - position(period[0], days)
    parts = prices.comings(held, position(service[1], days), whole)
    price = _model(terms)
    return prices.prorated(price, parts) * scale(terms.stream.currency) if price else Fraction(0)


def _base(terms: Terms, service: Span, period: Span) -> Span | None:
    """The days that the full price is for: the period, unless a policy gives a begun one whole or free.

    All pieces of a begun period have one base, so that a change inside it divides its price and adds nothing; unless a
    policy counts periods anew at each change: then what is between two changes is begun and ended by itself.
    """
    policy = terms.package.proration
    (start, end), (served, left) = period, intersection(period, (terms.first, terms.last)) or service
    leading = policy.leading if served > start else "prorate"
    trailing = policy.trailing if left < end else "prorate"
    if "free" in (leading, trailing):
        return None
    begun, ended = service if policy.grid_on_change == "always" else (served, left)
    if leading == "prorate" and begun > start and policy.leading_base == "shifted":
        return min(terms.grid.back(ended), begun), ended
    return served if leading == "full" else start, left if trailing == "full" else end


def _discount_factor(terms: Terms, k: int, period: Span) -> Fraction:
    factor = UNDISCOUNTED
    for discount in terms.discounts:
        if discount.percent is not None and holds(terms, discount, k, period):
            factor *= 1 - Fraction(discount.percent) / 100
    return factor


def holds(terms: Terms, discount: Discount, k: int, period: Span) -> bool:
    """Whether a discount holds in a period: counted in periods of the grid, never in invoices issued."""
    begins = max(period[0], terms.first)
    if not discount.start <= begins < discount.end:
        return False
    first = terms.grid.index(max(discount.start, terms.first))
    if max(terms.grid.border(first), terms.first) < discount.start:
        first += 1
    return not discount.periods or k < first + discount.periods


def key(price: Fraction | str, quantity: Fraction | str, rule: str) -> str:
    """What makes days the same to bill: the price of their whole base, for which quantity, by which model, how often.

    Shapes: as printed on a line, so that a line has its key in itself, whenever it was issued and however a catalog
    spells the price; of `rule` what comes before the comma, since when a charge falls due, and what a discount made of
    the price, leaves the days the same. Source: ADR-0040.
    """
    return f"{price} for {quantity}, {rule.partition(',')[0]}"


def _rule(terms: Terms, factor: Fraction) -> str:
    """How a price came about; lines are matched by what it says before the comma, so that this stays as it is."""
    name = type(terms.component.prices[terms.stream.currency]).__name__
    off = "" if factor is UNDISCOUNTED else f", {as_percent(1 - factor)} % off"
    return f"{name} per {terms.component.cadence}, {terms.component.mode}{off}"


def as_percent(factor: Fraction) -> str:
    """A factor as a percentage, in decimals where it has them, else as a fraction."""
    percent = factor * 100
    decimal = Decimal(percent.numerator) / Decimal(percent.denominator)
    return format(decimal.normalize(), "f") if Fraction(decimal) == percent else str(percent)


@lru_cache(maxsize=2048)
def _one_time(terms: Terms, target: int) -> Rating:
    (quantity,) = _quantities(terms, [(terms.start, terms.start + 1)], uncounted)
    assert isinstance(quantity, Fraction)
    price = _price(terms, quantity)
    return Rating(
        key=key(price, quantity, ONCE),
        start=terms.start,
        end=terms.start + 1,
        price=price,
        base_start=terms.start,
        base_end=terms.start + 1,
        month_days=0,
        quantity=quantity,
        due=is_due("in_advance", (terms.start, terms.start + 1), target),
        text=terms.component.name,
        rule=ONCE,
        package=terms.package,
        occurrence=ONCE,
        reversible=terms.component.reversible,
    )
