"""What happens in a Lago scenario, as facts and runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from domain.counted_users import CountedUsers, counted_users_id
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.period import day as date_of
from tests.conformance.lago.asked import follow
from tests.conformance.lago.counts import Event
from tests.conformance.lago.licenses import UTC, Stage, Sub, instant
from tests.conformance.lago.orders import reorder, update_plan, update_subscription
from tests.conformance.lago.preview import usage_so_far
from tests.conformance.lago.records import Row, field_of
from tests.conformance.lago.shown import Subscription
from tests.conformance.lago.subscriptions import begin, close, subscribe, terminate
from tests.conformance.lago.world import World
from tests.conformance.verdict import NotExpressible

Step = dict[str, Any]


def known(steps: Iterable[Step]) -> None:
    """Raises: NotExpressible when something happens that we have no word for."""
    for step in steps:
        if "do" in step and step["do"] not in ACTIONS:
            raise NotExpressible(f"no such action: {step['do']}")


def act(world: World, step: Step) -> None:
    """One step."""
    ACTIONS[step["do"]](world, step)


def pass_time(world: World, at: datetime) -> None:
    """What happens by itself until a moment: what begins and ends on its day, and is billed then."""
    world.now = at
    for account in list(world.accounts.values()):
        for stage in account.stages():
            if not stage.begun and stage.start <= account.day(at):
                begin(world, stage)
            if stage.ending and not stage.closed and account.day(stage.ending) <= account.day(at):
                close(world, stage)


def tick(world: World) -> None:
    """The peer's clock: whatever fell due is billed."""
    for account in world.accounts.values():
        world.bill(account, account.day(world.now))


def _said(step: Step) -> Row:
    """The words of a step that has one set of them."""
    said = (step.get("args") or [{}])[0]
    if not isinstance(said, dict):
        raise NotExpressible(f"{step['do']} of something that is not told")
    return said


def _stage(world: World, named: object) -> Stage:
    """The subscription that a path leads to."""
    found = follow(world, named) if isinstance(named, str) else None
    if not isinstance(found, Subscription):
        raise NotExpressible("a subscription that is not told")
    return found.stage


def _subscribe(world: World, step: Step) -> None:
    subscribe(world, _said(step))


def _terminate(world: World, step: Step) -> None:
    said = dict(step.get("with") or {})
    named = said.pop("subscription", None) or (step.get("args") or [None])[0]
    if said:
        raise NotExpressible("a termination without its credit or its invoice")
    terminate(world, _stage(world, named))


def _perform_billing(world: World, step: Step) -> None:
    tick(world)


def _event(world: World, step: Step) -> None:
    said, external = _said(step), _said(step)["external_subscription_id"]
    sub = world.sub(str(follow(world, external)) if ".subscriptions" in external else external)
    metric, on = world.records.metric_named(said["code"]), _when(world, said.get("timestamp"))
    properties = {_property(world, name): value for name, value in (said.get("properties") or {}).items()}
    amount = str(said.get("precise_total_amount_cents", "0"))
    _observe(world, sub, Event(metric["ref"], sub.account.day(on).toordinal(), properties, amount))


def _when(world: World, said: str | int | None) -> datetime:
    """The moment of an event: now, unless it says another."""
    if isinstance(said, int):
        return datetime.fromtimestamp(said, tz=UTC)
    return instant(said) if said else world.now


def _property(world: World, name: str) -> str:
    """A property by its name, or as that which a metric looks at."""
    return field_of(world.records[name.partition(".")[0]]) if "#" in name else name


def _ingest(world: World, step: Step) -> None:
    named, metric, value = step["args"]
    sub, row = _stage(world, named).license, world.records[metric]
    _observe(world, sub, Event(metric, sub.account.day(world.now).toordinal(), {field_of(row): value}))


def _observe(world: World, sub: Sub, event: Event) -> None:
    """That something was seen is a fact of its counter: whoever reports for a license may do so after its end too."""
    on = date_of(event.day)
    counter = sub.reported.setdefault(event.metric, CountedUsers(counted_users_id(sub.id, event.metric, on)))
    seen = Reading(on, 1, f"{counter.version}")
    counter.record(ReadingsRecorded(license=sub.id, counter=event.metric, month=on.replace(day=1), readings=(seen,)))
    sub.observed.append(event)
    world.bill_event(sub, event)


def _current_usage(world: World, step: Step) -> None:
    said = step.get("with") or {}
    stages = world.account(said["customer"]).stages()
    stage = _stage(world, said["subscription"]) if said.get("subscription") else stages[-1]
    world.usage = {"customer_usage": usage_so_far(world, stage)}


def _update_subscription(world: World, step: Step) -> None:
    named, said = step["args"]
    update_subscription(world, _stage(world, named), said)


def _update_fixed_charge(world: World, step: Step) -> None:
    named, component, said = step["args"]
    reorder(world, _stage(world, named), component.removesuffix(".code"), said)


def _coupon(world: World, step: Step) -> None:
    world.coupons = True


def _update_invoice(world: World, step: Step) -> None:
    """That an invoice is paid changes nothing that is owed."""
    if set(step["args"][1]) != {"payment_status"}:
        raise NotExpressible("an invoice that is changed after it was issued")


def _nothing(world: World, step: Step) -> None:
    """Words of the peer's tests that stand for the steps after them."""


ACTIONS: dict[str, Callable[[World, Step], None]] = {
    "create_subscription": _subscribe,
    "perform_billing": _perform_billing,
    "perform_enqueued_jobs": _nothing,
    "perform_usage_update": _nothing,
    "update_invoice": _update_invoice,
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
