"""Kill Bill's rules about changes: when one takes effect, and from which day the phases of a plan are counted."""

from __future__ import annotations

from datetime import date

from domain.grid import day_in_month, month_of
from domain.period import day as date_of
from tests.conformance.killbill.catalog import Catalog, Plan
from tests.conformance.killbill.history import Choice, Subscription
from tests.conformance.killbill.ledger import Ledger

Asked = dict[str, str]
"""What a rule is asked about."""


def first_clock(catalog: Catalog, bundle: list[Subscription], choice: Choice) -> date:
    """The day that the phases of a new subscription are counted from: its own start, or that of its bundle."""
    asked = _of(catalog, choice)
    if catalog.rule("createAlignment", choice.on, "alignment", "START_OF_BUNDLE", asked) != "START_OF_BUNDLE":
        return choice.on
    return min([choice.on, *(one.start for one in bundle[:1])])


def change_of(catalog: Catalog, subscription: Subscription, plan: Plan, prices: str, on: date) -> Asked:
    """A change from the plan of a day to another, as rules ask about it."""
    now = subscription.chosen(on)
    asked = {"phaseType": _phase(subscription, on)}
    for side, one in (("from", now), ("to", now._replace(plan=plan, price_list=prices))):
        asked |= {f"{side}{name[0].upper()}{name[1:]}": value for name, value in _of(catalog, one).items()}
    return asked


def change_policy(catalog: Catalog, change: Asked, on: date) -> str:
    """When a change may take effect that does not say when."""
    return catalog.rule("changePolicy", on, "policy", "END_OF_TERM", change)


def cancel_policy(catalog: Catalog, subscription: Subscription, on: date) -> str:
    """When a cancellation may take effect that does not say when."""
    asked = _of(catalog, subscription.chosen(on)) | {"phaseType": _phase(subscription, on)}
    return catalog.rule("cancelPolicy", on, "policy", "END_OF_TERM", asked)


def changed_clock(catalog: Catalog, subscription: Subscription, change: Asked, on: date) -> date:
    """The day that the phases of a new plan are counted from."""
    alignment = catalog.rule("changeAlignment", on, "alignment", "START_OF_BUNDLE", change)
    if alignment == "CHANGE_OF_PLAN":
        return on
    if alignment == "CHANGE_OF_PRICELIST":
        return _price_list_since(subscription, change["toPriceList"], on)
    return subscription.base.start if alignment == "START_OF_BUNDLE" else subscription.start


def effective(ledger: Ledger, subscription: Subscription, policy: str, today: date) -> date:
    """The day that a policy means: now, where what is charged ends, or where the present period began."""
    if policy == "END_OF_TERM":
        return max(ledger.charged_through(subscription) or today, today)
    if policy == "START_OF_TERM":
        return _period_start(ledger, subscription, today)
    return today


def next_day(on: date, cycle_day: int) -> date:
    """The first day, from a day on, that a billing day of the month falls on."""
    month, ordinal = month_of(on.toordinal()), on.toordinal()
    here = day_in_month(month, cycle_day)
    return date_of(here if here >= ordinal else day_in_month(month + 1, cycle_day))


def _of(catalog: Catalog, choice: Choice) -> Asked:
    plan = choice.plan
    return {
        "product": plan.product,
        "productCategory": catalog.category(plan),
        "billingPeriod": plan.billing_period,
        "priceList": choice.price_list,
    }


def _phase(subscription: Subscription, on: date) -> str:
    segments = subscription.segments()
    now = next((one for one in reversed(segments) if one.start <= on), segments[0])
    return now.plan.phases[now.phase].kind


def _price_list_since(subscription: Subscription, price_list: str, on: date) -> date:
    since = on
    for choice in reversed([one for one in subscription.choices if one.on < on]):
        if choice.price_list != price_list:
            break
        since = choice.on
    return since


def _period_start(ledger: Ledger, subscription: Subscription, on: date) -> date:
    ordinal = on.toordinal()
    held = [one for one in ledger.licenses.terms(subscription) if one.start <= ordinal < one.end]
    periods = [one.grid.period(ordinal)[0] for one in held if one.component.charge == "recurring"]
    return date_of(max([*(one.start for one in held), *periods], default=ordinal))
