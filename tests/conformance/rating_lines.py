"""The lines of a part of a period, as OpenMeter rates it: the way from the usage before, brought to its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from domain.money import rounded, scale
from domain.owed import to_bound
from domain.price import Allowance, Block, Flat, Graduated, PerUnit, Price, Step, Volume
from tests.conformance.prices import Ladder, written
from tests.conformance.verdict import Case, Forgiven, expect
from tests.conformance.words import cents, number

FIRST, LAST = ("only", "first_split"), ("only", "last_split")
Said = dict[str, Any]


class Shown(NamedTuple):
    """A line as the peer writes it. Units: unit price major, the rest minor but for the quantity."""

    unit_price: Fraction
    quantity: Fraction
    amount: int
    total: int


class Used(NamedTuple):
    """What was used: by the end of the part, and before it; None where nothing of the period was billed yet."""

    before: Fraction | None
    after: Fraction


def rating_lines(case: Case, forgiven: Forgiven) -> None:
    """What a part of the usage adds."""
    ours = [line for line in _lines(case) if line.amount]
    theirs = [_told_line(line, case["currency"]) for line in case["expected"]["lines"]]
    kept = [line for line in theirs if line.amount]
    forgiven["zero row"] += len(theirs) - len(kept)
    expect("lines", sorted(ours), sorted(kept))


def _told_line(line: Said, currency: str) -> Shown:
    amount = line.get("amount", line.get("charges_total", line["total"]))
    price, quantity = number(line["unit_price"]), number(line["quantity"])
    return Shown(price, quantity, cents(amount, currency), cents(line["total"], currency))


def _lines(case: Case) -> Iterator[Shown]:
    """One line for the units of a tier and one for entering it, each less its discount, up to the maximum."""
    currency, said, asked = case["currency"], case["price"], case["input"]
    spent = cents(_previously(asked), currency)
    for price, quantity in _priced(case):
        amount = cents(price * quantity, currency)
        total = amount - cents(price * quantity * _percent(asked) / 100, currency)
        total += _off(case, spent + total)
        spent += total
        yield Shown(price, quantity, amount, total)
    if said.get("minimum_amount") is not None and asked["line_position"] in LAST:
        missing = to_bound("minimum", cents(said["minimum_amount"], currency), spent)
        yield Shown(Fraction(missing, scale(currency)), Fraction(1), missing, missing)


def _priced(case: Case) -> Iterator[tuple[Fraction, Fraction]]:
    """Unit price and quantity of each line; an amount that is a multiple of the usage is one line of one."""
    price, finer = _price(case["price"])
    used = _used(case["input"])
    for step in _steps(case, price, finer, used):
        if "multiplier" in case["price"]:
            yield Fraction(cents(step.amount, case["currency"]), scale(case["currency"])), Fraction(1)
            continue
        lines = [(Fraction(step.unit) * finer, step.units / finer), (Fraction(step.flat), Fraction(1))]
        yield from reversed(lines) if isinstance(price, Volume) else lines


def _steps(case: Case, price: Price, finer: int, used: Used) -> list[Step]:
    position = case["input"]["line_position"]
    if isinstance(price, Flat):
        advance = case["price"]["payment_term"] == "InAdvancePaymentTerm"
        return price.steps(None, used.after) if position in (FIRST if advance else LAST) else []
    if isinstance(price, Volume):
        return price.steps(None, used.after * finer) if position in LAST else []
    return price.steps(None if used.before is None else used.before * finer, used.after * finer)


def _price(said: Said) -> tuple[Price, int]:
    """The price, and how many of its units are one of the peer's."""
    if "tiers" in said:
        ladder = Ladder(said["tiers"], "up_to")
        return (Volume if said["mode"] == "volume" else Graduated)(ladder.tiers), ladder.finer
    if "quantity_per_package" in said:
        return Block(said["quantity_per_package"], written(number(said["amount"]))), 1
    if "payment_term" in said:
        return Flat(written(number(said["amount"]))), 1
    rate = said.get("multiplier", said.get("amount"))
    return PerUnit(written(Fraction(1) if rate == "DecimalOne" else number(rate))), 1


def _used(asked: Said) -> Used:
    """The usage in the units that are billed, without what is free."""
    before, now = (_converted(asked, number(asked[name])) for name in ("quantity_before", "quantity"))
    free = _free(asked)
    allowance = Allowance(free.numerator, written(Fraction(0)))
    earlier, after = (allowance.above(units * free.denominator) / free.denominator for units in (before, before + now))
    first = asked["line_position"] in FIRST and not before
    return Used(None if first else earlier, after)


def _converted(asked: Said, units: Fraction) -> Fraction:
    """Metered units as those that are billed: what was used before, and now, is converted by itself."""
    said = asked.get("UnitConfig") if asked.get("UnitConfigEnabled", True) else None
    if not said:
        return units
    factor, digits = number(said["ConversionFactor"]), 10 ** int(said.get("Precision") or 0)
    units = units / factor if said["Operation"].endswith("Divide") else units * factor
    how = str(said.get("Rounding") or "None").removeprefix("UnitConfigRoundingMode")
    if how in ("None", ""):
        return units
    return Fraction(ROUNDINGS[how](units * digits), digits)


def _half_up(units: Fraction) -> int:
    return rounded(units.numerator, units.denominator)


ROUNDINGS = {"Ceiling": Block(1, written(Fraction(0))).blocks, "Floor": int, "HalfUp": _half_up}


def _discount(asked: Said, kind: str, field: str) -> Fraction:
    """A discount of a kind, however deep the case writes it."""
    said: Any = (asked.get("discounts") or {}).get(kind) or {}
    while isinstance(said, dict) and field not in said:
        said = next((one for one in said.values() if isinstance(one, dict)), None)
    return number(said[field]) if said else Fraction(0)


def _free(asked: Said) -> Fraction:
    return _discount(asked, "Usage", "Quantity")


def _percent(asked: Said) -> Fraction:
    return _discount(asked, "Percentage", "Percentage")


def _previously(asked: Said) -> Any:
    """What was billed before; a case may write it as a product."""
    said = asked.get("previously_billed") or 0
    if not isinstance(said, dict):
        return said
    product = Fraction(1)
    for factor in said["expr"].split("*"):
        product *= number(factor.strip())
    return product


def _off(case: Case, spent: int) -> int:
    most = case["price"].get("maximum_amount")
    return 0 if most is None else to_bound("maximum", cents(most, case["currency"]), spent)
