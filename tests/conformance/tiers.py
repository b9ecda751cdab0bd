"""Price models: what a quantity costs, in which tiers, and what a part of the usage adds to what was billed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from typing import Any

from domain.money import rounded
from domain.price import Block, Price, Step, Volume, ceiling, prorated
from tests.conformance.percentage import Rate, has_bounds, rate_of
from tests.conformance.prices import model_price
from tests.conformance.rating_lines import rating_lines
from tests.conformance.verdict import Case, Forgiven, NotExpressible, expect
from tests.conformance.words import number

Pair = tuple[Fraction, Fraction]


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of the family."""
    KINDS[case["kind"]](case, forgiven)


def _charge_model(case: Case, forgiven: Forgiven) -> None:
    if case["model"] == "percentage":
        _percentage(case)
        return
    price, finer = model_price(case["model"], case["properties"])
    units, whole = _units(case)
    total = _total(case, price, finer)
    paid = whole - price.included if isinstance(price, Block) else whole
    _amounts(case, total, max(paid, Fraction(0)))
    _details(case["expected"].get("amount_details") or {}, price, units * finer, whole, total, finer)


def _units(case: Case) -> Pair:
    """The units that are billed, and how many there are whatever part of the period each was there."""
    asked = case["input"]
    whole = asked.get("full_units_number")
    return number(asked["aggregation"]), number(asked["aggregation"] if whole is None else whole)


def _total(case: Case, price: Price, finer: int) -> Fraction:
    units, whole = _units(case)
    if case["model"] == "prorated_graduated":
        moved = list(_moved(case["input"]["per_event_aggregation"]))
        below = sum(came for came, _ in moved) < 0
        return Fraction(0) if below else prorated(price, [(came * finer, weight * finer) for came, weight in moved])
    if isinstance(price, Volume) and whole != units:
        return prorated(price, [(whole * finer, units * finer)])
    return sum((step.amount for step in price.steps(None, units * finer)), Fraction(0))


def _moved(events: dict[str, Any]) -> Iterator[Pair]:
    """The units that came and went, with what they weigh: what came and weighs nothing is not of the period, nor is its
    going."""
    level = Fraction(0)
    for came, weight in zip(events["event_aggregation"], events["event_prorated_aggregation"], strict=True):
        units, weighs = number(came), number(weight)
        if units and (weighs or (units < 0 <= level + units)):
            level += units
            yield units, weighs


def _amounts(case: Case, total: Fraction, units: Fraction) -> None:
    ours = {
        "amount": total,
        "unit_amount": total / units if units > 0 else Fraction(0),
        "total_aggregated_units": number(case["input"].get("total_aggregated_units", 0)),
    }
    for name, theirs in case["expected"].items():
        what, _, rounding = name.partition(".")
        if what in ours:
            expect(name, _rounded(ours[what], rounding), _rounded(number(theirs), rounding))


def _rounded(amount: Fraction, how: str) -> Fraction:
    """A number rounded as the case asks; else to nine digits, which is as exact as the cases are written."""
    digits = 10 ** int(found[1] or 0) if (found := re.fullmatch(r"round(?:\((\d+)\))?", how)) else 10**9
    if how.startswith("ceil"):
        return Fraction(ceiling(amount * 100), 100)
    return Fraction(rounded((amount * digits).numerator, (amount * digits).denominator), digits)


def _details(
    theirs: dict[str, Any], price: Price, units: Fraction, whole: Fraction, total: Fraction, finer: int
) -> None:
    """The amounts of each tier, where the peer tells them."""
    for name, value in theirs.items():
        if name.endswith("ranges"):
            ours = [_told(step, finer) for step in price.steps(None, units)]
            for mine, row in zip(ours, value, strict=True):
                for word in mine.keys() & row.keys():
                    expect(word, mine[word], number(row[word]))
    if isinstance(price, Volume) and theirs:
        flat = sum(Fraction(step.flat) for step in price.steps(None, whole * finer))
        expect("flat", flat, number(theirs["flat_unit_amount"]))
        expect("for units", total - flat, number(theirs["per_unit_total_amount"]))
    if isinstance(price, Block) and theirs:
        expect("paid", max(units - price.included, Fraction(0)), number(theirs["paid_units"]))


def _told(step: Step, finer: int) -> dict[str, Fraction]:
    return {
        "units": step.units / finer,
        "flat_unit_amount": Fraction(step.flat),
        "per_unit_total_amount": step.for_units,
        "total_with_flat_amount": step.amount,
    }


def _percentage(case: Case) -> None:
    """A rate on what is above the free amount, and a fee for every transaction after the free ones."""
    said, asked = case["properties"], case["input"]
    units, whole = _units(case)
    if has_bounds(said):
        values = _values(asked)
        rate = rate_of(said, list(accumulate(map(number, values))))
        _amounts(case, sum(rate.each(said, values), Fraction(0)), whole)
        return
    rate, count = rate_of(said, (asked.get("options") or {}).get("running_total") or []), int(asked.get("count") or 0)
    _amounts(case, rate.whole(units, count if units else 0), whole)
    _free(case["expected"].get("amount_details") or {}, rate, units, count)


def _values(asked: dict[str, Any]) -> list[Any]:
    """What each transaction came to."""
    said = asked.get("per_event_aggregation")
    if said is None:
        raise NotExpressible("bounds of transactions that are not told")
    return list(said["event_aggregation"] if isinstance(said, dict) else said)


def _free(theirs: dict[str, Any], rate: Rate, units: Fraction, count: int) -> None:
    """How many units and transactions are free, where the peer tells it."""
    ours = {
        "free_events": Fraction(min(rate.fee.included, count)),
        "paid_events": rate.fee.above(Fraction(count)),
        "free_units": Fraction(rate.of.included, rate.finer),
        "paid_units": rate.of.above(units * rate.finer) / rate.finer,
    }
    for name, mine in ours.items():
        if name in theirs:
            expect(name, mine, number(theirs[name]))


KINDS = {"charge_model": _charge_model, "rating_lines": rating_lines}
