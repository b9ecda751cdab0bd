"""Lago's plans as packages: the fee, the charges and the commitment of a plan are components of one package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from fractions import Fraction
from typing import Any, NamedTuple

from domain.grid import MONTHLY, Cadence
from domain.package_version import Component, Counted, Counting, Declared, Measure, PackageVersion, Proration
from domain.price import Flat, PerUnit, Price
from tests.conformance.lago_slices import charge_of, slices
from tests.conformance.tiers import model_price, written
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import cadence, number

Row = dict[str, Any]
BEGINNING = date(2000, 1, 1)
NO_SUCH = {
    "usage_threshold": "bills as soon as usage reaches a threshold",
    "custom_charge": "a price that runs the customer's own program",
}
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


class Records:
    """What exists before the first step, by its reference; steps add to it."""

    def __init__(self, rows: list[Row], steps: Iterable[Row] = ()) -> None:
        self.rows = {row["ref"]: dict(row) for row in rows}
        self.seen = _values(steps)
        for ref, row in self.rows.items():
            if kind_of(ref) in NO_SUCH:
                raise NotExpressible(NO_SUCH[kind_of(ref)])
            if ref.startswith("charge#") and "plan" not in row:
                raise NotExpressible("a charge without a word about whose it is")

    def __getitem__(self, ref: str) -> Row:
        try:
            return self.rows[ref]
        except KeyError:
            raise NotExpressible(f"nothing is said of {ref}") from None

    def ending(self, kind: str) -> Iterator[Row]:
        """The records of a kind, or of any kind of it: `charge` is any price model."""
        return (row for ref, row in self.rows.items() if kind_of(ref).endswith(kind))

    def plan(self, named: str) -> Row:
        """A plan by its reference or its code."""
        ref = named.removesuffix(".code")
        coded = (row for row in self.ending("plan") if row.get("code") == named)
        return self.rows.get(ref) or next(coded, None) or self[ref]

    def of(self, plan: Row, kind: str) -> list[Row]:
        """What belongs to a plan; a plan that another overrides has its parts too, but for the units ordered."""
        own = [row for row in self.ending(kind) if row.get("plan") == plan["ref"]]
        inherited = self.of(self[plan["parent"]], kind) if plan.get("parent") else []
        return [row for row in inherited if kind_of(row["ref"]) != "fixed_charge"] + own

    def metric(self, charge: Row) -> Row:
        """What a charge measures."""
        if "billable_metric" not in charge:
            raise NotExpressible("a charge without a word about what it measures")
        return self[charge["billable_metric"]]

    def tax_percent(self) -> Fraction:
        """The rate that every document of the seller carries."""
        return sum(
            (number(tax["rate"]) for tax in self.ending("tax") if "applied_to_billing_entity" in tax.get("traits", ())),
            Fraction(0),
        )


def _values(steps: Iterable[Row]) -> dict[str, list[Any]]:
    """The values that each property of an event ever has, in the order that they come."""
    seen: dict[str, list[Any]] = {}
    for step in steps:
        for said in step.get("args") or ():
            for name, value in (said.get("properties") or {}).items() if isinstance(said, dict) else ():
                seen.setdefault(name, [])
                seen[name] += [value] if value not in seen[name] else []
    return seen


def kind_of(ref: str) -> str:
    """What a reference names."""
    return ref.partition("#")[0]


class Sold(NamedTuple):
    """A plan as it is sold: billed by the calendar or from the day that it began."""

    records: Records
    plan: Row
    calendar: bool

    @property
    def rhythm(self) -> Cadence:
        traits = [one for one in self.plan.get("traits", ()) if one in ("weekly", "monthly", "quarterly", "yearly")]
        return cadence(self.plan.get("interval", *traits[:1] or ["monthly"]))

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
        """What it charges for beside the fee, a row for each component: usage and units that were ordered."""
        return [part for row in self.records.of(self.plan, "charge") for part in slices(self.records, row)]

    def fixed(self) -> list[Row]:
        """What is charged for units that were ordered."""
        return [row for row in self.charges() if kind_of(row["ref"]) == "fixed_charge"]

    def version(self, number_: int, trial: bool = False) -> PackageVersion:
        """The package that says the same; in a trial it has neither fee nor commitment."""
        components = [] if trial else [*self._fee()]
        countings = []
        for row in (*self.charges(), *(() if trial else self.records.of(self.plan, "commitment"))):
            component, counting = self._part(row)
            components.append(component)
            countings += [counting] if counting else []
        policy = Proration(cycle_day_from="calendar" if self.calendar else "license", grid_on_change="continue")
        name = str(self.plan["ref"]) + ("" if self.calendar else " by anniversary")
        return PackageVersion(
            name, number_, name, BEGINNING, tuple(components), countings=tuple(countings), proration=policy
        )

    def _fee(self) -> Iterator[Component]:
        amount = written(number(self.plan.get("amount_cents", 100)) / 100)
        mode = "in_advance" if self.in_advance else "in_arrears"
        yield Component("fee", "Fee", {self.currency: Flat(amount)}, cadence=self.rhythm, mode=mode)

    def _part(self, row: Row) -> tuple[Component, Counting | None]:
        kind = kind_of(row["ref"])
        if kind == "commitment":
            least = Flat(written(number(row["amount_cents"]) / 100))
            return Component(
                row["ref"], "Commitment", {self.currency: least}, charge="minimum", cadence=self.rhythm,
                mode="in_arrears",
            ), None  # fmt: skip
        return self._fixed(row) if kind == "fixed_charge" else self._usage(row)

    def _fixed(self, row: Row) -> tuple[Component, Counting | None]:
        """Units that were ordered: divided by days, or whole for the most of them that a period had."""
        prices, name = {self.currency: price_of(row)[0]}, row["ref"]
        rhythm = MONTHLY if self.plan.get("bill_fixed_charges_monthly") else self.rhythm
        advance = bool(row.get("pay_in_advance"))
        mode = "in_advance" if advance else "in_arrears"
        if row.get("prorated"):
            return Component(name, name, prices, quantity=Declared(), cadence=rhythm, mode=mode), None
        measure: Measure = "peak" if advance else "last"
        charge = "recurring" if advance else "usage"
        return (
            Component(name, name, prices, charge=charge, quantity=Counted(name), cadence=rhythm, mode=mode),
            Counting(name, measure),
        )

    def _usage(self, row: Row) -> tuple[Component, Counting]:
        """What was used: whole per period, or each unit for the days that it was there."""
        if row.get("min_amount_cents"):
            raise NotExpressible("a minimum of one charge")
        metric, name = self.records.metric(row), row["ref"]
        measure: Measure = "sum" if row.get("counts") else measure_of(metric)
        price, _ = price_of(row)
        if rate := self._conversion(row):
            price = price_of({**row, "properties": {"amount": str(float(number(row["properties"]["amount"]) * rate))}})[0]
        rhythm = MONTHLY if self.plan.get("bill_charges_monthly") else self.rhythm
        if row.get("prorated") and isinstance(price, PerUnit):
            average = Component(
                name, name, {self.currency: price}, quantity=Counted(name), cadence=rhythm, mode="in_arrears"
            )
            return average, Counting(name, "average")
        quantity = Counted(name, by_day=bool(row.get("prorated")))
        component = Component(name, name, {self.currency: price}, charge="usage", quantity=quantity, cadence=rhythm)
        return component, Counting(name, measure)


    def _conversion(self, row: Row) -> Fraction | None:
        """What a unit of account is worth in the currency, where prices are in one."""
        for applied in self.records.ending("applied_pricing_unit"):
            if applied["pricing_unitable"] == charge_of(row["ref"]):
                return number(applied["conversion_rate"])
        return None


def measure_of(metric: Row) -> Measure:
    """Which quantity of a period a metric means."""
    how = aggregation_of(metric)
    if how in ("sum_agg", "unique_count_agg") and is_recurring(metric):
        return "last"
    if how in ("sum_agg", "count_agg"):
        return "sum"
    if how == "max_agg":
        return "peak"
    raise NotExpressible(f"no measure like {how}")


def aggregation_of(metric: Row) -> str:
    """How a metric counts events."""
    kind = kind_of(metric["ref"])
    named = {"sum": "sum_agg", "unique_count": "unique_count_agg", "latest": "latest_agg", "custom": "custom_agg"}
    implied = named.get(kind.removesuffix("_billable_metric"), "count_agg")
    return str(metric.get("aggregation_type", implied))


def is_recurring(metric: Row) -> bool:
    """Whether what was counted stays from one period to the next."""
    return bool(metric.get("recurring", "recurring" in metric.get("traits", ())))


def model_of(row: Row) -> str:
    """The price model of a charge."""
    kind = kind_of(row["ref"]).removesuffix("charge").strip("_")
    return str(row.get("charge_model", "standard" if kind in ("", "fixed") else kind))


def has_price(row: Row) -> bool:
    """Whether a charge says what it costs, or there is a default."""
    return bool(row.get("properties")) or model_of(row) in DEFAULTS


def price_of(row: Row) -> tuple[Price, int]:
    """The price of a charge; one that nobody told is nothing, and no amount is compared then."""
    said, model = row.get("properties") or DEFAULTS.get(model_of(row)), model_of(row)
    if said is None:
        return PerUnit(written(Fraction(0))), 1
    price, finer = model_price(model, said)
    if finer != 1:
        raise NotExpressible("tiers that begin between whole units")
    return price, finer
