"""Subscriptions as licenses: sold, begun, changed for a dearer or cheaper plan, ended."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import uuid5

from domain.events import license as events
from domain.period import day as date_of
from tests.books import NAMESPACE
from tests.conformance.lago.licenses import Account, Stage, Sub, changed, instant
from tests.conformance.lago.orders import ordered
from tests.conformance.lago.plans import BEGINNING, Sold
from tests.conformance.lago.records import Records, Row
from tests.conformance.lago.world import World
from tests.conformance.verdict import NotExpressible


def found_there(world: World) -> None:
    """The subscriptions that exist before the first step."""
    for row in world.records.ending("subscription"):
        plan = world.records[row["plan"]] if "plan" in row else {"ref": f"plan#of {row['ref']}"}
        sold = Sold(world.records, plan, _by_calendar(row))
        account = world.account(row["customer"], sold.currency)
        start = account.day(instant(row["started_at"])) if "started_at" in row else BEGINNING
        stage = _sell(world, account, f"{row['ref']}.external_id", sold, start, start)
        stage.begun = True
        if "terminated_at" in row:
            _end(world, stage, account.day(instant(row["terminated_at"])) + timedelta(days=1))
            stage.closed = True


def subscribe(world: World, said: Row) -> None:
    """A plan is bought: a new license, or another plan for the license of that name."""
    if not said:
        raise NotExpressible("a subscription of which nothing is told")
    sold, external = _sold(world, said), said["external_id"]
    account = world.account(world.records.customer(said["external_customer_id"]), sold.currency)
    running = next((sub for sub in account.subs if sub.external_id == external and sub.stages[-1].end is None), None)
    if running:
        _change(world, running, sold)
        return
    on = account.day(world.now)
    anchor = account.day(instant(said["subscription_at"])) if said.get("subscription_at") else on
    stage = _sell(world, account, external, sold, anchor, max(anchor, on))
    if said.get("ending_at"):
        _limit(world, stage, instant(said["ending_at"]))
    if stage.start <= on:
        begin(world, stage)


def _sell(world: World, account: Account, external_id: str, sold: Sold, anchor: date, start: date) -> Stage:
    """A license, not yet begun: without a fee while it is on trial, and without billing before it is sold."""
    sub = Sub(account, external_id, uuid5(NAMESPACE, f"{account.ref} {len(account.subs)}"), anchor)
    account.subs.append(sub)
    stage = Stage(sub, sold, start, world.now, begun=False)
    sub.stages.append(stage)
    trial = int(sold.plan.get("trial_period") or 0)
    version, units = world.package(sold, trial=bool(trial)), ordered(stage)
    sub.record(events.LicenseStarted(
        reference=external_id, account=account.id, package=version.package, version=version.version, start_on=anchor,
        type="trial" if anchor < start else "production", currency=account.currency, quantities=units,
    ))  # fmt: skip
    if anchor < start:
        sub.record(changed(stage, version, units, 0))
    if trial:
        sub.record(changed(stage, world.package(sold), units, 1, start + timedelta(days=trial)))
    return stage


def _sold(world: World, said: Row) -> Sold:
    plan = world.records.plan(said["plan_code"])
    if said.get("plan_overrides"):
        plan = _override(world.records, plan, said["plan_overrides"], said["external_id"])
    return Sold(world.records, plan, _by_calendar(said))


def _by_calendar(said: Row) -> bool:
    return bool(said.get("billing_time", "calendar") == "calendar")


def _override(records: Records, plan: Row, said: Row, name: str) -> Row:
    """A plan of one customer: a copy with other words."""
    if unknown := set(said) - {"name", "amount_cents", "fixed_charges", "invoice_display_name"}:
        raise NotExpressible(f"a plan overridden in {', '.join(sorted(unknown))}")
    ref = f"plan#{name}"
    copy = {**plan, **said, "ref": ref, "parent": plan["ref"]}
    records.rows[ref] = copy
    changes = {row["id"].removesuffix(".id"): row for row in said.get("fixed_charges", ())}
    for parent in records.of(plan, "fixed_charge"):
        own = {**parent, **changes.get(parent["ref"], {})}
        own |= {"ref": f"fixed_charge#{name} {parent['ref']}", "plan": ref, "parent": parent["ref"]}
        records.rows[own["ref"]] = own
    return copy


def _limit(world: World, stage: Stage, ending: datetime) -> None:
    """An end that is agreed at the start: on a border it ends the period before it, else its day is still served."""
    day = stage.license.account.day(ending)
    on_border = world.grid(stage.license, stage).period(day.toordinal())[0] == day.toordinal()
    stage.ending = ending
    _end(world, stage, day if on_border else day + timedelta(days=1))


def _end(world: World, stage: Stage, end: date) -> None:
    stage.end = end
    stage.license.record(events.LicenseCancelled(notice_on=stage.license.account.day(world.now), end_on=end))


def begin(world: World, stage: Stage) -> None:
    """The first day: what is paid in advance is billed."""
    stage.begun = True
    world.bill(stage.license.account, stage.start, [stage.license])


def _change(world: World, sub: Sub, sold: Sold) -> None:
    """A dearer plan begins today; a cheaper one with the next period."""
    today = sub.account.day(world.now)
    now = sub.on(today)
    if sold.plan["ref"] == now.sold.plan["ref"]:
        return
    up = sold.yearly() >= now.sold.yearly()
    start = today if up else date_of(world.grid(sub, now).period(today.toordinal())[1])
    stage = Stage(sub, sold, start, world.now, begun=up)
    now.end, now.closed = start, True
    sub.stages.append(stage)
    sub.record(changed(stage, world.package(sold), ordered(stage), len(sub.facts)))
    if up:
        begin(world, stage)


def terminate(world: World, stage: Stage) -> None:
    """The end by hand: its day is still served."""
    _end(world, stage, stage.license.account.day(world.now) + timedelta(days=1))
    close(world, stage)


def close(world: World, stage: Stage) -> None:
    """The last bill of a license: the peer writes one even of nothing."""
    stage.closed = True
    assert stage.end is not None
    world.bill(stage.license.account, stage.end, [stage.license], even_nothing=True)
