"""A refusal that speaks of money says it as people write it, with its currency: 500 could be five or five hundred."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from domain.errors import Conflict, DuplicateRequest, Invalid
from domain.events.payout import PayoutOpened
from domain.events.receivables import MoneyReturned, ReceiptBooked
from domain.payout import Payout
from domain.receivables import Receivables

DAY, ACCOUNT, INVOICE = date(2025, 1, 31), UUID(int=1), UUID(int=2)
GROSS = 4000


def receipt(amount: int, name: str = "stripe:ch_1") -> ReceiptBooked:
    return ReceiptBooked(
        account=ACCOUNT, currency="EUR", receipt=name, source="stripe", amount=amount, received_on=DAY
    )  # fmt: skip


@pytest.fixture
def money() -> Receivables:
    held = Receivables(UUID(int=3))
    held.book(receipt(5248))
    held.book(receipt(100, "stripe:ch_2"))
    held.allocate("stripe:ch_1", INVOICE, GROSS, 4000, DAY)
    return held


def test_what_a_receipt_has_is_said_with_its_currency(money):
    back = MoneyReturned(receipt="stripe:ch_1", return_id="r", kind="refund", amount=50000, on=DAY)
    with pytest.raises(Conflict, match=r"^stripe:ch_1 has 52\.48 EUR to give back, not 500\.00 EUR$"):
        money.give_back(back, {INVOICE: GROSS})
    with pytest.raises(Conflict, match=r"^stripe:ch_1 has 12\.48 EUR left, not 20\.00 EUR$"):
        money.allocate("stripe:ch_1", UUID(int=9), GROSS, 2000, DAY)
    with pytest.raises(Conflict, match=r"^the invoice is owed 0\.00 EUR, not 1\.00 EUR$"):
        money.allocate("stripe:ch_2", INVOICE, GROSS, 100, DAY)
    with pytest.raises(
        Conflict, match=r"^stripe:ch_2 has 1\.00 EUR left and stripe:ch_1 pays 40\.00 EUR: 2\.00 EUR is not in both"
    ):
        money.pay_instead("stripe:ch_2", "stripe:ch_1", INVOICE, 200, DAY)


def test_what_cannot_be_booked_is_said_with_its_currency(money):
    with pytest.raises(DuplicateRequest, match=r"is booked with 52\.48 EUR, not 52\.49 EUR$"):
        money.book(receipt(5249))
    with pytest.raises(Invalid, match=r"^a receipt is above zero, not 0\.00 EUR$"):
        money.book(receipt(0))


def test_what_a_payout_is_over_is_said_with_its_currency():
    payout = Payout(UUID(int=4))
    payout.open(PayoutOpened(reference="PO-1", account=ACCOUNT, currency="JPY", amount=1050, parts=(), on=DAY))
    with pytest.raises(Conflict, match=r"^PO-1 is over 1050 JPY, not 10\.50 EUR$"):
        payout.make("t1", 1050, "EUR", DAY)
