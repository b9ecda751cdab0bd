"""Lago's plans as packages: the fee, the charges and the commitment of a plan are components of one package."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from domain.grid import MONTHLY, Cadence
from domain.package_version import Component, Counted, Counting, Declared, Mode, PackageVersion, Proration
from domain.price import Flat, PerUnit, Price
from tests.conformance.lago.records import Records, Row, in_advance, kind_of, measure_of
from tests.conformance.lago.slices import charge_of, slices
from tests.conformance.prices import at_rate, model_price, written
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import cadence, number

BEGINNING = date(2000, 1, 1)
"""Before everything that a case tells."""
INTERVALS = ("weekly", "monthly", "quarterly", "yearly")
DEFAULTS: dict[str, Row] = {
    "graduated": {
        "graduated_ranges": [
            {"from_value": 0, "to_value": 10, "per_unit_amount": "0", "flat_amount": "200"},
            {"from_value": 11, "to_value": None, "per_unit_amount": "0", "flat_amount": "300"},
        ]
    },
    "package": {"amount": "100", "free_units": 10, "package_size": 10},
}
"""What a charge costs whose record does not say."""


Part = tuple[Component, Counting | None]


class Sold(NamedTuple):
    """A plan as it is sold: billed by the calendar or from the day that it began."""

    records: Records
    plan: Row
    calendar: bool

    @property
    def rhythm(self) -> Cadence:
        traits = [trait for trait in self.plan.get("traits", ()) if trait in INTERVALS]
        return cadence(self.plan.get("interval", [*traits, "monthly"][0]))

    @property
    def in_advance(self) -> bool:
        return bool(self.plan.get("pay_in_advance", "pay_in_advance" in self.plan.get("traits", ())))

    @property
    def currency(self) -> str:
        return str(self.plan.get("amount_currency", "EUR"))

    def yearly(self) -> Fraction:
        """What it costs in a year, by which a dearer plan is told from a cheaper one."""
        rhythm = self.rhythm
        times = Fraction(12, rhythm.months) if rhythm.months else Fraction(52 * 7, rhythm.days)
        return number(self.plan.get("amount_cents", 100)) * times

    def charges(self) -> list[Row]:
        """What it charges for beside the fee, a row for each component: usage and units that were ordered; a commitment
        waits for all of them."""
        awaited = bool(self.records.of(self.plan, "commitment"))
        parts = [part for row in self.records.of(self.plan, "charge") for part in slices(self.records, row)]
        return [{**part, "awaited": awaited} for part in parts]

    def fixed(self) -> list[Row]:
        """What is charged for units that were ordered."""
        return [row for row in self.charges() if kind_of(row["ref"]) == "fixed_charge"]

    def version(self, number: int, trial: bool = False) -> PackageVersion:
        """The package that says the same; in a trial it has neither fee nor commitment."""
        parts: list[Part] = [self._component(row) for row in self.charges()]
        if not trial:
            parts = [self._fee(), *parts, *map(self._least, self.records.of(self.plan, "commitment"))]
        policy = Proration(
            cycle_day_from="calendar" if self.calendar else "license", grid_on_change="continue",
            usage_correction="up_only",
        )  # fmt: skip
        name = str(self.plan["ref"]) + ("" if self.calendar else " by anniversary")
        return PackageVersion(
            name, number, name, BEGINNING, tuple(component for component, _ in parts), proration=policy,
            countings=tuple(counting for _, counting in parts if counting),
        )  # fmt: skip

    def _fee(self) -> Part:
        prices: dict[str, Price] = {self.currency: Flat(_major(self.plan.get("amount_cents", 100)))}
        return Component("fee", "Fee", prices, cadence=self.rhythm, mode=_mode(self.in_advance)), None

    def _least(self, row: Row) -> Part:
        prices: dict[str, Price] = {self.currency: Flat(_major(row["amount_cents"]))}
        name = row["ref"]
        return Component(name, name, prices, charge="minimum", cadence=self.rhythm, mode="in_arrears"), None

    def _component(self, row: Row) -> Part:
        return self._fixed(row) if kind_of(row["ref"]) == "fixed_charge" else self._usage(row)

    def _fixed(self, row: Row) -> Part:
        """Units that were ordered: divided by days, or whole for the most of them that a period has had so far, or for
        those that it ended with."""
        prices, name, advance = {self.currency: price_of(row)}, row["ref"], bool(row.get("pay_in_advance"))
        rhythm = MONTHLY if self.plan.get("bill_fixed_charges_monthly") else self.rhythm
        if row.get("prorated"):
            return Component(name, name, prices, quantity=Declared(), cadence=rhythm, mode=_mode(advance)), None
        mode: Mode = "as_used" if advance else "in_arrears"
        component = Component(name, name, prices, "usage", Counted(name), rhythm, mode)
        return component, Counting(name, "peak" if advance else "last")

    def _usage(self, row: Row) -> Part:
        """What was used: whole per period, or each unit for the days that it was there."""
        if row.get("min_amount_cents"):
            raise NotExpressible("a minimum of one charge")
        name, price = row["ref"], self._converted(row)
        prices, rhythm = {self.currency: price}, MONTHLY if self.plan.get("bill_charges_monthly") else self.rhythm
        measure = "sum" if row.get("counts") else measure_of(self.records.metric(row))
        if in_advance(row):
            counted = Counted(name, by_day=bool(row.get("prorated")))
            component = Component(name, name, prices, "usage", counted, rhythm, "as_used")
            return component, Counting(name, "sum" if row.get("counts") else "peak")
        if row.get("prorated") and isinstance(price, PerUnit):
            average = Component(name, name, prices, quantity=Counted(name), cadence=rhythm, mode="in_arrears")
            return average, Counting(name, "average")
        quantity = Counted(name, by_day=bool(row.get("prorated")))
        component = Component(name, name, prices, charge="usage", quantity=quantity, cadence=rhythm)
        return component, Counting(name, measure)

    def _converted(self, row: Row) -> Price:
        """The price of a charge; one in a unit of account, which has a fixed rate, is one in the currency."""
        price = price_of(row)
        for applied in self.records.ending("applied_pricing_unit"):
            if applied["pricing_unitable"] == charge_of(row["ref"]):
                return at_rate(price, number(applied["conversion_rate"]))
        return price


def _mode(in_advance: bool) -> Mode:
    return "in_advance" if in_advance else "in_arrears"


def _major(cents: object) -> Decimal:
    return written(number(cents) / 100)


def model_of(row: Row) -> str:
    """The price model of a charge."""
    kind = kind_of(row["ref"]).removesuffix("charge").strip("_")
    return str(row.get("charge_model", "standard" if kind in ("", "fixed") else kind))


def has_price(row: Row) -> bool:
    """Whether a charge says what it costs, or there is a default."""
    return bool(row.get("properties")) or model_of(row) in DEFAULTS


def price_of(row: Row) -> Price:
    """The price of a charge; one that nobody told is nothing, and no amount is compared then."""
    said, model = row.get("properties") or DEFAULTS.get(model_of(row)), model_of(row)
    if said is None:
        return PerUnit(Decimal(0))
    price, finer = model_price(model, said)
    if finer != 1:
        raise NotExpressible("tiers that begin between whole units")
    return price
