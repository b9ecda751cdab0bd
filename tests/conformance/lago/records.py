"""What exists before a Lago scenario begins: plans, charges, metrics, taxes, by their references."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from domain.package_version import Measure
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import number

Row = dict[str, Any]
NO_SUCH = {
    "usage_threshold": "bills as soon as usage reaches a threshold",
    "custom_charge": "a price that runs the customer's own program",
}


class Records:
    """What exists before the first step, by its reference; steps add to it."""

    def __init__(self, rows: list[Row], steps: Sequence[Row] = ()) -> None:
        self.rows = {row["ref"]: dict(row) for row in rows}
        self.seen = _values(steps)
        self.events = [step for step in steps if step.get("do") == "create_event"]
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

    def customer(self, named: str) -> str:
        """The reference of a customer, by that or by the name that somebody else gave."""
        coded = (row["ref"] for row in self.ending("customer") if row.get("external_id") == named)
        return next(coded, named.removesuffix(".external_id"))

    def of(self, plan: Row, kind: str) -> list[Row]:
        """What belongs to a plan; a plan that another overrides has its parts too, but for the units ordered."""
        own = [row for row in self.ending(kind) if row.get("plan") == plan["ref"]]
        inherited = self.of(self[plan["parent"]], kind) if plan.get("parent") else []
        return [row for row in inherited if kind_of(row["ref"]) != "fixed_charge"] + own

    def metric_named(self, code: str) -> Row:
        """A metric by its reference or its code."""
        coded = (row for row in self.ending("billable_metric") if row.get("code") == code)
        return self.rows.get(code.removesuffix(".code")) or next(coded, None) or self[code]

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


def measure_of(metric: Row) -> Measure:
    """Which quantity of a period a metric means."""
    how = aggregation_of(metric)
    if how in ("unique_count_agg", "latest_agg") or (how == "sum_agg" and is_recurring(metric)):
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


def in_advance(charge: Row) -> bool:
    """Whether a charge is billed with each event, and what stays with the beginning of each period."""
    return bool(charge.get("pay_in_advance", "pay_in_advance" in charge.get("traits", ())))


def field_of(metric: Row) -> str:
    """The property of events that a metric looks at."""
    return str(metric.get("field_name", "item_id"))
