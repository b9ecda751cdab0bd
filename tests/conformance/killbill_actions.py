"""What can be done to Kill Bill's accounts, subscriptions and invoices, as changes of a ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from domain.events import license as events
from tests.conformance.killbill_catalog import Plan, Refused
from tests.conformance.killbill_history import Account, Choice, Subscription, offset
from tests.conformance.killbill_ledger import Invoice, Ledger
from tests.conformance.killbill_policy import (
    cancel_policy,
    change_of,
    change_policy,
    changed_clock,
    effective,
    first_clock,
    next_day,
)
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import cents

Step = dict[str, Any]


class Actions:
    """The peer's actions on a ledger; `at` is when it is."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.at, self.acted = ledger, "", ""
        self.accounts: dict[str, Account] = {}
        self.bundles: dict[str, list[Subscription]] = {}

    def do(self, step: Step) -> None:
        """Raises: Refused, or NotExpressible for what we have no word for."""
        if step["do"] not in DOES:
            raise NotExpressible(step["do"].replace("_", " "))
        DOES[step["do"]](self, step)

    def account(self, step: Step) -> Account:
        """The account that a step names, else the last one that something was done to."""
        self.acted = step.get("account") or self.acted
        return self.accounts[self.acted]

    def subscription(self, name: str) -> Subscription:
        """A subscription by its name, `sub1` or `sub1.id` or `sub1.bundle`."""
        found = next((one for one in self.ledger.subscriptions if one.name == name.split(".")[0]), None)
        if found is None:
            raise NotExpressible(f"no subscription {name}")
        self.acted = found.account.name
        return found

    def today(self, subscription: Subscription) -> date:
        return subscription.account.local(self.at)

    def nothing(self, step: Step) -> None:
        """Payments and the state of an invoice change nothing that is owed."""

    def create_account(self, step: Step) -> None:
        if step.get("parent") or step.get("payment_delegated_to_parent"):
            raise NotExpressible("parent and child accounts with summary invoices")
        zone, reference = step["timezone"], step.get("reference_time") or step["at"]
        account = Account(step["account"], step["currency"], offset(zone, reference))
        if step.get("bill_cycle_day"):
            account.cycle_days.append((date.min, step["bill_cycle_day"]))
        self.accounts[account.name] = account
        self.acted = account.name

    def update_account(self, step: Step) -> None:
        name, *said = step["args"]
        if not said or set(said[0]) != {"bill_cycle_day"}:
            raise NotExpressible("an account is updated, it is not said how")
        account = self.accounts[name]
        account.cycle_days.append((account.local(self.at), said[0]["bill_cycle_day"]))

    def tag(self, step: Step) -> None:
        if step["tag"] == "AUTO_INVOICING_OFF":
            self.account(step).invoicing = step["do"] == "tag_off"
        elif step["tag"] == "AUTO_INVOICING_REUSE_DRAFT":
            raise NotExpressible("invoices that are added to before they are committed")

    def config(self, step: Step) -> None:
        settings, value = self.ledger.settings, step["value"][0]
        if step["name"] == "in_arrear_mode":
            settings.greedy = value == "GREEDY"
        elif step["name"] == "zero_amount_usage_disabled":
            settings.zero_usage = not value
        elif step["name"] == "should_park_accounts_with_unknown_usage":
            raise NotExpressible("accounts parked for units that nobody knows")

    def add_simple_plan(self, step: Step) -> None:
        said = step["plan_spec"]
        if said["trial_length"]:
            raise NotExpressible("a simple plan with a trial")
        self.ledger.catalog.add(said["plan"], said["product"], said["billing_period"], said["amount"])

    def create(self, step: Step) -> None:
        bundle: list[Subscription] = []
        self.bundles[step.get("bundle_key") or step["subscription"]] = bundle
        self.begin(step["subscription"], self.account(step), bundle, step)

    def create_many(self, step: Step) -> None:
        """Bundles at once: a base each, and what is added to it. The step names only some of them."""
        names, account = iter(step["subscriptions"]), self.account(step)
        for number, said in enumerate(step["bundles"]):
            bundle: list[Subscription] = []
            for place, spec in enumerate(said["specs"]):
                self.begin(next(names, f"bundle {number} subscription {place}"), account, bundle, said | spec)

    def add_addon(self, step: Step) -> None:
        base = self.subscription(step["bundle"])
        self.begin(step["subscription"], base.account, base.bundle, step)

    def begin(self, name: str, account: Account, bundle: list[Subscription], said: Step) -> None:
        """Takes a subscription into a bundle, from today or from the day that it is to be billed from."""
        written = said.get("billing_date") or said.get("entitlement_date")
        today = account.local(self.at)
        on = account.local(written) if written else today
        choice = Choice(on, self._plan(said, today), said.get("price_list") or "DEFAULT", on)
        choice = choice._replace(clock=first_clock(self.ledger.catalog, bundle, choice))
        subscription = Subscription(name, account, bundle, [choice], written or "")
        bundle.append(subscription)
        if said.get("bill_cycle_day"):
            subscription.cycle_days.append((on, said["bill_cycle_day"]))
        if said.get("quantity"):
            subscription.quantities.append((on, said["quantity"]))
        self.ledger.subscriptions.append(subscription)

    def _plan(self, said: Step, on: date) -> Plan:
        """The plan that is asked for, by its name or by what it is, with prices of its own.

        Raises: Refused when there is none.
        """
        catalog = self.ledger.catalog
        name = said.get("plan") or catalog.named(said.get("product"), said.get("billing_period"))
        if name is None:
            raise Refused(f"no such plan of {said.get('product')}")
        plan, own = catalog.sold(name, on), []
        for one in said.get("price_overrides") or ():
            phase = one["phase"] if one["phase"].startswith(name) else f"{name}-{plan.phases[-1].kind.lower()}"
            own += [(phase, what, one[what]) for what in ("fixed", "recurring") if one.get(what) is not None]
        return plan._replace(own=tuple(own))

    def change(self, step: Step) -> None:
        subscription, catalog = self.subscription(step["subscription"]), self.ledger.catalog
        today = self.today(subscription)
        asked = subscription.account.local(step["date"]) if step.get("date") else today
        now, plan, prices = subscription.chosen(today), self._plan(step, asked), step.get("price_list") or "DEFAULT"
        if not catalog.has(now.plan, asked):
            raise Refused(f"{now.plan.name} is no longer in the catalog")
        if subscription is subscription.base and len(subscription.bundle) > 1 and plan.product != now.plan.product:
            raise NotExpressible("which add-ons go with which base")
        said = change_of(catalog, subscription, plan, prices, today)
        policy = step.get("policy") or "CATALOG_DEFAULT"
        policy = change_policy(catalog, said, today) if policy == "CATALOG_DEFAULT" else policy
        on = asked if step.get("date") else effective(self.ledger, subscription, policy, today)
        subscription.choose(Choice(on, plan, prices, changed_clock(catalog, subscription, said, on)))

    def cancel(self, step: Step) -> None:
        subscription = self.subscription(step["subscription"])
        today = self.today(subscription)
        if step.get("date"):
            subscription.end = subscription.account.local(step["date"])
            return
        policy = step.get("billing_policy") or cancel_policy(self.ledger.catalog, subscription, today)
        subscription.end = effective(self.ledger, subscription, policy, today)

    def uncancel(self, step: Step) -> None:
        self.subscription(step["subscription"]).end = None

    def transfer(self, step: Step) -> None:
        """A bundle goes to another account: it ends here, now or with its term, and goes on there in the same phase."""
        _, to, key, _, at, _, now, _ = step["args"]
        account, bundle = self.accounts[to], list[Subscription]()
        for old in self.bundles[key]:
            on = old.account.local(at)
            choice = old.chosen(on)
            old.end = on if now else effective(self.ledger, old, "END_OF_TERM", on)
            moved = Subscription(f"{old.name} moved", account, bundle, [choice._replace(on=on)])
            bundle.append(moved)
            self.ledger.subscriptions.append(moved)
        self.acted = to

    def pause(self, step: Step) -> None:
        base = self.subscription(step["bundle"])
        self._suspend(base.bundle, "pause", base.account.local(step["date"]))

    def resume(self, step: Step) -> None:
        base = self.subscription(step["bundle"])
        self._resume(base.bundle, "pause", base.account.local(step["date"]))

    def block(self, step: Step) -> None:
        """A state of one service: billing stops while any service says so."""
        state = step["state"]
        if state["type"] == "ACCOUNT":
            of = self.ledger.of(self.accounts[state["target"]])
        else:
            one = self.subscription(state["target"])
            of = [one] if state["type"] == "SUBSCRIPTION" else one.bundle
        does = self._suspend if state["block_billing"] else self._resume
        does(of, state["service"], of[0].account.local(step["effective_date"]))

    def _suspend(self, of: Sequence[Subscription], reason: str, on: date) -> None:
        for one in of:
            one.pauses.append(events.LicenseSuspended(reason=reason, from_on=on, pauses_billing=True))

    def _resume(self, of: Sequence[Subscription], reason: str, on: date) -> None:
        for one in of:
            one.pauses.append(events.LicenseResumed(reason=reason, on=on))

    def update_cycle_day(self, step: Step) -> None:
        """A new billing day holds from the next time that it comes round, from the day said or from today."""
        subscription, number = self.subscription(step["subscription"]), step["bill_cycle_day"]
        subscription.cycle_days.append((next_day(self._from(subscription, step), number), number))

    def update_quantity(self, step: Step) -> None:
        subscription = self.subscription(step["subscription"])
        subscription.quantities.append((self._from(subscription, step), step["quantity"]))

    def _from(self, subscription: Subscription, step: Step) -> date:
        today, said = self.today(subscription), step.get("effective_date") or step.get("date")
        return max(today, subscription.account.local(said)) if said else today

    def record_usage(self, step: Step) -> None:
        subscription = self.subscription(step["subscription"])
        on = subscription.account.local(step["usage_at"]).toordinal()
        of = subscription.used.setdefault(step["unit"], {})
        of[on] = of.get(on, 0) + int(step["amount"])

    def remove_usage(self, step: Step) -> None:
        subscription = self.subscription(step["subscription"])
        on = subscription.account.local(step["usage_at"]).toordinal()
        subscription.used.get(step["unit"], {}).pop(on, None)

    def external_charge(self, step: Step) -> None:
        """Something sold once: a license of one day, billed at once and alone."""
        account = self.account(step)
        on, today = account.local(step["date"]), account.local(self.at)
        sold = []
        for item in step["items"]:
            if item["type"] != "external_charge":
                raise NotExpressible(f"{item['type']} written by hand")
            plan = self.ledger.catalog.add_once(f"external_charge {len(self.ledger.subscriptions)}", item["amount"])
            one = Subscription(plan.name, account, [], [Choice(on, plan, "DEFAULT", on)])
            one.bundle.append(one)
            sold.append(one)
            self.ledger.subscriptions.append(one)
        self.ledger.run(account, max(on, today), today, sold)

    def credit(self, step: Step) -> None:
        """Credit of the account is an invoice of theirs, of which we have no row."""
        account = self.account(step)
        today = account.local(self.at)
        self.ledger.invoices.append(Invoice(account, today, today, []))

    def adjust(self, step: Step) -> None:
        self._adjust(step["item"], None if step["amount"] == "full" else step["amount"], step)

    def refund(self, step: Step) -> None:
        """The refund is a matter of payments; what it takes off the items is an adjustment."""
        for item, amount in step["item_adjustments"].items():
            self._adjust(item, amount, step)

    def _adjust(self, item: str, amount: str | None, step: Step) -> None:
        named = re.fullmatch(r"invoice\[(\d+)\]\.items\[(\d+)\]", item)
        if named is None:
            raise NotExpressible("which row is adjusted")
        number, place = map(int, named.groups())
        account = self.account(step)
        invoice = [one for one in self.ledger.invoices if one.account is account][number - 1]
        row = [one for one in invoice.rows if one.line.kind != "adjustment"][place]
        taken = None if amount is None else cents(amount, account.currency)
        self.ledger.adjust(invoice, row, taken, account.local(self.at))


DOES: dict[str, Callable[[Actions, Step], None]] = {
    "add_addon": Actions.add_addon,
    "add_simple_plan": Actions.add_simple_plan,
    "adjust_item": Actions.adjust,
    "advance_clock": Actions.nothing,
    "blocking_state": Actions.block,
    "cancel": Actions.cancel,
    "change_plan": Actions.change,
    "chargeback": Actions.nothing,
    "chargeback_reversal": Actions.nothing,
    "commit_invoice": Actions.nothing,
    "config": Actions.config,
    "create_account": Actions.create_account,
    "create_subscription": Actions.create,
    "create_subscriptions": Actions.create_many,
    "external_charge": Actions.external_charge,
    "insert_credit": Actions.credit,
    "pause": Actions.pause,
    "pay_all_unpaid_invoices": Actions.nothing,
    "pay_invoice": Actions.nothing,
    "pay_invoice_external": Actions.nothing,
    "payment_plugin": Actions.nothing,
    "record_usage": Actions.record_usage,
    "refund": Actions.nothing,
    "refund_with_item_adjustment": Actions.refund,
    "remove_usage": Actions.remove_usage,
    "resume": Actions.resume,
    "tag_off": Actions.tag,
    "tag_on": Actions.tag,
    "transfer_bundle": Actions.transfer,
    "uncancel": Actions.uncancel,
    "update_account": Actions.update_account,
    "update_bill_cycle_day": Actions.update_cycle_day,
    "update_quantity": Actions.update_quantity,
}


def would(actions: Actions, args: Step, step: Step) -> None:
    """Does what a preview asks about."""
    if args["action"] == "START_BILLING":
        bundle = actions.subscription(args["bundle"]).bundle if args.get("bundle") else []
        actions.begin("preview", actions.account(step), bundle, args)
    elif args["action"] == "CHANGE":
        actions.change(args)
    else:
        actions.cancel({"subscription": args["subscription"], "billing_policy": args.get("policy")})
