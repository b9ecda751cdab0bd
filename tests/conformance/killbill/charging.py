"""What can be done to Kill Bill's accounts, settings and invoices."""

from __future__ import annotations

import re
from datetime import date

from tests.conformance.killbill.desk import Desk, Step
from tests.conformance.killbill.history import Account, Choice, Subscription, offset
from tests.conformance.killbill.ledger import Invoice
from tests.conformance.killbill.void import void
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import cents


def nothing(desk: Desk, step: Step) -> None:
    """Payments and the state of an invoice change nothing that is owed."""


def create_account(desk: Desk, step: Step) -> None:
    if step.get("parent") or step.get("payment_delegated_to_parent"):
        raise NotExpressible("parent and child accounts with summary invoices")
    zone, reference = step["timezone"], step.get("reference_time") or step["at"]
    account = Account(step["account"], step["currency"], offset(zone, reference))
    if step.get("bill_cycle_day"):
        account.cycle_days.append((date.min, step["bill_cycle_day"]))
    desk.accounts[account.name] = account
    desk.acted = account.name


def update_account(desk: Desk, step: Step) -> None:
    name, *said = step["args"]
    if not said or set(said[0]) != {"bill_cycle_day"}:
        raise NotExpressible("an account is updated, it is not said how")
    account = desk.accounts[name]
    account.cycle_days.append((account.local(desk.at), said[0]["bill_cycle_day"]))


def tag(desk: Desk, step: Step) -> None:
    if step["tag"] == "AUTO_INVOICING_OFF":
        desk.account(step).invoicing = step["do"] == "tag_off"
    elif step["tag"] == "AUTO_INVOICING_REUSE_DRAFT":
        raise NotExpressible("invoices that are added to before they are committed")


def config(desk: Desk, step: Step) -> None:
    """A setting of the peer's changes; what it does not change is what is owed."""
    settings, value = desk.ledger.settings, step["value"][0]
    if step["name"] == "in_arrear_mode":
        settings.greedy = value == "GREEDY"
    elif step["name"] == "zero_amount_usage_disabled":
        settings.zero_usage = not value
    elif step["name"] == "item_result_behavior_mode":
        settings.in_detail = value == "DETAIL"
    elif step["name"] == "should_park_accounts_with_unknown_usage":
        settings.parks = bool(value)


def add_simple_plan(desk: Desk, step: Step) -> None:
    said = step["plan_spec"]
    if said["trial_length"]:
        raise NotExpressible("a simple plan with a trial")
    desk.ledger.catalog.add(said["plan"], said["product"], said["billing_period"], said["amount"])


def external_charge(desk: Desk, step: Step) -> None:
    """Something sold once: a license of one day, billed at once and alone."""
    account = desk.account(step)
    on, today = account.local(step["date"]), account.local(desk.at)
    sold = []
    for item in step["items"]:
        if item["type"] != "external_charge":
            raise NotExpressible(f"{item['type']} written by hand")
        name = f"external_charge {len(desk.ledger.subscriptions)}"
        plan = desk.ledger.catalog.add_once(name, item["amount"], _days(item.get("dates") or []))
        one = Subscription(plan.name, account, [], [Choice(on, plan, "DEFAULT", on)])
        one.bundle.append(one)
        sold.append(one)
        desk.ledger.subscriptions.append(one)
    desk.ledger.run(account, max(on, today), today, sold)


def _days(written: list[str]) -> int:
    """How many days something is sold for: one, unless it says until when."""
    return max(1, (date.fromisoformat(written[-1]) - date.fromisoformat(written[0])).days) if written else 1


def credit(desk: Desk, step: Step) -> None:
    """Credit of the account is an invoice of theirs, of which we have no row."""
    account = desk.account(step)
    today = account.local(desk.at)
    desk.ledger.invoices.append(Invoice(account, today, today, []))


def adjust(desk: Desk, step: Step) -> None:
    _adjust(desk, step["item"], None if step["amount"] == "full" else step["amount"], step)


def refund(desk: Desk, step: Step) -> None:
    """The refund is a matter of payments; what it takes off the items is an adjustment."""
    for item, amount in step["item_adjustments"].items():
        _adjust(desk, item, amount, step)


def void_invoice(desk: Desk, step: Step) -> None:
    void(desk.ledger, _invoice(desk, step, step["args"][0]))


def _invoice(desk: Desk, step: Step, name: str) -> Invoice:
    """An invoice of the account by its number."""
    named = re.match(r"invoice\[(\d+)\]", name)
    if named is None:
        raise NotExpressible("which invoice is meant")
    account = desk.account(step)
    return [one for one in desk.ledger.invoices if one.account is account][int(named[1]) - 1]


def _adjust(desk: Desk, item: str, amount: str | None, step: Step) -> None:
    named = re.fullmatch(r"invoice\[(\d+)\]\.items(?:\[(\d+)\]|\.stream\(\)\.filter\(.*)", item)
    if named is None:
        raise NotExpressible("which row is adjusted")
    account, invoice = desk.account(step), _invoice(desk, step, item)
    rows = [one for one in invoice.rows if one.line.kind != "adjustment"]
    # A row that is looked for, and not told how, is that of the subscription that something was just done to.
    row = rows[int(named[2])] if named[2] else next(one for one in rows if one.subscription.name == desk.last)
    taken = None if amount is None else cents(amount, account.currency)
    desk.ledger.adjust(invoice, row, taken, account.local(desk.at))
