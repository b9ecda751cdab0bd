"""Price models: what a quantity costs, in which tiers, and what a part of the usage adds to what was billed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple

from domain.money import rounded
from domain.owed import to_bound
from domain.price import Allowance, Block, Flat, Graduated, PerUnit, Price, Step, Tier, Volume, ceiling, prorated
from tests.conformance.verdict import Case, Forgiven, NotExpressible, expect
from tests.conformance.words import cents, number


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of the family."""
    KINDS[case["kind"]](case, forgiven)


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


def model_price(model: str, said: dict[str, Any]) -> tuple[Price, int]:
    """The price, and how many of its units are one of the peer's."""
    if model in ("graduated", "prorated_graduated", "volume", "graduated_percentage"):
        ranges = next(said[name] for name in said if name.endswith("ranges"))
        ladder = Ladder(ranges, scale=100 if model == "graduated_percentage" else 1)
        return (Volume if model == "volume" else Graduated)(ladder.tiers), ladder.finer
    if model == "package":
        return Block(said["package_size"], written(number(said["amount"])), int(said["free_units"] or 0)), 1
    if model == "standard":
        return PerUnit(written(number(said["amount"]))), 1
    if model == "allowance":
        return Allowance(said["included"], written(number(said["amount"]))), 1
    raise NotExpressible(f"no price model {model}")


def _charge_model(case: Case, forgiven: Forgiven) -> None:
    if case["model"] == "percentage":
        _percentage(case)
        return
    price, finer = model_price(case["model"], case["properties"])
    asked = case["input"]
    units = number(asked["aggregation"])
    whole = number(asked.get("full_units_number", asked["aggregation"]))
    if case["model"] == "prorated_graduated":
        events = asked["per_event_aggregation"]
        pairs = zip(events["event_aggregation"], events["event_prorated_aggregation"], strict=True)
        total = prorated(price, [(number(came) * finer, number(weight) * finer) for came, weight in pairs])
    elif isinstance(price, Volume) and whole != units:
        total = prorated(price, [(whole * finer, units * finer)])
    else:
        total = sum((step.amount for step in price.steps(None, units * finer)), Fraction(0))
    paid = max(whole - price.included, Fraction(0)) if isinstance(price, Block) else max(whole, Fraction(0))
    _amounts(case, total, paid)
    _details(case["expected"].get("amount_details", {}), price, units * finer, whole, total, finer)


def _amounts(case: Case, total: Fraction, units: Fraction) -> None:
    ours = {
        "amount": total,
        "unit_amount": total / units if units else Fraction(0),
        "total_aggregated_units": number(case["input"].get("total_aggregated_units", 0)),
    }
    for name, theirs in case["expected"].items():
        what, _, rounding = name.partition(".")
        if what in ours:
            expect(name, _rounded(ours[what], rounding), _rounded(number(theirs), rounding))


def _rounded(amount: Fraction, how: str) -> Fraction:
    """A number rounded as the case asks; else to nine digits, which is as exact as the cases are written."""
    digits = 100 if how == "round(2)" else 10**9
    if how == "ceil":
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
    if said["per_transaction_max_amount"] or said["per_transaction_min_amount"]:
        raise NotExpressible("a least or most amount of each transaction")
    rate, fee = allowances(said, asked.get("options", {}).get("running_total", []))
    units = number(asked["aggregation"])
    count = Fraction(asked["count"] if units else 0)
    total = sum(step.amount for price, of in ((rate, units), (fee, count)) for step in price.steps(None, of))
    _amounts(case, Fraction(total), units)
    details = case["expected"].get("amount_details", {})
    for name, ours in (("free_events", fee.included), ("paid_units", rate.above(units)), ("free_units", rate.included)):
        if name in details:
            expect(name, Fraction(ours), number(details[name]))


def allowances(said: dict[str, Any], running: Sequence[Any]) -> tuple[Allowance, Allowance]:
    """The rate above the free units, and the fee above the free transactions; `running` is what they add up to."""
    free, events = said.get("free_units_per_total_aggregation"), _free_events(said, running)
    if events and said.get("free_units_per_events") and events == said["free_units_per_events"]:
        free = min(number(free or running[events - 1]), number(running[events - 1]))
    rate = Allowance(int(number(free or 0)), written(number(said["rate"]) / 100))
    return rate, Allowance(events, written(number(said.get("fixed_amount") or 0)))


def _free_events(said: dict[str, Any], running: Sequence[Any]) -> int:
    """How many transactions are free: while both the free number and the free amount last."""
    most, amount = said.get("free_units_per_events"), said.get("free_units_per_total_aggregation")
    within = sum(number(total) <= number(amount) for total in running) if amount else len(running)
    return min(most, within) if most else (within if amount else 0)


LAST = ("only", "last_split")


class Shown(NamedTuple):
    """A line as the peer writes it. Units: unit price major, the rest minor but for the quantity."""

    unit_price: Fraction
    quantity: Fraction
    amount: int
    total: int


def _rating_lines(case: Case, forgiven: Forgiven) -> None:
    """What a part of the usage adds: the way from the quantity before, brought to the minimum or maximum."""
    if case["input"].get("discounts"):
        raise NotExpressible("units taken off after they were made into blocks")
    ours = [line for line in _lines(case) if line.amount]
    theirs = [_told_line(line, case["currency"]) for line in case["expected"]["lines"]]
    kept = [line for line in theirs if line.amount]
    forgiven["zero row"] += len(theirs) - len(kept)
    expect("lines", sorted(ours), sorted(kept))


def _told_line(line: dict[str, Any], currency: str) -> Shown:
    amount = line.get("amount", line.get("charges_total", line["total"]))
    price, quantity = number(line["unit_price"]), number(line["quantity"])
    return Shown(price, quantity, cents(amount, currency), cents(line["total"], currency))


def _lines(case: Case) -> Iterator[Shown]:
    """One line for the units of a tier and one for entering it, each less what is above the maximum."""
    currency, said = case["currency"], case["price"]
    spent = cents(_previously(case["input"]), currency)
    for price, quantity in _priced(_steps(case), case["model"]):
        amount = cents(price * quantity, currency)
        total = amount + _off(case, spent + amount)
        spent += total
        yield Shown(price, quantity, amount, total)
    if "minimum_amount" in said and case["input"]["line_position"] in LAST:
        missing = to_bound("minimum", cents(said["minimum_amount"], currency), spent)
        yield Shown(Fraction(missing, 100), Fraction(1), missing, missing)


def _priced(steps: Sequence[Step], model: str) -> Iterator[tuple[Fraction, Fraction]]:
    """Unit price and quantity of each line; an amount that is a multiple of the usage is one line of one."""
    for step in steps:
        if model == "dynamic":
            yield Fraction(rounded((step.amount * 100).numerator, (step.amount * 100).denominator), 100), Fraction(1)
            continue
        yield Fraction(step.unit), step.units
        yield Fraction(step.flat), Fraction(1)


def _previously(asked: dict[str, Any]) -> Any:
    """What was billed before; a case may write it as a product."""
    said = asked.get("previously_billed", 0)
    if not isinstance(said, dict):
        return said
    product = Fraction(1)
    for factor in said["expr"].split("*"):
        product *= number(factor.strip())
    return product


def _off(case: Case, spent: int) -> int:
    most = case["price"].get("maximum_amount")
    return 0 if most is None else to_bound("maximum", cents(most, case["currency"]), spent)


def _steps(case: Case) -> list[Step]:
    asked, said, model = case["input"], case["price"], case["model"]
    quantity, earlier = number(asked["quantity"]), number(asked["quantity_before"])
    billed = earlier or number(_previously(asked))
    before = earlier if billed else None
    if model == "flat":
        return Flat(written(number(said["amount"]))).steps(None, quantity) if _billed_now(said, asked) else []
    if model == "volume":
        ladder = Ladder(said["tiers"], "up_to")
        return Volume(ladder.tiers).steps(None, earlier + quantity) if asked["line_position"] in LAST else []
    if model == "graduated":
        ladder = Ladder(said["tiers"], "up_to")
        return Graduated(ladder.tiers).steps(before, earlier + quantity)
    return _unit_price(case).steps(before, earlier + quantity)


def _billed_now(said: dict[str, Any], asked: dict[str, Any]) -> bool:
    """A flat amount is billed once: with the first part in advance, with the last in arrears."""
    if said["payment_term"] == "InAdvancePaymentTerm":
        return asked["line_position"] in ("only", "first_split")
    return asked["line_position"] in LAST


def _unit_price(case: Case) -> Price:
    said, model, asked = case["price"], case["model"], case["input"]
    if model == "package":
        return Block(said["quantity_per_package"], written(number(said["amount"])))
    if model == "dynamic":
        return PerUnit(Decimal(1) if said["multiplier"] == "DecimalOne" else written(number(said["multiplier"])))
    conversion = asked.get("UnitConfig") if asked.get("UnitConfigEnabled") else None
    if conversion is None:
        return PerUnit(written(number(said["amount"])))
    if conversion["Operation"].endswith("Divide") and conversion["Rounding"].endswith("Ceiling"):
        return Block(int(conversion["ConversionFactor"]), written(number(said["amount"])))
    raise NotExpressible(f"units converted by {conversion['Operation']}, rounded by {conversion['Rounding']}")


KINDS = {"charge_model": _charge_model, "rating_lines": _rating_lines}
