"""What can be done to Kill Bill's payments."""

from __future__ import annotations

import re
from datetime import date

from domain.errors import Conflict
from domain.payment import State
from tests.conformance.killbill import charging, subscribing
from tests.conformance.killbill.catalog import Refused
from tests.conformance.killbill.desk import Desk, Step
from tests.conformance.killbill.till import Owed, Paid, Till
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import cents

FOLLOWING: dict[str, State] = {
    "make_next_payment_fail_with_error": "declined",
    "make_next_payment_unknown": "unknown",
    "make_next_payment_pending": "pending",
}
SAID: dict[str, State] = {"ERROR": "declined", "PROCESSED": "succeeded", "PENDING": "pending"}


def _till(desk: Desk, step: Step) -> tuple[Till, date]:
    account = desk.account(step)
    return desk.tills[account.name], account.local(desk.at)


def create_account(desk: Desk, step: Step) -> None:
    charging.create_account(desk, step)
    account = desk.accounts[step["account"]]
    method = bool(step.get("payment_method"))
    desk.tills[account.name] = Till(account, desk.ledger, desk.plugin, desk.ladder, method)
    desk.tills[account.name].pays_nothing = desk.pays_nothing


def change_plan(desk: Desk, step: Step) -> None:
    """What is sold cannot be changed while it is unpaid."""
    subscription = desk.subscription(step["subscription"])
    try:
        desk.tills[subscription.account.name].license(subscription).check_paid()
    except Conflict as error:
        raise Refused(str(error)) from error
    subscribing.change(desk, step)


def plugin(desk: Desk, step: Step) -> None:
    """What the provider does next."""
    behaviour, args = step["behaviour"], step.get("args") or []
    if behaviour == "clear":
        desk.plugin.fails, desk.plugin.following = False, []
    elif behaviour == "make_all_invoices_fail_with_error":
        desk.plugin.fails = args[0]
    elif behaviour in FOLLOWING:
        desk.plugin.following.append(FOLLOWING[behaviour])
    elif behaviour == "override_next_processed_amount":
        desk.plugin.amounts.append(cents(args[0], "USD"))
    elif behaviour == "override_payment_plugin_status":
        till, _ = _till(desk, step)
        desk.plugin.said[till.payment(args[0]).attempts[-1]] = SAID[args[2]]
    else:
        raise NotExpressible("money in another currency than was asked for")


def notify(desk: Desk, step: Step) -> None:
    """The provider tells what became of a pending payment."""
    till, on = _till(desk, step)
    named = re.fullmatch(r"(payment_nr\[\d+\])\.transactions\[(\d+)\]\.id", step["args"][1])
    if named is None:
        raise NotExpressible("which payment is told of")
    payment = till.payment(named[1])
    if int(named[2]) >= len(payment.attempts):
        raise NotExpressible("a refund that its provider has not confirmed is told of")
    desk.plugin.said[payment.attempts[int(named[2])]] = "succeeded" if step["args"][2] else "declined"
    till.day(on)


def pay(desk: Desk, step: Step) -> None:
    """A person pays an invoice by the account's method, all that is open or a part."""
    till, on = _till(desk, step)
    owed, written = _owed(till, step["invoice"]), str(step["amount"])
    amount = till.left(owed) if "balance" in written else cents(written, till.account.currency)
    if amount <= 0:
        raise Refused("nothing is owed")
    owed.tried = True
    payment = till.charge(owed, amount, on)
    if step.get("payment"):
        till.named[step["payment"]] = payment


def _owed(till: Till, name: str) -> Owed:
    """The invoice that is named; a case that names none pays what is open, the oldest first."""
    found = till.invoice(name) if name.startswith("invoice[") else None
    if found is None:
        found = next((owed for owed in till.owes.values() if till.left(owed) > 0), None)
    if found is None:
        raise Refused("nothing is owed")
    return found


def pay_all(desk: Desk, step: Step) -> None:
    till, on = _till(desk, step)
    till.day(on)
    for owed in reversed(list(till.owes.values())):
        if till.left(owed) > 0:
            till.charge(owed, till.left(owed), on)


def refund(desk: Desk, step: Step) -> None:
    till, on = _till(desk, step)
    till.refund(till.payment(step["payment"]), _amount(till, step), on)


def refund_called(desk: Desk, step: Step) -> None:
    """A refund as their own program asks for it: of a payment, all that is kept of it or an amount."""
    _, payment, amount, *_ = step["args"]
    whole = amount == f"{payment}.purchased_amount"
    refund(desk, {**step, "payment": payment, "amount": "full" if whole else amount})


def void_invoice(desk: Desk, step: Step) -> None:
    """A credit note of a whole invoice, which no money has paid."""
    till, on = _till(desk, step)
    till.day(on)
    owed = till.invoice(step["args"][0])
    if owed and till.money.sources(owed.id) - {"credit_note"}:
        raise Refused("it is paid")
    charging.void_invoice(desk, step)
    if owed:
        till.void(owed, on)


def refund_adjusted(desk: Desk, step: Step) -> None:
    """Money goes back, and what it paid for is taken off the invoice."""
    till, on = _till(desk, step)
    payment = till.payment(step["payment"])
    till.refund(payment, _amount(till, step), on)
    charging.refund(desk, step)


def chargeback(desk: Desk, step: Step) -> None:
    till, on = _till(desk, step)
    till.dispute(till.payment(step["payment"]), _amount(till, step), on)


def chargeback_reversal(desk: Desk, step: Step) -> None:
    till, on = _till(desk, step)
    till.won(till.payment(step["payment"]), on)


def tag(desk: Desk, step: Step) -> None:
    charging.tag(desk, step)
    if step["tag"] == "AUTO_PAY_OFF":
        till, _ = _till(desk, step)
        till.automatic = step["do"] == "tag_off"
        for owed in till.owes.values() if till.automatic else ():
            owed.tried = False  # what is open is charged as if it were new


def credit(desk: Desk, step: Step) -> None:
    charging.credit(desk, step)
    till, on = _till(desk, step)
    for number, item in enumerate(step["items"]):
        name = f"by hand {len(desk.ledger.invoices)} {number}"
        till.credit(name, cents(item["amount"], till.account.currency), on)


def external_charge(desk: Desk, step: Step) -> None:
    """A charge written by hand; one that is not committed is not owed yet."""
    till, _ = _till(desk, step)
    before = len(desk.ledger.invoices)
    charging.external_charge(desk, step)
    if step.get("auto_commit") is False:
        till.drafts |= set(range(before, len(desk.ledger.invoices)))


def _amount(till: Till, step: Step) -> int | None:
    return None if step["amount"] in ("full", None) else cents(step["amount"], till.account.currency)


def refunded(payment: Paid) -> int:
    """What was given back of a payment, in minor units."""
    return sum(amount for what, _, amount in payment.back if what == "refund")
