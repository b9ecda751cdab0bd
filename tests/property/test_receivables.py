"""Money is never lost and never paid twice, whatever comes in, goes out and comes back, in whatever order."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Conflict, DuplicateRequest, Refusal
from domain.events.receivables import DisputeLearned, MoneyReturned, ReceiptBooked, RefundOpened
from domain.identity import Kind, make_id
from domain.payment import RefundReply
from domain.receivables import Receivables

DAY = date(2025, 1, 31)
ACCOUNT = make_id(Kind.ACCOUNT, 1, None, "acme")
INVOICES = {make_id(Kind.INVOICE, 1, DAY, n): gross for n, gross in enumerate((100, 250, 7))}


def money() -> Receivables:
    return Receivables(make_id(Kind.RECEIVABLES, 1, None, "acme"))


def booked(receipt: str, amount: int, currency: str = "EUR") -> ReceiptBooked:
    return ReceiptBooked(
        account=ACCOUNT, currency=currency, receipt=receipt, source="bank", amount=amount, received_on=DAY
    )


def returned(receipt: str, return_id: str, amount: int) -> MoneyReturned:
    return MoneyReturned(receipt=receipt, return_id=return_id, kind="refund", amount=amount, on=DAY)


def refund(receipt: str, number: int, amount: int) -> RefundOpened:
    return RefundOpened(
        refund=make_id(Kind.REFUND, 1, DAY, number), account=ACCOUNT, receipt=receipt, provider="stripe", payment="ch",
        amount=amount, currency="EUR", opened_at=datetime(2025, 1, 31, tzinfo=UTC),
    )  # fmt: skip


def dispute(receipt: str, state: str, withdrawn: int, given_back: int) -> DisputeLearned:
    return DisputeLearned(
        dispute=f"stripe:dp_{receipt}", account=ACCOUNT, receipt=receipt, state=state, amount=50, withdrawn=withdrawn,
        given_back=given_back, currency="EUR", on=DAY,
    )  # fmt: skip


names, amounts = st.sampled_from(["a", "b", "c"]), st.integers(-5, 300)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("book"), names, amounts),
        st.tuples(st.just("allocate"), names, st.sampled_from(list(INVOICES)), amounts),
        st.tuples(st.just("draw")),
        st.tuples(st.just("return"), names, st.sampled_from(["r1", "r2"]), amounts),
        st.tuples(st.just("undo"), names, st.sampled_from(["r1", "r2"])),
        st.tuples(st.just("instead"), names, names, st.sampled_from(list(INVOICES)), amounts),
        st.tuples(st.just("refund"), names, st.integers(1, 3), amounts),
        st.tuples(st.just("refunded"), st.integers(1, 3), st.sampled_from(["pending", "succeeded", "failed"])),
        st.tuples(
            st.just("dispute"),
            names,
            st.sampled_from(["open", "won", "lost"]),
            st.sampled_from([0, 20, 50]),
            st.sampled_from([0, 20, 50]),
        ),
    ),
    max_size=40,
)


def take(held: Receivables, step: tuple) -> None:  # type: ignore[type-arg]
    match step:
        case "book", name, amount:
            held.book(booked(name, amount))
        case "allocate", name, invoice, amount:
            held.allocate(name, invoice, INVOICES[invoice], amount, DAY)
        case ("draw",):
            held.draw(INVOICES.items(), DAY)
        case "return", name, return_id, amount:
            held.give_back(returned(name, return_id, amount), INVOICES)
        case "undo", name, return_id:
            held.undo_return(name, return_id, DAY)
        case "instead", name, other, invoice, amount:
            held.pay_instead(name, other, invoice, amount, DAY)
        case "refund", name, number, amount:
            held.open_refund(refund(name, number, amount), INVOICES)
        case "refunded", number, state:
            held.learn_refund(make_id(Kind.REFUND, 1, DAY, number), RefundReply(state, "re"), DAY)
        case "dispute", name, state, withdrawn, given_back:
            held.learn_dispute(dispute(name, state, withdrawn, given_back), INVOICES)


@given(steps)
def test_every_cent_is_on_an_invoice_or_is_credit_or_went_back(history):
    held = money()
    for step in history:
        before = len(held.pending_events)
        try:
            take(held, step)
        except Refusal:
            assert len(held.pending_events) == before, "a refusal changed something"
        paid = {invoice: gross - held.open_amount(invoice, gross) for invoice, gross in INVOICES.items()}
        receipts = held.receipts.values()
        assert all(0 <= amount <= INVOICES[invoice] for invoice, amount in paid.items())
        assert all(receipt.credit >= 0 and receipt.kept >= 0 for receipt in receipts)
        assert sum(receipt.kept for receipt in receipts) == sum(paid.values()) + held.credit


@given(steps)
def test_after_drawing_there_is_no_credit_beside_an_open_invoice(history):
    held = money()
    for step in history:
        try:
            take(held, step)
        except Refusal:
            continue
    held.draw(INVOICES.items(), DAY)
    open_amount = sum(held.open_amount(invoice, gross) for invoice, gross in INVOICES.items())
    assert not (held.credit and open_amount)
    assert held.draw(INVOICES.items(), DAY) == 0


def test_the_oldest_credit_is_drawn_first():
    held = money()
    held.book(booked("old", 60))
    held.book(booked("new", 60))
    (first, gross), *_ = INVOICES.items()
    held.draw([(first, gross)], DAY)
    assert {name: receipt.paid.get(first, 0) for name, receipt in held.receipts.items()} == {"old": 60, "new": 40}


def test_a_receipt_is_booked_once_and_its_name_with_another_amount_is_refused():
    held = money()
    assert held.book(booked("a", 50))
    assert not held.book(booked("a", 50))
    with pytest.raises(DuplicateRequest):
        held.book(booked("a", 51))
    with pytest.raises(DuplicateRequest):
        held.book(booked("a", 50, "USD"))


def test_a_refund_opens_what_was_paid_and_a_failed_refund_gives_it_back_once():
    held = money()
    (first, gross), *_ = INVOICES.items()
    held.book(booked("a", gross))
    held.draw([(first, gross)], DAY)
    assert held.give_back(returned("a", "re_1", 30), INVOICES)
    assert held.open_amount(first, gross) == 30
    assert not held.give_back(returned("a", "re_1", 30), INVOICES), "the same refund is told twice"
    assert held.undo_return("a", "re_1", DAY, "the card is closed")
    assert not held.undo_return("a", "re_1", DAY)
    assert not held.give_back(returned("a", "re_1", 30), INVOICES), "a late message about the refund"
    assert held.credit == 30
    with pytest.raises(Conflict):
        held.give_back(returned("a", "re_2", gross + 1), INVOICES)


def test_what_goes_back_is_taken_from_credit_before_an_invoice_is_opened_again():
    held = money()
    (first, gross), *_ = INVOICES.items()
    held.book(booked("a", gross + 30))
    held.draw([(first, gross)], DAY)
    held.give_back(returned("a", "re_1", 30), INVOICES)
    assert (held.open_amount(first, gross), held.credit) == (0, 0)
    held.give_back(returned("a", "re_2", 10), INVOICES)
    assert (held.open_amount(first, gross), held.credit) == (10, 0)


def test_two_refunds_never_take_the_same_money_and_one_that_fails_late_is_credit_again():
    held = money()
    (first, gross), *_ = INVOICES.items()
    held.book(booked("a", gross))
    held.draw([(first, gross)], DAY)
    held.open_refund(refund("a", 1, 80), INVOICES)
    with pytest.raises(Conflict):
        held.open_refund(refund("a", 2, 30), INVOICES)
    asked = refund("a", 1, 80).refund
    assert held.learn_refund(asked, RefundReply("succeeded", "re_1"), DAY)
    assert not held.learn_refund(asked, RefundReply("pending", "re_1"), DAY), "an old message"
    assert held.learn_refund(asked, RefundReply("failed", "re_1", code="closed"), DAY)
    assert not held.learn_refund(asked, RefundReply("succeeded", "re_1"), DAY)
    assert (held.credit, held.open_amount(first, gross)) == (80, 80)
    assert held.reopened == {f"refund:{asked}": {first: 80}}


@given(st.permutations([("open", 0, 0), ("open", 100, 0), ("won", 100, 0), ("won", 100, 100)]))
def test_in_whatever_order_a_dispute_is_told_it_ends_the_same(told):
    held = money()
    (first, gross), *_ = INVOICES.items()
    held.book(booked("a", gross))
    held.draw([(first, gross)], DAY)
    for state, withdrawn, given_back in told:
        held.learn_dispute(dispute("a", state, withdrawn, given_back), INVOICES)
    assert held.disputes["stripe:dp_a"].state == "won"
    assert held.credit + gross - held.open_amount(first, gross) == gross
    assert held.receipts["a"].returned == {"dispute:stripe:dp_a": 0}


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=6))
def test_however_the_amounts_of_a_dispute_grow_what_it_keeps_is_what_went_back(told):
    held = money()
    (first, gross), *_ = INVOICES.items()
    held.book(booked("a", gross))
    held.draw([(first, gross)], DAY)
    for withdrawn, given_back in told:
        held.learn_dispute(dispute("a", "open", withdrawn, min(withdrawn, given_back)), INVOICES)
    known = held.disputes["stripe:dp_a"]
    assert held.receipts["a"].kept == gross - known.withdrawn + known.given_back


def test_what_a_dispute_could_not_take_from_a_refund_it_takes_when_the_refund_fails():
    held = money()
    (first, gross), *_ = INVOICES.items()
    held.book(booked("a", gross))
    held.draw([(first, gross)], DAY)
    held.open_refund(refund("a", 1, 60), INVOICES)
    held.learn_dispute(dispute("a", "open", 100, 0), INVOICES)
    assert held.receipts["a"].returned["dispute:stripe:dp_a"] == 40
    held.learn_refund(refund("a", 1, 60).refund, RefundReply("failed", "re_1"), DAY)
    assert (held.receipts["a"].kept, held.credit) == (0, 0), "the bank has all of it"
