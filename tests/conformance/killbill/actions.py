"""Kill Bill's actions by name, done for good or only for a preview."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.killbill import charging, subscribing
from tests.conformance.killbill.desk import Desk, Step
from tests.conformance.verdict import NotExpressible

Action = Callable[[Desk, Step], None]

DOES: dict[str, Action] = {
    "add_addon": subscribing.add_addon,
    "add_simple_plan": charging.add_simple_plan,
    "adjust_item": charging.adjust,
    "advance_clock": charging.nothing,
    "blocking_state": subscribing.block,
    "cancel": subscribing.cancel,
    "change_plan": subscribing.change,
    "chargeback": charging.nothing,
    "chargeback_reversal": charging.nothing,
    "commit_invoice": charging.nothing,
    "config": charging.config,
    "create_account": charging.create_account,
    "create_subscription": subscribing.create,
    "create_subscriptions": subscribing.create_many,
    "external_charge": charging.external_charge,
    "insert_credit": charging.credit,
    "pause": subscribing.pause,
    "pay_all_unpaid_invoices": charging.nothing,
    "pay_invoice": charging.nothing,
    "pay_invoice_external": charging.nothing,
    "payment_plugin": charging.nothing,
    "record_usage": subscribing.record_usage,
    "refund": charging.nothing,
    "refund_with_item_adjustment": charging.refund,
    "remove_usage": subscribing.remove_usage,
    "resume": subscribing.resume,
    "tag_off": charging.tag,
    "tag_on": charging.tag,
    "transfer_bundle": subscribing.transfer,
    "uncancel": subscribing.uncancel,
    "update_account": charging.update_account,
    "update_bill_cycle_day": subscribing.update_cycle_day,
    "update_quantity": subscribing.update_quantity,
}


def changes_something(step: Step) -> bool:
    """Whether an action can change what is owed; payments do not."""
    return DOES.get(step["do"]) is not charging.nothing


def do(desk: Desk, step: Step) -> None:
    """Raises: Refused, or NotExpressible for what we have no word for."""
    if step["do"] not in DOES:
        raise NotExpressible(step["do"].replace("_", " "))
    DOES[step["do"]](desk, step)


def would(desk: Desk, args: Step, step: Step) -> None:
    """Does what a preview asks about."""
    if args["action"] == "START_BILLING":
        bundle = desk.subscription(args["bundle"]).bundle if args.get("bundle") else []
        subscribing.begin(desk, "preview", desk.account(step), bundle, args)
    elif args["action"] == "CHANGE":
        subscribing.change(desk, args)
    else:
        subscribing.cancel(desk, {"subscription": args["subscription"], "billing_policy": args.get("policy")})
