"""A charge that has several prices or is told in several rows, as one component for each.

Who prices regions apart has a counter and a component for each region; a rate with a fee for each event is two
components, one on what the events add up to and one on how many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.conformance.verdict import NotExpressible
from tests.conformance.words import number

if TYPE_CHECKING:
    from tests.conformance.lago_records import Records, Row

BETWEEN = "@"
"""What stands between a charge and the name of one of its slices."""
GROUPINGS = ("grouped_by", "pricing_group_keys")


def slices(records: Records, row: Row) -> list[Row]:
    """A charge as the components that say the same: itself, where it has one price and one row."""
    found = [row]
    filters = [one for one in records.ending("charge_filter") if one["charge"] == row["ref"]]
    if filters:
        found = list(_filtered(records, row, filters))
    said = row.get("properties") or {}
    keys = next((said[name] for name in GROUPINGS if said.get(name)), None)
    if keys:
        found = [group for one in found for group in _grouped(records, one, keys)]
    if "percentage_charge#" in row["ref"] and not row["ref"].startswith("graduated"):
        found = [part for one in found for part in _rate_and_fee(one)]
    if row["ref"].startswith("dynamic_charge#"):
        found = [part for one in found for part in _units_and_amount(one)]
    return found


def charge_of(component: str) -> str:
    """The charge that a component is a slice of."""
    return component.partition(BETWEEN)[0]


def _slice(row: Row, name: str, **more: Any) -> Row:
    return {**row, "ref": f"{row['ref']}{BETWEEN}{name}", **more}


def _filtered(records: Records, row: Row, filters: Iterable[Row]) -> Iterator[Row]:
    """One slice for each filter, and one for what no filter takes."""
    taken = []
    for one in filters:
        values = {
            records[value["billable_metric_filter"]]["key"]: value["values"]
            for value in records.ending("charge_filter_value")
            if value["charge_filter"] == one["ref"]
        }
        taken.append(values)
        yield _slice(row, one["ref"], properties=one["properties"], only=values, filter=values)
    yield _slice(row, "rest", others=taken, filter=None)


def _grouped(records: Records, row: Row, keys: list[str]) -> Iterator[Row]:
    """One slice for each combination of values that events have."""
    properties = {name: said for name, said in row["properties"].items() if name not in GROUPINGS}
    if not all(records.seen.get(key) for key in keys):
        yield {**row, "properties": properties}
    for values in product(*(records.seen.get(key, ()) for key in keys)):
        group = dict(zip(keys, values, strict=True))
        only = {**row.get("only", {}), **{key: [value] for key, value in group.items()}}
        yield _slice(row, "+".join(map(str, values)), properties=properties, only=only, group=group)


def _rate_and_fee(row: Row) -> Iterator[Row]:
    said = row.get("properties") or {"rate": "0.0555", "fixed_amount": "2"}
    if any(value for name, value in said.items() if name not in ("rate", "fixed_amount")):
        raise NotExpressible("a rate with free events, or with a least or most amount of each event")
    rate = str(number(said["rate"]) / 100)
    if "/" in rate:
        rate = format(float(number(said["rate"]) / 100), "f")
    yield _slice(row, "rate", properties={"amount": rate}, charge_model="standard")
    fee = said.get("fixed_amount") or "0"
    yield _slice(row, "fee", properties={"amount": fee}, charge_model="standard", counts="events")


def _units_and_amount(row: Row) -> Iterator[Row]:
    """Events that bring their own amount: it is counted in tenths of a minor unit, at the price of one."""
    yield _slice(row, "units", properties={"amount": "0"}, charge_model="standard")
    yield _slice(row, "amount", properties={"amount": "0.001"}, charge_model="standard", counts="amounts")
