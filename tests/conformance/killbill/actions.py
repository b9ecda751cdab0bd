"""Kill Bill's actions by name, done for good or only for a preview."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.killbill import charging, payments, subscribing
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
    "delete_credit_item": charging.nothing,
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
    "void_invoice": charging.void_invoice,
}


PAYS: dict[str, Action] = {
    "change_plan": payments.change_plan,
    "chargeback": payments.chargeback,
    "chargeback_reversal": payments.chargeback_reversal,
    "create_account": payments.create_account,
    "external_charge": payments.external_charge,
    "insert_credit": payments.credit,
    "pay_all_unpaid_invoices": payments.pay_all,
    "pay_invoice": payments.pay,
    "payment_api:create_refund_with_payment_control": payments.refund_called,
    "payment_api:notify_pending_transaction_of_state_changed_with_payment_control": payments.notify,
    "payment_plugin": payments.plugin,
    "refund": payments.refund,
    "refund_with_item_adjustment": payments.refund_adjusted,
    "tag_off": payments.tag,
    "tag_on": payments.tag,
    "void_invoice": payments.void_invoice,
}
"""What is done in another way where a case tells of payments."""


def _action(desk: Desk, step: Step) -> Action | None:
    name = step["do"]
    return (PAYS.get(name) if desk.pays else None) or DOES.get(name)


def changes_something(desk: Desk, step: Step) -> bool:
    """Whether an action can change what is owed or paid, as far as the case tells of it."""
    return _action(desk, step) is not charging.nothing


def do(desk: Desk, step: Step) -> None:
    """Raises: Refused, or NotExpressible for what we have no word for."""
    action = _action(desk, step)
    if action is None:
        raise NotExpressible(step["do"].replace("_", " "))
    action(desk, step)


def would(desk: Desk, args: Step, step: Step) -> None:
    """Does what a preview asks about."""
    if args["action"] == "START_BILLING":
        bundle = desk.subscription(args["bundle"]).bundle if args.get("bundle") else []
        subscribing.begin(desk, "preview", desk.account(step), bundle, args)
    elif args["action"] == "CHANGE":
        subscribing.change(desk, args)
    else:
        subscribing.cancel(desk, {"subscription": args["subscription"], "billing_policy": args.get("policy")})
