"""What Kill Bill's cases expect of payments, balances and overdue states, beside what the till says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.conformance.killbill.desk import Desk
from tests.conformance.killbill.payments import refunded
from tests.conformance.killbill.till import STATUS, Paid, Till
from tests.conformance.verdict import NotExpressible, expect
from tests.conformance.words import cents, day

Said = dict[str, Any]
PAYMENT = r"(?P<payment>payment_nr\[\d+\]|payment\d+)"


def check(desk: Desk, said: Said) -> bool:
    """Whether an expectation is about money and was compared. Raises: Differs when it is not met."""
    till = desk.tills[said.get("account") or desk.acted]
    if "overdue_state" in said:
        if said["overdue_state"] not in ("CLEAR", *desk.states):
            raise NotExpressible("overdue states that the case does not describe")
        expect("overdue state", till.overdue(desk.states), said["overdue_state"])
    elif "payment" in said and isinstance(said["payment"], dict):
        _payment(till, said["payment"])
    elif "refund" in said:
        paid = till.payment(said["refund"]["payment"])
        expect("refunded", refunded(paid), cents(said["refund"]["amount"], till.account.currency))
    elif "value" in said:
        return _value(desk, till, said["value"]["of"], said["value"]["equals"])
    else:
        return False
    return True


def _payment(till: Till, said: Said) -> None:
    expect("payments", len(till.payments) >= said["n"], True)
    paid = till.payments[said["n"] - 1]
    status = _status(till, paid, len(paid.attempts) - 1)
    theirs = (day(said["date"]), cents(said["amount"], till.account.currency), said["status"])
    expect(f"payment {said['n']}", (paid.on, paid.asked, status), theirs)


def _value(desk: Desk, till: Till, of: str, equals: Any) -> bool:
    named = re.fullmatch(r"(account\d*)\.balance", of)
    if named and named[1] in desk.tills:
        till, of = desk.tills[named[1]], "account_balance"
    if _read(till, of) is None:
        return False
    ours = _read(till, of)
    theirs = _read(till, equals) if isinstance(equals, str) else None
    if theirs is None:
        if isinstance(equals, str) and "[" in equals:
            return False
        equals = "0" if equals is None else equals  # what is taken back by a reversal has no amount of its own
        theirs = cents(equals, till.account.currency) if isinstance(ours, int) and not of.endswith("count") else equals
    expect(of, ours, theirs)
    return True


def _read(till: Till, of: str) -> Any:
    for pattern, read in VALUES.items():
        if found := re.fullmatch(pattern, of):
            return read(till, **found.groupdict())
    return None


def _balance(till: Till) -> int:
    return sum(till.left(owed) for owed in till.owes.values()) - till.money.credit


def _open(till: Till, invoice: str) -> int:
    owed = till.invoice(invoice)
    return till.left(owed) if owed else 0


def _unpaid(till: Till) -> int:
    return sum(till.left(owed) > 0 for owed in till.owes.values())


def _purchased(till: Till, paid: Paid) -> int:
    """What came in by a payment and is not charged back."""
    moved = sum(_moved(till, paid, place) for place in range(len(paid.attempts)))
    won = sum(what == "chargeback_reversal" for what, _, _ in paid.back)
    taken = [amount for what, _, amount in paid.back if what == "chargeback"]
    return moved - sum(taken[won:])


def _status(till: Till, paid: Paid, place: int) -> str | None:
    if not paid.attempts or place >= len(paid.attempts):
        return "SUCCESS"
    return STATUS.get(paid.owed.attempts.attempt(paid.attempts[place]).state)


def _asked(till: Till, paid: Paid, place: int) -> int:
    if place < len(paid.attempts):
        return paid.owed.attempts.attempt(paid.attempts[place]).opened.amount
    return paid.back[place - len(paid.attempts)][2]


def _processed(till: Till, paid: Paid, place: int) -> int:
    if place >= len(paid.attempts):
        return paid.back[place - len(paid.attempts)][2]
    return _asked(till, paid, place) if _status(till, paid, place) == "PENDING" else _moved(till, paid, place)


def _moved(till: Till, paid: Paid, place: int) -> int:
    booked = till.money.receipts.get(f"stripe:{paid.attempts[place]}")
    return booked.booked.amount if booked else 0


def _of(read: Callable[[Till, Paid, int], Any]) -> Callable[..., Any]:
    def found(till: Till, payment: str, place: str) -> Any:
        paid = till.payment(payment)
        return read(till, paid, int(place)) if int(place) < len(paid.attempts) + len(paid.back) else "none"

    return found


PLACE = rf"{PAYMENT}\.transactions\[(?P<place>\d+)\]"
VALUES: dict[str, Callable[..., Any]] = {
    r"account_balance": _balance,
    r"account_credit": lambda till: till.money.credit,
    r"unpaid_invoice_count": _unpaid,
    r"payment_count": lambda till: len(till.payments),
    r"(?P<invoice>invoice\[\d+\])\.balance": _open,
    rf"{PAYMENT}\.purchased_amount": lambda till, payment: _purchased(till, till.payment(payment)),
    rf"{PAYMENT}\.refunded_amount": lambda till, payment: refunded(till.payment(payment)),
    rf"{PAYMENT}\.transactions\.count": lambda till, payment: (
        len(till.payment(payment).attempts) + len(till.payment(payment).back)
    ),
    rf"{PLACE}\.amount": _of(_asked),
    rf"{PLACE}\.processed_amount": _of(_processed),
    rf"{PLACE}\.transaction_status": _of(_status),
}
