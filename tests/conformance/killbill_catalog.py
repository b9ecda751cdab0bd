"""Kill Bill's catalog in our words: each phase of a plan is a package, each version of it a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from domain.grid import MONTHLY, Cadence, day_in_month, month_of
from domain.package_version import Component, Counted, Counting, Declared, PackageVersion, Proration
from domain.period import day as date_of
from domain.price import Block, Flat, Graduated, PerUnit, Price, Stairstep, Tier, Volume
from tests.conformance.verdict import Case, NotExpressible
from tests.conformance.words import MODES, cadence, day, decimal

MONTHS = {"MONTHS": 1, "YEARS": 12}
DAYS = {"DAYS": 1, "WEEKS": 7}
LONG_AGO = date(2000, 1, 1)
SIMPLE = {"changePolicy": [{"policy": "IMMEDIATE"}], "cancelPolicy": [{"policy": "IMMEDIATE"}]}


class Refused(Exception):
    """What is asked for is not sold on that day."""


class Phase(NamedTuple):
    """A stretch of a plan with prices of its own, for a time or for good."""

    said: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.said["type"])

    def ends(self, start: date) -> date | None:
        """The first day after it; None when it has no end."""
        unit, length = self.said["duration"]["unit"], self.said["duration"].get("n", 0)
        if unit in MONTHS:
            return date_of(day_in_month(month_of(start.toordinal()) + length * MONTHS[unit], start.day))
        return date_of(start.toordinal() + length * DAYS[unit]) if unit in DAYS else None


class Plan(NamedTuple):
    """A plan as one version of the catalog has it, with the prices that one subscription has of its own.

    Shapes: `since` is the day from which subscriptions that already exist follow this version, if they do.
    """

    name: str
    version: int
    said: dict[str, Any]
    since: date | None
    own: tuple[tuple[str, str, str], ...] = ()

    @property
    def phases(self) -> list[Phase]:
        return [Phase(phase) for phase in self.said["phases"]]

    @property
    def product(self) -> str:
        return str(self.said["product"])

    @property
    def billing_period(self) -> str:
        """The last phase's, by which rules know a plan."""
        return str(self.said["phases"][-1].get("billing_period", "NO_BILLING_PERIOD"))

    def price(self, phase: int, what: str) -> str | None:
        """The fixed or the recurring price of a phase."""
        name = f"{self.name}-{self.phases[phase].kind.lower()}"
        written = next((value for at, kind, value in self.own if (at, kind) == (name, what)), None)
        return written if written is not None else self.said["phases"][phase].get(what)

    def package(self, phase: int) -> str:
        """The package that a phase is."""
        return "/".join([self.name, str(phase), *(f"{kind}={value}" for _, kind, value in self.own)])


class Catalog:
    """All versions of a catalog, and when each comes into force."""

    def __init__(self, case: Case) -> None:
        self.versions: Sequence[dict[str, Any]] = case["catalog_versions"] or [
            {"rules": {}, "plans": {}, "products": {}}
        ]
        self.plans: dict[str, list[Plan]] = {
            name: [self._plan(name, one) for one in (said if isinstance(said, list) else [said])]
            for name, said in case["plans"].items()
        }

    def _plan(self, name: str, said: dict[str, Any]) -> Plan:
        effective = [version.get("effective") for version in self.versions]
        number = effective.index(said["catalog_effective"]) if "catalog_effective" in said else 0
        since = said.get("effective_for_existing")
        return Plan(name, number + 1, said, day(since) if since else None)

    def add(self, name: str, product: str, billing_period: str, price: str) -> None:
        """Takes in a plan that was made on its own: from then on the catalog is one of such plans, with their rules."""
        evergreen = {"type": "EVERGREEN", "duration": {"unit": "UNLIMITED"}}
        phase = evergreen | {"billing_period": billing_period, "recurring": price}
        self.plans[name] = [Plan(name, 1, {"product": product, "mode": "IN_ADVANCE", "phases": [phase]}, None)]
        self.versions = [{"rules": SIMPLE, "plans": {}, "products": {}}]

    def add_once(self, name: str, price: str) -> Plan:
        """Takes in something that is sold once, for a day."""
        phase = {"type": "FIXEDTERM", "duration": {"unit": "DAYS", "n": 1}, "fixed": price}
        plan = Plan(name, 1, {"product": "", "mode": "IN_ADVANCE", "phases": [phase]}, None)
        self.plans[name] = [plan]
        return plan

    def named(self, product: str | None, billing_period: str | None) -> str | None:
        """The first plan of a product that is billed so often."""
        wanted = (product, billing_period)
        plans = (plan for versions in self.plans.values() for plan in versions)
        return next((plan.name for plan in plans if (plan.product, plan.billing_period) == wanted), None)

    def in_force(self, on: date) -> int:
        """The number of the version that holds on a day."""
        begun = [k for k, one in enumerate(self.versions, 1) if "effective" in one and day(one["effective"]) <= on]
        return begun[-1] if begun else 1

    def sold(self, name: str, on: date) -> Plan:
        """A plan as it is sold on a day.

        Raises: Refused when the version in force does not have it.
        """
        versions = self.plans.get(name, [])
        if len(self.versions) == 1 and versions:
            return versions[0]
        found = next((plan for plan in versions if plan.version == self.in_force(on)), None)
        if found is None:
            raise Refused(f"{name} is not sold on {on}")
        return found

    def has(self, plan: Plan, on: date) -> bool:
        """Whether the version in force still knows a plan."""
        known = self.versions[self.in_force(on) - 1].get("plans")
        return not known or plan.name in known

    def later(self, plan: Plan) -> list[Plan]:
        """The versions that a subscription to a plan will follow without being asked, with its own prices."""
        return [one._replace(own=plan.own) for one in self.plans[plan.name] if one.version > plan.version and one.since]

    def rule(self, name: str, on: date, outcome: str, otherwise: str, facts: Mapping[str, str]) -> str:
        """What the first rule says that holds for the facts."""
        for rule in self.versions[self.in_force(on) - 1]["rules"].get(name, ()):
            if all(facts.get(key) == value for key, value in rule.items() if key != outcome):
                return str(rule[outcome])
        return otherwise

    def category(self, plan: Plan) -> str:
        """Whether a plan is a base, an add-on or stands alone."""
        return str(self.versions[plan.version - 1]["products"].get(plan.product, "BASE"))


def package(plan: Plan, phase: int, currency: str, greedy: bool, month_days: int) -> PackageVersion:
    """The package that a phase of a plan is: what is paid once, what is paid per period, and what is used."""
    said, name = plan.said["phases"][phase], plan.package(phase)
    mode = MODES[plan.said["mode"].lower()]
    if mode == "in_arrears" and greedy:
        mode = "in_arrears_greedy"
    components, countings = [], []
    fixed, recurring = plan.price(phase, "fixed"), plan.price(phase, "recurring")
    if fixed is not None:
        price = {currency: Flat(decimal(fixed))}
        components.append(Component("fixed", "Fixed", price, charge="one_time", reversible=False))
    if recurring is not None:
        price = {currency: PerUnit(decimal(recurring))}
        components.append(Component(
            "recurring", "Recurring", price, quantity=Declared(), cadence=cadence(said["billing_period"]), mode=mode,
        ))  # fmt: skip
    for usage in said.get("usages", ()):
        unit, price_of_it, measure = _used(usage)
        components.append(Component(
            usage["name"], "Usage", {currency: price_of_it}, charge="usage", quantity=Counted(unit),
            cadence=_rhythm(usage), mode="in_arrears",
        ))  # fmt: skip
        countings.append(Counting(unit, measure))
    policy = Proration(month_days=month_days, usage_correction="up_only")
    return PackageVersion(
        name, plan.version, name, LONG_AGO, tuple(components), countings=tuple(countings), proration=policy
    )


def _rhythm(usage: Mapping[str, Any]) -> Cadence:
    return cadence(usage["billing_period"]) if usage.get("billing_period") else MONTHLY


def _used(usage: Mapping[str, Any]) -> tuple[str, Price, Any]:
    """What is counted of a usage, what it costs, and which quantity of a period is billed."""
    if usage["usage_type"] == "CAPACITY":
        limits = [(tier["limits"][0], tier["recurringPrice"]) for tier in usage["tiers"]]
        rungs = [(int(limit["max"]), decimal(_price(price))) for limit, price in limits]
        return limits[0][0]["unit"], Stairstep((NOTHING, *_open_at_last(rungs))), "peak"
    blocks = [block for tier in usage["tiers"] for block in tier["blocks"]]
    if len({block["unit"] for block in blocks}) > 1:
        raise NotExpressible("a tier of several units")
    return blocks[0]["unit"], _blocks(blocks, usage.get("tier_block_policy") or "ALL_TIERS"), "sum"


NOTHING = Tier(0)


def _price(written: Any) -> str:
    if isinstance(written, dict):
        raise NotExpressible("no price in the account's currency")
    return str(written)


def _open_at_last(rungs: Sequence[tuple[int, Decimal]]) -> list[Tier]:
    return [Tier(most, flat=flat) for most, flat in rungs[:-1]] + [Tier(None, flat=rungs[-1][1])]


def _blocks(blocks: Sequence[Mapping[str, Any]], policy: str) -> Price:
    """Units in blocks of a size: one size is a price of blocks, single units are tiers, else the stairs they make."""
    sizes = [int(block["size"]) for block in blocks]
    prices = [decimal(_price(block["prices"])) for block in blocks]
    most = [int(block["max"]) for block in blocks]
    if len(blocks) == 1 and sizes[0] > 1:
        return Block(sizes[0], prices[0])
    if set(sizes) == {1}:
        tops = [sum(most[: n + 1]) for n in range(len(most) - 1)]
        tiers = [Tier(top, unit=price) for top, price in zip([*tops, None], prices, strict=True)]
        return Volume(tuple(tiers)) if policy == "TOP_TIER" else Graduated(tuple(tiers))
    if policy == "TOP_TIER" or -1 in most:
        raise NotExpressible("blocks of several sizes without an end")
    return Stairstep(tuple(_stairs(sizes, prices, most)))


def _stairs(sizes: Sequence[int], prices: Sequence[Decimal], most: Sequence[int]) -> list[Tier]:
    """Each begun block is a step; above the last there is nothing, as the peer takes no more than that."""
    stairs, top, total = [NOTHING], 0, Decimal(0)
    for size, price, blocks in zip(sizes, prices, most, strict=True):
        for _ in range(blocks):
            top, total = top + size, total + price
            stairs.append(Tier(top, flat=total))
    return [*stairs[:-1], Tier(None, flat=total)]
