"""Kill Bill's catalog in our words: each phase of a plan is a package, each version of it a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from domain.grid import day_in_month, month_of
from domain.period import day as date_of
from tests.conformance.verdict import Case
from tests.conformance.words import day

MONTHS = {"MONTHS": 1, "YEARS": 12}
DAYS = {"DAYS": 1, "WEEKS": 7}
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

    def add_once(self, name: str, price: str, days: int = 1) -> Plan:
        """Takes in something that is sold once, for a day or some."""
        phase = {"type": "FIXEDTERM", "duration": {"unit": "DAYS", "n": days}, "fixed": price}
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
