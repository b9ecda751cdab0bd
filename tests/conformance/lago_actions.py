"""What happens in a Lago scenario, as facts and runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid5

from domain.counted_users import CountedUsers, counted_users_id
from domain.events import license as events
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.period import day as date_of
from tests.books import NAMESPACE
from tests.conformance import lago_asked
from tests.conformance.lago_counts import Event
from tests.conformance.lago_orders import ordered, reorder, update_plan, update_subscription
from tests.conformance.lago_preview import usage_so_far
from tests.conformance.lago_records import BEGINNING, Records, Row, Sold
from tests.conformance.lago_shown import Subscription
from tests.conformance.lago_world import Account, Stage, Sub, World, changed, instant
from tests.conformance.verdict import NotExpressible

Step = dict[str, Any]


def known(steps: Iterable[Step]) -> None:
    """Raises: NotExpressible when something happens that we have no word for."""
    for step in steps:
        if "do" in step and step["do"] not in ACTIONS:
            raise NotExpressible(f"no such action: {step['do']}")


def found_there(world: World) -> None:
    """The subscriptions that exist before the first step."""
    for row in world.records.ending("subscription"):
        plan = world.records[row["plan"]] if "plan" in row else {"ref": f"plan#of {row['ref']}"}
        sold = Sold(world.records, plan, row.get("billing_time", "calendar") == "calendar")
        account = world.account(row["customer"], sold.currency)
        start = account.day(instant(row["started_at"])) if "started_at" in row else BEGINNING
        sub = Sub(account, f"{row['ref']}.external_id", uuid5(NAMESPACE, row["ref"]), start)
        account.subs.append(sub)
        stage = Stage(sub, sold, start, world.now)
        sub.stages.append(stage)
        _start(world, stage)
        if "terminated_at" in row:
            last = account.day(instant(row["terminated_at"]))
            stage.end, stage.closed = last + timedelta(days=1), True
            sub.record(events.LicenseCancelled(notice_on=last, end_on=stage.end))


def act(world: World, step: Step) -> None:
    """One step."""
    ACTIONS[step["do"]](world, step)


def pass_time(world: World, at: datetime) -> None:
    """What happens by itself until a moment: what begins and ends on its day, and is billed then."""
    world.now = at
    for account in list(world.accounts.values()):
        for stage in account.stages():
            if not stage.begun and stage.start <= account.day(at):
                _begin(world, stage)
            if stage.ending and not stage.closed and account.day(stage.ending) <= account.day(at):
                _close(world, stage)


def tick(world: World) -> None:
    """The peer's clock: whatever fell due is billed."""
    for account in world.accounts.values():
        world.bill(account, account.day(world.now))


def _first(step: Step) -> Row:
    args = step.get("args") or [{}]
    if not isinstance(args[0], dict):
        raise NotExpressible(f"{step['do']} of something that is not told")
    return args[0]


def _subscribe(world: World, step: Step) -> None:
    said = _first(step)
    if not said:
        raise NotExpressible("a subscription of which nothing is told")
    customer = said["external_customer_id"].removesuffix(".external_id")
    sold = _sold(world, said)
    account = world.account(customer, sold.currency)
    external = said["external_id"]
    running = next((sub for sub in account.subs if sub.external_id == external and sub.stages[-1].end is None), None)
    if running:
        _change(world, running, sold)
        return
    on = account.day(world.now)
    start = account.day(instant(said["subscription_at"])) if said.get("subscription_at") else on
    sub = Sub(account, external, uuid5(NAMESPACE, f"{external} {len(account.subs)}"), start)
    account.subs.append(sub)
    stage = Stage(sub, sold, max(start, on), world.now, begun=False)
    sub.stages.append(stage)
    _start(world, stage)
    if said.get("ending_at"):
        stage.ending = instant(said["ending_at"])
        ends_on = account.day(stage.ending)
        whole = world.grid(sub, stage).period(ends_on.toordinal())[0] == ends_on.toordinal()
        stage.end = ends_on if whole else ends_on + timedelta(days=1)
        sub.record(events.LicenseCancelled(notice_on=on, end_on=stage.end))
    if start <= on:
        _begin(world, stage)


def _sold(world: World, said: Row) -> Sold:
    plan = world.records.plan(said["plan_code"])
    if said.get("plan_overrides"):
        plan = _override(world.records, plan, said["plan_overrides"], said["external_id"])
    return Sold(world.records, plan, said.get("billing_time", "calendar") == "calendar")


def _override(records: Records, plan: Row, said: Row, name: str) -> Row:
    """A plan of one customer: a copy with other words."""
    known = {"name", "amount_cents", "fixed_charges", "invoice_display_name"}
    if not set(said) <= known:
        raise NotExpressible(f"a plan overridden in {', '.join(sorted(set(said) - known))}")
    ref = f"plan#{name}"
    copy = {**plan, **said, "ref": ref, "parent": plan["ref"]}
    records.rows[ref] = copy
    changes = {row["id"].removesuffix(".id"): row for row in said.get("fixed_charges", ())}
    for parent in records.of(plan, "fixed_charge"):
        own = {**parent, **changes.get(parent["ref"], {})}
        own |= {"ref": f"fixed_charge#{name} {parent['ref']}", "plan": ref, "parent": parent["ref"]}
        records.rows[own["ref"]] = own
    return copy


def _start(world: World, stage: Stage) -> None:
    """The facts that a license starts: without a fee while it is on trial, and without billing before it is sold."""
    sub, days = stage.license, int(stage.sold.plan.get("trial_period") or 0)
    version, units = world.package(stage.sold, trial=bool(days)), ordered(stage)
    early = sub.anchor < stage.start
    sub.record(events.LicenseStarted(
        reference=sub.external_id, account=sub.account.id, package=version.package, version=version.version,
        type="trial" if early else "production", start_on=sub.anchor, currency=sub.account.currency, quantities=units,
    ))  # fmt: skip
    if early:
        sub.record(changed(stage, version, units, 0))
    if days:
        sub.record(changed(stage, world.package(stage.sold), units, 1, stage.start + timedelta(days=days)))


def _begin(world: World, stage: Stage) -> None:
    stage.begun = True
    world.bill(stage.license.account, stage.start, [stage.license])


def _change(world: World, sub: Sub, sold: Sold) -> None:
    """A dearer plan begins today; a cheaper one with the next period."""
    now = sub.on(sub.account.day(world.now))
    if sold.plan["ref"] == now.sold.plan["ref"]:
        return
    today = sub.account.day(world.now)
    up = sold.yearly() >= now.sold.yearly()
    start = today if up else date_of(world.grid(sub, now).period(today.toordinal())[1])
    stage = Stage(sub, sold, start, world.now, begun=up)
    now.end = start
    now.closed = True
    sub.stages.append(stage)
    sub.record(changed(stage, world.package(sold), ordered(stage), len(sub.facts)))
    if up:
        world.bill(sub.account, today, [sub])


def _terminate(world: World, step: Step) -> None:
    if step.get("with") and step["do"] == "terminate_subscription":
        raise NotExpressible("a termination without its credit or its invoice")
    named = (step.get("with") or {}).get("subscription") or (step.get("args") or [None])[0]
    if not isinstance(named, str):
        raise NotExpressible("the end of something that is not told")
    found = lago_asked.follow(world, named)
    if not isinstance(found, Subscription):
        raise NotExpressible("the end of nothing")
    stage, sub = found.stage, found.stage.license
    today = sub.account.day(world.now)
    stage.end = today + timedelta(days=1)
    sub.record(events.LicenseCancelled(notice_on=today, end_on=stage.end))
    _close(world, stage)


def _close(world: World, stage: Stage) -> None:
    """The last bill of a license: the peer writes one even of nothing."""
    stage.closed = True
    assert stage.end is not None
    world.bill(stage.license.account, stage.end, [stage.license], even_nothing=True)


def _perform_billing(world: World, step: Step) -> None:
    tick(world)


def _event(world: World, step: Step) -> None:
    said = _first(step)
    external = said["external_subscription_id"]
    sub = world.sub(_text(world, external))
    ref = _metric(world, said["code"])
    at = world.now
    if isinstance(said.get("timestamp"), int):
        at = datetime.fromtimestamp(said["timestamp"], tz=world.now.tzinfo)
    elif said.get("timestamp"):
        at = instant(said["timestamp"])
    amount = str(said.get("precise_total_amount_cents", "0"))
    properties = {_property(world, name): value for name, value in (said.get("properties") or {}).items()}
    _observe(sub, Event(ref, sub.account.day(at).toordinal(), properties, amount))


def _property(world: World, name: str) -> str:
    if "#" in name:
        ref, _, _ = name.partition(".")
        return str(world.records[ref].get("field_name", "item_id"))
    return name


def _metric(world: World, code: str) -> str:
    """A metric by its reference or its code."""
    ref = code.removesuffix(".code")
    if ref in world.records.rows:
        return ref
    for row in world.records.ending("billable_metric"):
        if row.get("code") == code:
            return str(row["ref"])
    raise NotExpressible(f"no metric {code}")


def _text(world: World, written: str) -> str:
    """A name as the case writes it: plain, or the way to it."""
    if ".subscriptions" not in written:
        return written
    return str(lago_asked.follow(world, written))


def _ingest(world: World, step: Step) -> None:
    named, metric, value = step["args"]
    found = lago_asked.follow(world, named)
    row = world.records[metric]
    sub: Sub = found.stage.license
    field = str(row.get("field_name", "item_id"))
    _observe(sub, Event(metric, sub.account.day(world.now).toordinal(), {field: value}))


def _observe(sub: Sub, event: Event) -> None:
    """An event is a reading of its metric's counter: whoever reports for a license may do so after its end too."""
    on = date_of(event.day)
    counted = sub.reported.setdefault(event.metric, CountedUsers(counted_users_id(sub.id, event.metric, on)))
    reading = Reading(on, 1, f"{counted.version}")
    counted.record(
        ReadingsRecorded(license=sub.id, counter=event.metric, month=on.replace(day=1), readings=(reading,))
    )
    sub.observed.append(event)


def _current_usage(world: World, step: Step) -> None:
    said = step.get("with") or {}
    account: Account = world.account(said["customer"])
    named = said.get("subscription")
    stage = lago_asked.follow(world, named).stage if named else account.stages()[-1]
    world.usage = {"customer_usage": usage_so_far(world, stage)}


def _update_subscription(world: World, step: Step) -> None:
    named, said = step["args"]
    update_subscription(world, lago_asked.follow(world, named).stage, said)


def _update_fixed_charge(world: World, step: Step) -> None:
    named, component, said = step["args"]
    reorder(world, lago_asked.follow(world, named).stage, component.removesuffix(".code"), said)


def _coupon(world: World, step: Step) -> None:
    world.coupons = True


def _nothing(world: World, step: Step) -> None:
    """Words of the peer's tests that stand for the steps after them."""


ACTIONS: dict[str, Callable[[World, Step], None]] = {
    "create_subscription": _subscribe,
    "perform_billing": _perform_billing,
    "perform_enqueued_jobs": _nothing,
    "Subscriptions::ActivateAllPendingService.call!": _nothing,
    "create_customer_subscription!": _nothing,
    "create_usage_event!": _nothing,
    "send_card_event!": _nothing,
    "send_event!": _nothing,
    "terminate_subscription": _terminate,
    "Subscriptions::TerminateService.call": _terminate,
    "create_event": _event,
    "ingest_event": _ingest,
    "fetch_current_usage": _current_usage,
    "apply_coupon": _coupon,
    "update_plan": update_plan,
    "update_subscription": _update_subscription,
    "update_subscription_fixed_charge": _update_fixed_charge,
}
