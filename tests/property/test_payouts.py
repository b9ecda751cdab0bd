"""Credit that is paid out comes from receipts and goes each cent by one way, whatever happened before."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from domain.credit import plan
from domain.errors import Refusal
from domain.events.receivables import MoneyReturned
from domain.payment import RefundReply
from tests.property.test_receivables import DAY, INVOICES, booked, money, refund, take

sources = st.sampled_from(["stripe", "stripe", "paypal", "bank", "manual", "credit_note", "credit_note"])
parts = st.lists(
    st.one_of(
        st.tuples(st.just("receipt"), st.sampled_from("abcdefgh"), sources, st.integers(1, 300), st.integers(0, 300)),
        st.tuples(st.just("draw")),
        st.tuples(st.just("dispute"), st.sampled_from("abcdefgh"), st.sampled_from(["open", "lost"]), st.just(50),
                  st.sampled_from([0, 50])),
        st.tuples(st.just("refund"), st.sampled_from("abcdefgh"), st.integers(1, 9), st.integers(1, 100)),
        st.tuples(st.just("refunded"), st.integers(1, 9), st.sampled_from(["pending", "failed"])),
    ),
    max_size=12,
)  # fmt: skip
histories = st.tuples(parts, parts).map(lambda two: [*two[0], ("draw",), *two[1]])
"""What is paid is mostly paid before, so that credit notes find payments whose place they take."""


def lived(history: list[Any]) -> Any:
    held = money()
    for step in history:
        try:
            if step[0] == "receipt":
                _, name, source, amount, age = step
                on = DAY - timedelta(days=age)
                held.book(msgspec.structs.replace(booked(name, amount), source=source, received_on=on))
            else:
                take(held, step)
        except Refusal:
            continue
    return held


def pay(held: Any, name: str = "payout:1") -> int:
    """As the command does it; what went out."""
    planned, number = plan(held, DAY, ("stripe", "paypal")), len(held.refunds)
    for one in planned.exchanges:
        held.pay_instead(one.receipt, one.instead_of, one.invoice, one.amount, DAY)
    for n, part in enumerate(planned.refunds):
        held.open_refund(refund(part.receipt, 100 + number + n, part.amount), INVOICES)
    for part in planned.by_bank:
        held.give_back(MoneyReturned(receipt=part.receipt, return_id=name, kind="payout", amount=part.amount,
                                     on=DAY), INVOICES)  # fmt: skip
    return planned.amount


@given(histories)
def test_all_credit_goes_out_once_no_invoice_is_opened_and_every_cent_is_somewhere(history):
    held = lived(history)
    before, settled, kept = held.credit, dict(held.settled), sum(one.kept for one in held.receipts.values())
    out = pay(held)
    assert (out, held.credit) == (before, 0)
    assert pay(held) == 0
    assert {one: paid for one, paid in held.settled.items() if paid} == {one: p for one, p in settled.items() if p}
    assert all(one.credit >= 0 and one.kept >= 0 and min(one.paid.values(), default=1) > 0
               for one in held.receipts.values())  # fmt: skip
    assert sum(one.kept for one in held.receipts.values()) == kept - out == sum(held.settled.values())


@given(histories)
def test_a_refund_goes_only_to_what_a_provider_can_still_give_back_and_never_more_than_it_holds(history):
    held = lived(history)
    planned = plan(held, DAY, ("stripe",))
    wanted = Counter[str]()
    for receipt, amount in planned.refunds:
        wanted[receipt] += amount
        found = held.receipts[receipt]
        assert found.booked.source == "stripe"
        assert found.booked.received_on >= DAY - timedelta(days=180)
        assert not held.disputed(receipt)
        assert amount <= found.kept
    assert len(wanted) == len(planned.refunds), "one refund of each receipt"
    spent = Counter[str]()
    for one in planned.exchanges:
        assert held.receipts[one.receipt].booked.source == "credit_note"
        spent[one.receipt] += one.amount
    for receipt, amount in planned.by_bank:
        assert held.receipts[receipt].booked.source != "paypal" or not _young(held, receipt), "it waits for its key"
        spent[receipt] += amount
    assert all(amount <= held.receipts[receipt].credit for receipt, amount in spent.items())


def _young(held: Any, receipt: str) -> bool:
    refused = any(one.state == "failed" and one.opened.receipt == receipt for one in held.refunds.values())
    on = held.receipts[receipt].booked.received_on
    return on >= DAY - timedelta(days=180) and not refused and not held.disputed(receipt)


@given(histories)
def test_what_a_provider_refuses_is_credit_again_and_goes_by_bank(history):
    held = lived(history)
    pay(held)
    for refused, standing in list(held.refunds.items()):
        held.learn_refund(refused, RefundReply("failed"), DAY)
        assert standing.opened.receipt not in [part.receipt for part in plan(held, DAY, ("stripe", "paypal")).refunds]
    again = held.credit
    assert (pay(held, "payout:2"), held.credit) == (again, 0)
    assert sum(one.kept for one in held.receipts.values()) == sum(held.settled.values())
