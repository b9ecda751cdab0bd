"""Units that are ordered with a plan, and ordered anew while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain.period import day as date_of
from tests.conformance.lago.licenses import Stage, changed
from tests.conformance.lago.records import Row
from tests.conformance.lago.world import World
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import number


def ordered(stage: Stage) -> dict[str, int]:
    """The units that a stage begins with, noted as ordered on its first day; given are those that days divide."""
    for row in stage.sold.fixed():
        stage.license.ordered.append((row["ref"], stage.start, units_in(row)))
    return declared(stage)


def declared(stage: Stage) -> dict[str, int]:
    """The units that days divide; those that are charged whole are counted."""
    orders = {name: units for name, _, units in stage.license.ordered}
    return {row["ref"]: orders[row["ref"]] for row in stage.sold.fixed() if row.get("prorated")}


def units_in(row: Row) -> int:
    """The units that a record says; one where it does not."""
    asked = number(row.get("units", 1))
    if asked.denominator != 1:
        raise NotExpressible("units that are not whole")
    return asked.numerator


def update_plan(world: World, step: dict[str, Any]) -> None:
    """The units of a plan change, for whoever follows it; for those with a plan of their own where it is cascaded."""
    ref, said = step["args"]
    plan = world.records.plan(ref)
    if not set(said) <= {"fixed_charges", "cascade_updates"}:
        raise NotExpressible("a plan that changes in more than its units")
    plans = [plan]
    if said.get("cascade_updates"):
        plans += [row for row in world.records.ending("plan") if row.get("parent") == plan["ref"]]
    touched: dict[int, Stage] = {}
    for row in said["fixed_charges"]:
        old = units_in(world.records[row["id"].removesuffix(".id")]) if "id" in row else 0
        for one in plans:
            component = _updated(world, plan, one, row, old)
            for stage in _on(world, one) if component else ():
                _order(world, stage, component, row)
                touched[id(stage)] = stage
    if any(row.get("apply_units_immediately") for row in said["fixed_charges"]):
        for stage in touched.values():
            _now(world, stage)


def _updated(world: World, plan: Row, one: Row, said: Row, old: int) -> str:
    """The fixed charge of a plan that takes the new units, or nothing where it keeps its own."""
    if "id" not in said:
        return _added(world, plan, one, said)
    ref = said["id"].removesuffix(".id")
    own = next((row for row in world.records.of(one, "fixed_charge") if ref in (row["ref"], row.get("parent"))), None)
    if own is None or (one is not plan and units_in(own) != old):
        return ""
    own["units"] = said["units"]
    return str(own["ref"])


def _added(world: World, plan: Row, one: Row, said: Row) -> str:
    """A fixed charge that a plan gets while it runs."""
    ref, first = (f"fixed_charge#{owner['ref']} {said['add_on_id']}" for owner in (one, plan))
    add_on = said["add_on_id"].removesuffix(".id")
    parent = None if one is plan else first
    world.records.rows[ref] = {**said, "ref": ref, "plan": one["ref"], "parent": parent, "add_on": add_on}
    return ref


def _on(world: World, plan: Row) -> Iterator[Stage]:
    """The stages that follow a plan now."""
    for sub in world.subs():
        stage = sub.on(sub.account.day(world.now))
        if stage.sold.plan is plan and not stage.closed:
            yield stage


def update_subscription(world: World, stage: Stage, said: Row) -> None:
    """The units of one subscription change."""
    if not set(said) <= {"plan_overrides"} or not set(said["plan_overrides"]) <= {"fixed_charges"}:
        raise NotExpressible("a subscription that changes in more than its units")
    for row in said["plan_overrides"]["fixed_charges"]:
        known = [own["ref"] for own in stage.sold.fixed()]
        named = row["id"].removesuffix(".id")
        reorder(world, stage, named if named in known else known[0], row)


def reorder(world: World, stage: Stage, component: str, said: Row) -> None:
    """Other units of one component, now or with the next period."""
    _order(world, stage, component, said)
    if said.get("apply_units_immediately"):
        _now(world, stage)


def _order(world: World, stage: Stage, component: str, said: Row) -> None:
    sub = stage.license
    today = sub.account.day(world.now)
    on = today
    if not said.get("apply_units_immediately"):
        on = date_of(world.grid(sub, stage).period(today.toordinal())[1])
    sub.ordered.append((component, on, units_in(said)))


def _now(world: World, stage: Stage) -> None:
    """The change is a fact from today on, and is billed: the peer writes a document even of nothing."""
    sub = stage.license
    today = sub.account.day(world.now)
    sub.record(changed(stage, world.package(stage.sold), declared(stage), len(sub.facts), today))
    world.bill(sub.account, today, [sub], even_nothing=True)
