"""What a well-formed package may still say wrongly: references to nothing, tiers that fall, prices too fine."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from domain import credit_rule
from domain.counting import Rules
from domain.errors import Invalid
from domain.grid import Cadence
from domain.ladder import faults
from domain.money import exponent, minor
from domain.owed import BOUNDS
from domain.package_version import Component, Counted, Counting, PackageVersion
from domain.price import Allowance, Block, Flat, Graduated, Price, Stairstep, Volume, check_tiers

Fault = tuple[str, str, str]
"""Where (below the package), what, and the code."""


def senseless(version: PackageVersion) -> Iterator[Fault]:
    """Everything in a package that cannot be meant."""
    currencies = [set(component.prices) for component in version.components]
    for component in version.components:
        yield from _component(version, component, set.union(*currencies))
    for counting in version.countings:
        yield from _counting(counting)
        if counting.measure == "distinct" and version.proration.cycle_day_from != "calendar":
            where = f"counters.{counting.counter}.measure"
            yield where, "distinct is counted for calendar months: proration needs billing_day_from: calendar", "shape"
    for limit in version.limits:
        if limit.counter and version.counting(limit.counter) is None:
            yield f"limits.{limit.name}.counter", f"there is no counter {limit.counter}", "reference"
        if limit.hard is not None and isinstance(limit.value, int) and limit.hard < limit.value:
            yield f"limits.{limit.name}.hard", "the hard limit is below the soft one", "range"
    if version.term_months and version.trial_days > 28 * version.term_months:
        yield "trial", "the trial is longer than the term", "range"
    if version.dunning:
        yield from ((f"dunning.{where}", what, code) for where, what, code in faults(version.dunning))
    if version.credit:
        yield from ((f"credit.{where}", what, "range") for where, what in credit_rule.faults(version.credit))


def _component(version: PackageVersion, component: Component, currencies: set[str]) -> Iterator[Fault]:
    where = f"components.{component.id}"
    if missing := sorted(currencies - set(component.prices)):
        yield f"{where}.price", f"has no price in {', '.join(missing)}, which other components have", "currency"
    for currency, price in component.prices.items():
        yield from _price(f"{where}.price.{currency}", currency, price)
    if component.charge in BOUNDS and not all(isinstance(price, Flat) for price in component.prices.values()):
        yield f"{where}.price", f"a {component.charge} is a flat amount", "shape"
    quantity = component.quantity
    if component.charge == "usage" and not isinstance(quantity, Counted):
        yield f"{where}.quantity", "usage is counted", "shape"
    if component.mode == "as_used":
        yield from _as_used(version, component, where)
    if isinstance(quantity, Counted):
        if component.charge in ("one_time", *BOUNDS):
            yield f"{where}.quantity", f"a {component.charge} charge cannot be counted", "shape"
        if quantity.by_day and (component.charge != "usage" or quantity.or_counter):
            yield f"{where}.quantity", "only usage of one counter is paid by day", "shape"
        for name in component.counters:
            if version.counting(name) is None:
                yield f"{where}.quantity", f"there is no counter {name}", "reference"


def _as_used(version: PackageVersion, component: Component, where: str) -> Iterator[Fault]:
    """Every run takes back what is billed of such a period, and needs a count of what it has come to so far."""
    correction = version.proration.usage_correction
    if component.charge != "usage":
        yield f"{where}.bill", "only usage is billed as used", "shape"
    if not component.reversible:
        yield f"{where}.refundable", "each run takes back what was billed as used, to bill what is used by now", "shape"
    if correction == "never":
        yield f"{where}.bill", "what is never corrected cannot be billed as used: more could not follow", "shape"
    bounds = [one for one in version.components if one.charge in BOUNDS]
    for bound in bounds:
        if bound.charge == "maximum":
            yield f"{where}.bill", f"{bound.id} is a maximum: what it caps is billed in arrears", "shape"
        elif _length(bound.cadence) < _length(component.cadence):
            yield f"{where}.every", f"is longer than that of {bound.id}, which tops it up", "shape"
    if correction == "up_only" and bounds:
        yield f"{where}.bill", "a minimum needs usage_corrections: both ways to follow it", "shape"
    if any(one.measure == "distinct" for one in filter(None, map(version.counting, component.counters))):
        yield f"{where}.bill", "distinct is known when its month is over: bill it in arrears", "shape"


def _length(cadence: Cadence) -> int:
    return 30 * cadence.months + cadence.days


def _price(where: str, currency: str, price: Price) -> Iterator[Fault]:
    try:
        exponent(currency)
    except Invalid as error:
        yield where, str(error), "currency"
        return
    amounts: list[Decimal] = []
    match price:
        case Flat():
            amounts = [price.amount]
        case Block():
            amounts = [price.price]
        case Allowance():
            amounts = [price.flat]
        case Graduated() | Volume() | Stairstep():
            amounts = [tier.flat for tier in price.tiers]
            if wrong := check_tiers(price.tiers):
                yield where, wrong, "tiers"
    for amount in amounts:
        try:
            minor(amount, currency)
        except Invalid as error:
            yield where, str(error), "decimals"


def _counting(counting: Counting) -> Iterator[Fault]:
    where = f"counters.{counting.counter}"
    try:
        Rules(counting)
    except Invalid as error:
        yield f"{where}.fold", str(error), "circle"
    for number, exclusion in enumerate(counting.exclusions):
        if exclusion.start and exclusion.end and exclusion.end <= exclusion.start:
            yield f"{where}.exclude[{number}].until", "ends before it begins", "range"
    for number, fold in enumerate(counting.folds):
        if fold.start and fold.end and fold.end <= fold.start:
            yield f"{where}.fold[{number}].until", "ends before it begins", "range"
