"""A charge that has several prices or is told in several rows, as one component for each.

Who prices regions apart has a counter and a component for each region; a rate with a fee for each event is two
components, one on what the events add up to and one on how many they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, product
from typing import Any

from domain.price import Allowance
from tests.conformance.lago.records import Records, Row, field_of, kind_of
from tests.conformance.percentage import has_bounds, rate_of
from tests.conformance.words import number

BETWEEN = "@"
"""What stands between a charge and the name of one of its slices."""
GROUPINGS = ("grouped_by", "pricing_group_keys")
EACH = "0.00000001"
"""What a unit of counted costs is worth: so little that what a transaction costs is a whole number of them."""
FREE = ("free_units_per_events", "free_units_per_total_aggregation")


def slices(records: Records, row: Row) -> list[Row]:
    """A charge as the components that say the same: itself, where it has one price and one row."""
    found = [row]
    for cut in (_filtered, _grouped, _rate_and_fee, _units_and_amount):
        found = [part for one in found for part in cut(records, one)]
    return found


def charge_of(component: str) -> str:
    """The charge that a component is a slice of."""
    return component.partition(BETWEEN)[0]


def _slice(row: Row, name: str, **more: Any) -> Row:
    return {**row, "ref": f"{row['ref']}{BETWEEN}{name}", **more}


def _filtered(records: Records, row: Row) -> Iterator[Row]:
    """One slice for each filter of the charge, and one for what no filter takes."""
    taken = []
    for one in records.ending("charge_filter"):
        if one["charge"] == row["ref"]:
            taken.append(_values(records, one["ref"]))
            yield _slice(row, one["ref"], properties=one["properties"], only=taken[-1], filter=taken[-1])
    yield _slice(row, "rest", others=taken, filter=None) if taken else row


def _values(records: Records, ref: str) -> dict[str, list[Any]]:
    """The values that each property of an event has to have for a filter."""
    return {
        records[value["billable_metric_filter"]]["key"]: value["values"]
        for value in records.ending("charge_filter_value")
        if value["charge_filter"] == ref
    }


def _grouped(records: Records, row: Row) -> Iterator[Row]:
    """One slice for each combination of values that events have."""
    said = row.get("properties") or {}
    keys = next((said[name] for name in GROUPINGS if said.get(name)), None)
    row = {**row, "properties": {name: value for name, value in said.items() if name not in GROUPINGS}}
    if not keys or not all(records.seen.get(key) for key in keys):
        yield row
        return
    for values in product(*(records.seen[key] for key in keys)):
        group = dict(zip(keys, values, strict=True))
        only = {**row.get("only", {}), **{key: [value] for key, value in group.items()}}
        yield _slice(row, "+".join(map(str, values)), only=only, group=group)


def _rate_and_fee(records: Records, row: Row) -> Iterator[Row]:
    """A rate on what events add up to, and a fee for each of them.

    Where each has bounds, or some of every period are free, each is priced by itself, and what they cost is counted.
    """
    if kind_of(row["ref"]) != "percentage_charge":
        yield row
        return
    said = row.get("properties") or {"rate": "0.0555", "fixed_amount": "2"}
    running = _running(records, row) if any(said.get(name) for name in FREE) else []
    rate = rate_of(said, running or [])
    if running is None or rate.finer != 1 or has_bounds(said):
        yield _slice(row, "units", properties={"amount": "0"}, charge_model="standard")
        yield _slice(row, "amount", properties={"amount": EACH}, charge_model="standard", counts="priced", rate=said)
        return
    yield _slice(row, "rate", **_above(rate.of))
    yield _slice(row, "fee", **_above(rate.fee), counts="events")


def _above(price: Allowance) -> Row:
    """An allowance as a charge says it."""
    said = {"amount": str(price.unit), "included": price.included}
    return {"properties": said, "charge_model": "allowance" if price.included else "standard"}


def _running(records: Records, row: Row) -> list[Any] | None:
    """What the events of a charge add up to, one by one; None where they are of several months or groups, as free units
    begin again with each."""
    metric = records.metric(row)
    own = [step for step in records.events if records.metric_named(step["args"][0]["code"])["ref"] == metric["ref"]]
    if len({step["at"][:7] for step in own}) > 1 or "only" in row or "others" in row:
        return None
    return list(accumulate(number((step["args"][0].get("properties") or {}).get(field_of(metric), 0)) for step in own))


def _units_and_amount(records: Records, row: Row) -> Iterator[Row]:
    """Events that bring their own amount: it is counted in tenths of a minor unit, at the price of one."""
    if kind_of(row["ref"]) != "dynamic_charge":
        yield row
        return
    yield _slice(row, "units", properties={"amount": "0"}, charge_model="standard")
    yield _slice(row, "amount", properties={"amount": "0.001"}, charge_model="standard", counts="amounts")
