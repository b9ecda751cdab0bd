"""What can be done to Kill Bill's subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from domain.events import license as events
from tests.conformance.killbill.catalog import Plan, Refused
from tests.conformance.killbill.desk import Desk, Step
from tests.conformance.killbill.history import Account, Choice, Subscription
from tests.conformance.killbill.policy import (
    cancel_policy,
    change_of,
    change_policy,
    changed_clock,
    effective,
    first_clock,
    next_day,
)
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import number


def create(desk: Desk, step: Step) -> None:
    bundle: list[Subscription] = []
    desk.bundles[step.get("bundle_key") or step["subscription"]] = bundle
    begin(desk, step["subscription"], desk.account(step), bundle, step)


def create_many(desk: Desk, step: Step) -> None:
    """Bundles at once: a base each, and what is added to it. The step names only some of them."""
    names, account = iter(step["subscriptions"]), desk.account(step)
    for nth, said in enumerate(step["bundles"]):
        bundle: list[Subscription] = []
        for place, spec in enumerate(said["specs"]):
            begin(desk, next(names, f"bundle {nth} subscription {place}"), account, bundle, said | spec)


def add_addon(desk: Desk, step: Step) -> None:
    base = desk.subscription(step["bundle"])
    begin(desk, step["subscription"], base.account, base.bundle, step)


def begin(desk: Desk, name: str, account: Account, bundle: list[Subscription], said: Step) -> None:
    """Takes a subscription into a bundle, from today or from the day that it is to be billed from."""
    written = said.get("billing_date") or said.get("entitlement_date")
    today = account.local(desk.at)
    on = account.local(written) if written else today
    choice = Choice(on, _plan(desk, said, today), said.get("price_list") or "DEFAULT", on)
    choice = choice._replace(clock=first_clock(desk.ledger.catalog, bundle, choice))
    choice = choice.beginning_with(said.get("phase_type"))
    subscription = Subscription(name, account, bundle, [choice], written or "")
    bundle.append(subscription)
    if said.get("bill_cycle_day"):
        subscription.cycle_days.append((on, said["bill_cycle_day"]))
    if said.get("quantity"):
        subscription.quantities.append((on, said["quantity"]))
    desk.ledger.subscriptions.append(subscription)


def _plan(desk: Desk, said: Step, on: date) -> Plan:
    """The plan that is asked for, by its name or by what it is, with prices of its own.

    Raises: Refused when there is none.
    """
    catalog = desk.ledger.catalog
    name = said.get("plan") or catalog.named(said.get("product"), said.get("billing_period"))
    if name is None:
        raise Refused(f"no such plan of {said.get('product')}")
    plan, own = catalog.sold(name, on), []
    for one in said.get("price_overrides") or ():
        if any(value for name, value in one.items() if name not in ("phase", "currency", "fixed", "recurring")):
            raise NotExpressible("usage at a price of its own")
        phase = one["phase"] if one["phase"].startswith(name) else f"{name}-{plan.phases[-1].kind.lower()}"
        own += [(phase, what, one[what]) for what in ("fixed", "recurring") if one.get(what) is not None]
    return plan._replace(own=tuple(own))


def change(desk: Desk, step: Step) -> None:
    subscription, catalog = desk.subscription(step["subscription"]), desk.ledger.catalog
    today = desk.today(subscription)
    asked = subscription.account.local(step["date"]) if step.get("date") else today
    now, plan, prices = subscription.chosen(today), _plan(desk, step, asked), step.get("price_list") or "DEFAULT"
    if not catalog.has(now.plan, asked):
        raise Refused(f"{now.plan.name} is no longer in the catalog")
    if subscription is subscription.base and len(subscription.bundle) > 1 and plan.product != now.plan.product:
        raise NotExpressible("which add-ons go with which base")
    said = change_of(catalog, subscription, plan, prices, today)
    policy = step.get("policy") or "CATALOG_DEFAULT"
    policy = change_policy(catalog, said, today) if policy == "CATALOG_DEFAULT" else policy
    on = asked if step.get("date") else effective(desk.ledger, subscription, policy, today)
    if now.on == on and any(used.get(on.toordinal()) for used in subscription.used.values()):
        raise NotExpressible("usage of a plan that begins and ends on one day: ours has no days then")
    choice = Choice(on, plan, prices, changed_clock(catalog, subscription, said, on))
    subscription.choose(choice.beginning_with(step.get("phase_type")))


def cancel(desk: Desk, step: Step) -> None:
    """Ends on the day that is said, unless a policy lets what is charged run out after it; else by the catalog."""
    subscription, policy = desk.subscription(step["subscription"]), step.get("billing_policy")
    on = desk.today(subscription)
    if step.get("date"):
        on, policy = subscription.account.local(step["date"]), policy or "IMMEDIATE"
    policy = policy or cancel_policy(desk.ledger.catalog, subscription, on)
    subscription.end = effective(desk.ledger, subscription, policy, on)


def uncancel(desk: Desk, step: Step) -> None:
    desk.subscription(step["subscription"]).end = None


def transfer(desk: Desk, step: Step) -> None:
    """A bundle goes to another account: it ends here, now or with its term, and goes on there in the same phase."""
    _, to, key, _, at, _, now, _ = step["args"]
    account, bundle = desk.accounts[to], list[Subscription]()
    for old in desk.bundles[key]:
        on = old.account.local(at)
        choice = old.chosen(on)
        old.end = on if now else effective(desk.ledger, old, "END_OF_TERM", on)
        moved = Subscription(f"{old.name} moved", account, bundle, [choice._replace(on=on)])
        bundle.append(moved)
        desk.ledger.subscriptions.append(moved)
    desk.acted = to


def pause(desk: Desk, step: Step) -> None:
    base = desk.subscription(step["bundle"])
    _suspend(base.bundle, "pause", base.account.local(step["date"]))


def resume(desk: Desk, step: Step) -> None:
    base = desk.subscription(step["bundle"])
    _resume(base.bundle, "pause", base.account.local(step["date"]))


def block(desk: Desk, step: Step) -> None:
    """A state of one service: billing stops while any service says so."""
    state = step["state"]
    if state["type"] == "ACCOUNT":
        of = desk.ledger.of(desk.accounts[state["target"]])
    else:
        one = desk.subscription(state["target"])
        of = [one] if state["type"] == "SUBSCRIPTION" else one.bundle
    does = _suspend if state["block_billing"] else _resume
    does(of, state["service"], of[0].account.local(step["effective_date"]))


def _suspend(of: Sequence[Subscription], reason: str, on: date) -> None:
    for one in of:
        one.pauses.append(events.LicenseSuspended(reason=reason, from_on=on, pauses_billing=True))


def _resume(of: Sequence[Subscription], reason: str, on: date) -> None:
    for one in of:
        one.pauses.append(events.LicenseResumed(reason=reason, on=on))


def update_cycle_day(desk: Desk, step: Step) -> None:
    """A new billing day holds from the next time that it comes round, from the day said or from today."""
    subscription, number = desk.subscription(step["subscription"]), step["bill_cycle_day"]
    subscription.cycle_days.append((next_day(_from(desk, subscription, step), number), number))


def update_quantity(desk: Desk, step: Step) -> None:
    subscription = desk.subscription(step["subscription"])
    subscription.quantities.append((_from(desk, subscription, step), step["quantity"]))


def _from(desk: Desk, subscription: Subscription, step: Step) -> date:
    today, said = desk.today(subscription), step.get("effective_date") or step.get("date")
    return max(today, subscription.account.local(said)) if said else today


def record_usage(desk: Desk, step: Step) -> None:
    subscription = desk.subscription(step["subscription"])
    on = subscription.account.local(step["usage_at"]).toordinal()
    of = subscription.used.setdefault(step["unit"], {})
    amount = number(step["amount"])
    if amount.denominator != 1:
        raise NotExpressible("units that are not whole")
    of[on] = of.get(on, 0) + amount.numerator


def remove_usage(desk: Desk, step: Step) -> None:
    subscription = desk.subscription(step["subscription"])
    on = subscription.account.local(step["usage_at"]).toordinal()
    subscription.used.get(step["unit"], {}).pop(on, None)
