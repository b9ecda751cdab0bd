"""What can be done to Kill Bill's subscriptions, and the day that its policies let it take effect on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from domain.events import license as events
from domain.period import day as date_of
from domain.terms import Terms
from tests.conformance.killbill_catalog import Plan, Refused
from tests.conformance.killbill_history import Account, Choice, Subscription, offset
from tests.conformance.killbill_ledger import Invoice, Ledger
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import cents

NO_EFFECT = {"advance_clock", "commit_invoice", "payment_plugin"}
"""What changes nothing that is owed."""

Step = dict[str, Any]


class Actions:
    """The peer's actions on a ledger; `at` is when it is."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.at = ledger, ""
        self.accounts: dict[str, Account] = {}
        self.acted = ""
        self.bundles: dict[str, list[Subscription]] = {}

    # Finding what an action is about.

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

    def do(self, step: Step) -> None:
        """Raises: Refused, or NotExpressible for what we have no word for."""
        if step["do"] in NO_EFFECT:
            return
        if step["do"] not in DOES:
            raise NotExpressible(f"{step['do'].replace('_', ' ')}")
        DOES[step["do"]](self, step)

    # Accounts.

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

    def config(self, step: Step) -> None:
        settings, value = self.ledger.settings, step["value"][0]
        if step["name"] == "in_arrear_mode":
            settings.greedy = value == "GREEDY"
        elif step["name"] == "zero_amount_usage_disabled":
            settings.zero_usage = not value
        elif step["name"] == "should_park_accounts_with_unknown_usage":
            raise NotExpressible("accounts parked for units that nobody knows")

    def external_charge(self, step: Step) -> None:
        """Something sold once: a license of one day, billed at once and alone."""
        account = self.account(step)
        on, today = account.local(step["date"]), account.local(self.at)
        sold = []
        for item in step["items"]:
            name = f"external_charge {len(self.ledger.subscriptions)}"
            phase = {"type": "EVERGREEN", "duration": {"unit": "DAYS", "n": 1}, "fixed": item["amount"]}
            plan = Plan(name, 1, {"product": "", "mode": "IN_ADVANCE", "phases": [phase]}, None)
            self.ledger.catalog.plans[name] = [plan]
            sold.append(Subscription(name, account, [], [Choice(on, plan, "DEFAULT", on)]))
            sold[-1].bundle.append(sold[-1])
            self.ledger.subscriptions.append(sold[-1])
        self.ledger.run(account, max(on, today), today, sold)

    def add_simple_plan(self, step: Step) -> None:
        said = step["plan_spec"]
        if said["trial_length"]:
            raise NotExpressible("a simple plan with a trial")
        self.ledger.catalog.add(said["plan"], said["product"], said["billing_period"], said["amount"])

    # Subscriptions.

    def create(self, step: Step) -> None:
        bundle: list[Subscription] = []
        self._create(step["subscription"], self.account(step), bundle, step)
        self.bundles[step.get("bundle_key") or step["subscription"]] = bundle

    def create_many(self, step: Step) -> None:
        names, account = iter(step["subscriptions"]), self.account(step)
        for number, said in enumerate(step["bundles"]):
            bundle: list[Subscription] = []
            for place, spec in enumerate(said["specs"]):
                name = next(names, f"bundle {number} subscription {place}")
                self._create(name, account, bundle, {**said, **spec})

    def add_addon(self, step: Step) -> None:
        base = self.subscription(step["bundle"])
        self._create(step["subscription"], base.account, base.bundle, step)

    def _create(self, name: str, account: Account, bundle: list[Subscription], said: Step) -> None:
        today = account.local(self.at)
        written = said.get("billing_date") or said.get("entitlement_date")
        on = account.local(written) if written else today
        plan, prices = self._plan(said, today), said.get("price_list") or "DEFAULT"
        clock = on
        if bundle and self._alignment(plan, prices, on) == "START_OF_BUNDLE":
            clock = min(bundle[0].start, on)
        subscription = Subscription(name, account, bundle, [Choice(on, plan, prices, clock)], written or "")
        bundle.append(subscription)
        if said.get("bill_cycle_day"):
            subscription.cycle_days.append((on, said["bill_cycle_day"]))
        self.ledger.subscriptions.append(subscription)

    def _plan(self, said: Step, on: date) -> Plan:
        """The plan that is asked for, by its name or by what it is, with prices of its own.

        Raises: Refused when there is none.
        """
        catalog = self.ledger.catalog
        name = said.get("plan") or next((one for one in catalog.plans if self._is(one, said, on)), None)
        if name is None:
            raise Refused(f"no such plan of {said.get('product')}")
        plan, own = catalog.sold(name, on), []
        for one in said.get("price_overrides") or ():
            phase = one["phase"] if one["phase"].startswith(name) else f"{name}-{plan.phases[-1].kind.lower()}"
            own += [(phase, what, one[what]) for what in ("fixed", "recurring") if one.get(what) is not None]
        return plan._replace(own=tuple(own))

    def _is(self, name: str, said: Step, on: date) -> bool:
        plans = [plan for plan in self.ledger.catalog.plans[name] if plan.product == said.get("product")]
        return any(plan.billing_period == said.get("billing_period") for plan in plans)

    def _alignment(self, plan: Plan, prices: str, on: date) -> str:
        return self.ledger.catalog.rule(
            "createAlignment", on, "alignment", "START_OF_BUNDLE", product=plan.product, priceList=prices,
            productCategory=self.ledger.catalog.category(plan), billingPeriod=plan.billing_period,
        )  # fmt: skip

    def change(self, step: Step) -> None:
        subscription = self.subscription(step["subscription"])
        today = self.today(subscription)
        now = subscription.chosen(today)
        asked = subscription.account.local(step["date"]) if step.get("date") else today
        plan, prices = self._plan(step, asked), step.get("price_list") or "DEFAULT"
        if not self.ledger.catalog.has(now.plan, asked):
            raise Refused(f"{now.plan.name} is no longer in the catalog")
        said = self._between(subscription, now, plan, prices, today)
        policy = step.get("policy") or "CATALOG_DEFAULT"
        if policy == "CATALOG_DEFAULT":
            policy = self.ledger.catalog.rule("changePolicy", today, "policy", "END_OF_TERM", **said)
        on = asked if step.get("date") else self._effective(subscription, policy)
        alignment = self.ledger.catalog.rule("changeAlignment", today, "alignment", "START_OF_BUNDLE", **said)
        if subscription is subscription.base and len(subscription.bundle) > 1 and plan.product != now.plan.product:
            raise NotExpressible("which add-ons go with which base")
        subscription.choose(Choice(on, plan, prices, self._clock(subscription, prices, alignment, on)))

    def _between(self, subscription: Subscription, now: Choice, plan: Plan, prices: str, on: date) -> dict[str, str]:
        """What rules ask of a change from one plan to another."""
        catalog = self.ledger.catalog
        sides = {"from": (now.plan, now.price_list), "to": (plan, prices)}
        said = {"phaseType": self._phase(subscription, on)}
        for side, (one, of) in sides.items():
            said |= {f"{side}Product": one.product, f"{side}BillingPeriod": one.billing_period, f"{side}PriceList": of}
            said[f"{side}ProductCategory"] = catalog.category(one)
        return said

    def _phase(self, subscription: Subscription, on: date) -> str:
        segments = subscription.segments()
        now = next((one for one in reversed(segments) if one.start <= on), segments[0])
        return now.plan.phases[now.phase].kind

    def _clock(self, subscription: Subscription, prices: str, alignment: str, on: date) -> date:
        """The day that the phases of a new plan are counted from."""
        if alignment == "CHANGE_OF_PLAN":
            return on
        if alignment == "CHANGE_OF_PRICELIST":
            since = on
            for choice in reversed([one for one in subscription.choices if one.on < on]):
                if choice.price_list != prices:
                    break
                since = choice.on
            return since
        return subscription.base.start if alignment == "START_OF_BUNDLE" else subscription.start

    def _effective(self, subscription: Subscription, policy: str) -> date:
        """The day that a policy means: now, where what is charged ends, or where the present period began."""
        today = self.today(subscription)
        if policy == "END_OF_TERM":
            return max(self.ledger.charged_through(subscription) or today, today)
        if policy == "START_OF_TERM":
            return self._period_start(subscription, today)
        return today

    def _period_start(self, subscription: Subscription, on: date) -> date:
        ordinal = on.toordinal()
        held: list[Terms] = [one for one in self.ledger.terms(subscription) if one.start <= ordinal < one.end]
        recurring = [one for one in held if one.component.charge == "recurring"]
        return date_of(max([one.start for one in held] + [one.grid.period(ordinal)[0] for one in recurring]))

    def cancel(self, step: Step) -> None:
        subscription = self.subscription(step["subscription"])
        today = self.today(subscription)
        if step.get("date"):
            subscription.end = subscription.account.local(step["date"])
            return
        policy = step.get("billing_policy")
        if policy is None:
            now = subscription.chosen(today)
            policy = self.ledger.catalog.rule(
                "cancelPolicy", today, "policy", "END_OF_TERM", phaseType=self._phase(subscription, today),
                product=now.plan.product, billingPeriod=now.plan.billing_period, priceList=now.price_list,
                productCategory=self.ledger.catalog.category(now.plan),
            )  # fmt: skip
        subscription.end = self._effective(subscription, policy)

    def uncancel(self, step: Step) -> None:
        self.subscription(step["subscription"]).end = None

    def transfer(self, step: Step) -> None:
        """A bundle goes to another account: it ends here, now or with its term, and goes on there in the same phase."""
        _, to, key, _, at, _, now, _ = step["args"]
        account, bundle = self.accounts[to], list[Subscription]()
        for old in self.bundles[key]:
            on = old.account.local(at)
            choice = old.chosen(on)
            old.end = on if now else self._effective(old, "END_OF_TERM")
            moved = Subscription(f"{old.name} moved", account, bundle, [choice._replace(on=on)])
            bundle.append(moved)
            self.ledger.subscriptions.append(moved)
        self.acted = to

    def pause(self, step: Step) -> None:
        base = self.subscription(step["bundle"])
        on = base.account.local(step["date"])
        for one in base.bundle:
            one.pauses.append(events.LicenseSuspended(reason="pause", from_on=on, pauses_billing=True))

    def resume(self, step: Step) -> None:
        base = self.subscription(step["bundle"])
        on = base.account.local(step["date"])
        for one in base.bundle:
            one.pauses.append(events.LicenseResumed(reason="pause", on=on))

    def block(self, step: Step) -> None:
        """A state of one service: billing stops while any service says so."""
        state = step["state"]
        if state["type"] != "SUBSCRIPTION":
            raise NotExpressible(f"a blocking state of a {state['type'].lower()}")
        subscription = self.subscription(state["target"])
        on = subscription.account.local(step["effective_date"])
        if state["block_billing"]:
            blocked = events.LicenseSuspended(reason=state["service"], from_on=on, pauses_billing=True)
            subscription.pauses.append(blocked)
        else:
            subscription.pauses.append(events.LicenseResumed(reason=state["service"], on=on))

    def update_cycle_day(self, step: Step) -> None:
        """A new billing day holds from the next time that it comes round, unless it is said from when."""
        subscription, number = self.subscription(step["subscription"]), step["bill_cycle_day"]
        on = self.today(subscription)
        if step.get("effective_date"):
            on = max(on, subscription.account.local(step["effective_date"]))
        subscription.cycle_days.append((next_day(on, number), number))

    def record_usage(self, step: Step) -> None:
        subscription = self.subscription(step["subscription"])
        on = subscription.account.local(step["usage_at"]).toordinal()
        of = subscription.used.setdefault(step["unit"], {})
        of[on] = of.get(on, 0) + int(step["amount"])

    def remove_usage(self, step: Step) -> None:
        subscription = self.subscription(step["subscription"])
        on = subscription.account.local(step["usage_at"]).toordinal()
        subscription.used.get(step["unit"], {}).pop(on, None)

    # Invoices.

    def invoice(self, name: str, account: Account) -> Invoice:
        """An invoice of an account by its number, `invoice[2]`."""
        number = int(name.split("[")[1].split("]")[0])
        own = [one for one in self.ledger.invoices if one.account is account]
        if number > len(own):
            raise NotExpressible(f"{name} is not there")
        return own[number - 1]

    def adjust(self, step: Step) -> None:
        self._adjust(step["item"], None if step["amount"] == "full" else step["amount"], step)

    def refund(self, step: Step) -> None:
        """The refund is a matter of payments; what it takes off the items is an adjustment."""
        for item, amount in step["item_adjustments"].items():
            self._adjust(item, amount, step)

    def _adjust(self, item: str, amount: str | None, step: Step) -> None:
        account = self.account(step)
        invoice = self.invoice(item.split(".")[0], account)
        place = int(item.rsplit("[", maxsplit=1)[1].rstrip("]"))
        row = [one for one in invoice.rows if one.line.kind != "adjustment"][place]
        taken = None if amount is None else cents(amount, account.currency)
        self.ledger.adjust(invoice, row, taken, account.local(self.at))

    # Previews.

    def would(self, args: Step, step: Step) -> None:
        """Does what a preview asks about."""
        action = args["action"]
        if action == "START_BILLING":
            bundle = self.subscription(args["bundle"]).bundle if args.get("bundle") else []
            self._create("preview", self.account(step), bundle, args)
        elif action == "CHANGE":
            self.change(args)
        else:
            self.cancel({"subscription": args["subscription"], "billing_policy": args.get("policy")})


def next_day(on: date, number: int) -> date:
    """The first day, from a day on, that a billing day of the month falls on."""
    from domain.grid import day_in_month, month_of

    month = month_of(on.toordinal())
    here = day_in_month(month, number)
    return date_of(here if here >= on.toordinal() else day_in_month(month + 1, number))


DOES: dict[str, Callable[[Actions, Step], None]] = {
    "create_account": Actions.create_account,
    "update_account": Actions.update_account,
    "tag_on": Actions.tag,
    "tag_off": Actions.tag,
    "config": Actions.config,
    "create_subscription": Actions.create,
    "create_subscriptions": Actions.create_many,
    "add_addon": Actions.add_addon,
    "change_plan": Actions.change,
    "cancel": Actions.cancel,
    "uncancel": Actions.uncancel,
    "pause": Actions.pause,
    "resume": Actions.resume,
    "blocking_state": Actions.block,
    "update_bill_cycle_day": Actions.update_cycle_day,
    "record_usage": Actions.record_usage,
    "remove_usage": Actions.remove_usage,
    "adjust_item": Actions.adjust,
    "refund_with_item_adjustment": Actions.refund,
    "external_charge": Actions.external_charge,
    "add_simple_plan": Actions.add_simple_plan,
    "transfer_bundle": Actions.transfer,
}
