"""What a chase waits for, whom it does not charge, and what it asks for: disputes, transfers, approvals, credit."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
import pytest

from adapters.bootstrap import Tally
from domain.application.accounts import AddPaymentMethod, RemovePaymentMethod
from domain.application.chases import dunning
from domain.application.dunning import ClaimTransfer
from domain.application.holds import ReleaseHold
from domain.application.payments import BookReceipt, collection, issued
from domain.application.returns import GiveBack, RecordDispute
from domain.errors import Conflict, Invalid, Unavailable
from domain.news import DisputeNews
from domain.payment import Reply
from domain.statement import Statement, Transfer
from jobs.bank import import_statements, settle_transfers
from jobs.collect import Collector
from jobs.dun import dun
from tests.desk import DUE, FEBRUARY, FIRST, Desk, declines


@pytest.fixture
def desk(tally: Tally) -> Desk:
    return Desk(tally)


def test_a_dispute_stops_the_chase_and_what_is_left_of_the_ladder_keeps_its_distances(desk):
    (invoice,) = desk.sell()
    desk.days(FEBRUARY, FIRST)
    account = issued(desk.tally.billing, invoice).account
    paid_on, back_on = FIRST, FIRST + timedelta(days=1)
    desk.pay(invoice, paid_on)
    desk.tally.billing.execute(GiveBack(account, "EUR", "bank:1", "d1", "dispute", 2380, back_on))
    desk.days(back_on, back_on + timedelta(days=40))
    assert desk.stages(invoice) == [("reminder", FIRST)], "nobody is chased for what a bank argues about"
    decided = date(2025, 4, 7)
    desk.tally.billing.execute(ReleaseHold(invoice, decided))
    desk.days(decided, decided + timedelta(days=7))
    assert desk.stages(invoice) == [("reminder", decided), ("second reminder", decided + timedelta(days=4))]


def test_a_hold_in_mid_chase_shifts_what_is_left_by_the_days_it_lasted(desk):
    (invoice,) = desk.sell()
    desk.days(FEBRUARY, FIRST)
    account = issued(desk.tally.billing, invoice).account
    receipt = BookReceipt(account, "EUR", "bank:1", "bank", 1000, FIRST, invoices=(invoice,))
    desk.tally.billing.execute(receipt)
    desk.tally.billing.execute(GiveBack(account, "EUR", "bank:1", "d1", "dispute", 1000, FIRST))
    desk.days(FIRST, FIRST + timedelta(days=13))
    assert desk.ask("SELECT state, stage, next_on FROM dunning_v1") == [("paused", "reminder", date(2025, 2, 24))]
    desk.tally.billing.execute(ReleaseHold(invoice, FIRST + timedelta(days=14)))
    desk.days(FIRST + timedelta(days=14), FIRST + timedelta(days=20))
    assert desk.stages(invoice)[1:] == [("second reminder", date(2025, 3, 10))], "two weeks later than 24 February"


def test_a_claimed_transfer_is_waited_for_once(desk):
    (invoice,) = desk.sell()
    desk.days(FEBRUARY, FIRST)
    for mistyped in (FIRST + timedelta(days=1), date.max):
        with pytest.raises(Invalid, match="yet to come"):
            desk.tally.billing.execute(ClaimTransfer(invoice, mistyped, FIRST))
    claimed = ClaimTransfer(invoice, date(2025, 2, 17), FIRST)
    assert desk.tally.billing.execute(claimed) == date(2025, 3, 3), "ten business days"
    with pytest.raises(Conflict, match="once"):
        desk.tally.billing.execute(ClaimTransfer(invoice, FIRST, FIRST))
    desk.days(FIRST, date(2025, 3, 7))
    assert desk.stages(invoice)[1:] == [("second reminder", date(2025, 3, 7))], "13 days later than 22 February"
    with pytest.raises(Conflict, match="would have been here"):
        desk.tally.billing.execute(ClaimTransfer(invoice, date(2025, 2, 17), date(2025, 3, 7)))


def test_a_transfer_of_just_the_amount_that_nobody_matched_is_waited_for_once(desk):
    (invoice,) = desk.sell()
    desk.days(FEBRUARY, FIRST)
    came = Statement("DE1", "1", "EUR", 0, 2380, FIRST, (Transfer(FIRST, 2380, "thanks", "A"),))
    import_statements(desk.tally.pool, [came], new_account=True)
    settle_transfers(desk.tally.billing, desk.tally.pool)
    desk.days(FIRST, date(2025, 2, 26))
    assert desk.stages(invoice) == [("reminder", FIRST)]
    assert dunning(desk.tally.billing, invoice).paused["bank"].until == date(2025, 3, 10)
    desk.days(date(2025, 2, 27), date(2025, 3, 14))
    assert desk.stages(invoice)[1:] == [("second reminder", date(2025, 3, 14))]


def test_a_debit_that_its_bank_has_not_confirmed_is_waited_for_and_its_decline_goes_on(desk):
    (invoice,) = desk.sell()
    desk.tally.billing.execute(AddPaymentMethod("a0", "stripe", "cus", "debit"))
    desk.provider.answers["debit"] = "pending"
    desk.days(DUE, FIRST + timedelta(days=3))
    assert desk.stages(invoice) == []
    assert desk.ask("SELECT state FROM dunning_v1") == [("waiting",)]
    assert len(collection(desk.tally.billing, invoice).attempts) == 1
    desk.provider.fail(invoice)
    desk.days(FIRST + timedelta(days=4), FIRST + timedelta(days=8))
    assert [stage for stage, _ in desk.stages(invoice)] == ["reminder"]
    assert len(collection(desk.tally.billing, invoice).attempts) == 2, "the ladder tries again"


def test_a_payment_that_the_customer_does_not_approve_is_stopped_and_charged_anew(desk):
    (invoice,) = desk.sell()
    desk.tally.billing.execute(AddPaymentMethod("a0", "stripe", "cus", "asks"))
    desk.provider.answers["asks"] = "action_required"
    desk.days(DUE, FIRST - timedelta(days=1))
    attempts = collection(desk.tally.billing, invoice)
    assert attempts.live
    assert attempts.live.state == "action_required"
    desk.days(FIRST, FIRST + timedelta(days=2))
    states = [one.state for one in collection(desk.tally.billing, invoice).attempts.values()]
    assert states == ["cancelled", "action_required"], "three business days, then the reminder's own try"


def test_a_payment_by_a_provider_that_there_is_no_key_for_any_more_does_not_stop_the_others(desk):
    waits, other = desk.sell(2)
    desk.tally.billing.execute(AddPaymentMethod("a0", "stripe", "cus", "asks"))
    desk.provider.answers["asks"] = "action_required"
    desk.day(DUE)
    desk.tally.follower().catch_up()
    later = FIRST + timedelta(days=3)
    keyless = Collector(desk.tally.billing, {}, lambda: datetime.combine(later, time(9), UTC))
    dun(desk.tally.billing, desk.tally.pool, keyless, later)
    assert [stage for stage, _ in desk.stages(other)] == ["reminder"]
    live = collection(desk.tally.billing, waits).live
    assert live
    assert live.state == "action_required"


def test_an_account_that_lost_its_method_is_asked_for_another_and_not_charged(desk):
    (invoice,) = desk.sell()
    declines(desk)
    desk.day(FEBRUARY)
    desk.tally.billing.execute(RemovePaymentMethod("a0", "declines", "revoked"))
    desk.days(DUE, FIRST)
    (stage,) = dunning(desk.tally.billing, invoice).stages
    assert (stage.retry, stage.wants_method, stage.remind) == (False, True, "reminder")
    desk.tally.billing.execute(AddPaymentMethod("a0", "stripe", "cus", "visa"))
    desk.day(FIRST + timedelta(days=1))
    assert desk.provider.captures[invoice] == 1
    assert dunning(desk.tally.billing, invoice).ended == "paid"


def test_one_invoice_that_cannot_be_charged_does_not_stop_the_others(desk):
    first, second = desk.sell(2)
    declines(desk, 2)
    desk.days(FEBRUARY, FIRST - timedelta(days=1))
    asked = desk.provider.create

    def lost(order: Any) -> Reply:
        if order.invoice == first:
            raise Unavailable("the provider hung up")
        return asked(order)

    desk.provider.create = lost  # type: ignore[method-assign]
    told = desk.day(FIRST)
    assert list(told.faults.values()) == ["the provider hung up"]
    assert [desk.stages(one) for one in (first, second)] == [[("reminder", FIRST)]] * 2


def test_a_charge_that_took_less_than_was_owed_is_not_repeated_by_the_ladder_until_it_is_taken_back(desk):
    (invoice,) = desk.sell()
    desk.tally.billing.execute(AddPaymentMethod("a0", "stripe", "cus", "visa"))
    asked = desk.provider._answer

    def less(object_id: str) -> Reply:
        answer = asked(object_id)
        return msgspec.structs.replace(answer, amount=1000) if answer.state == "succeeded" else answer

    desk.provider._answer = less  # type: ignore[method-assign]
    desk.days(FEBRUARY, FIRST)
    assert desk.stages(invoice) == [("reminder", FIRST)]
    assert len(collection(desk.tally.billing, invoice).attempts) == 1, "why it took less, a person has to see"
    (attempt,) = collection(desk.tally.billing, invoice).attempts.values()
    account = issued(desk.tally.billing, invoice).account
    desk.tally.billing.execute(GiveBack(account, "EUR", attempt.receipt, "r1", "reversal", 1000, FIRST))
    desk.provider._answer = asked  # type: ignore[method-assign]
    desk.days(FIRST + timedelta(days=1), date(2025, 2, 24))
    assert dunning(desk.tally.billing, invoice).ended == "paid"
    assert desk.provider.captures[invoice] == 2
    desk.verified()


def test_who_has_credit_is_neither_charged_again_nor_chased(desk):
    first, second = desk.sell(2)
    desk.tally.billing.execute(AddPaymentMethod("a0", "stripe", "cus", "visa"))
    desk.day(FEBRUARY)
    assert desk.provider.captures[first] == 1
    found = issued(desk.tally.billing, first)
    ((receipt,),) = desk.ask("SELECT receipt FROM receipt_v1")
    for state, given_back in (("open", 0), ("won", found.gross)):
        news = DisputeNews("dp_1", receipt.partition(":")[2], state, found.gross, found.gross, given_back, "EUR")
        desk.tally.billing.execute(RecordDispute(found.account, receipt, "stripe", news, FEBRUARY))
    other = issued(desk.tally.billing, second)
    desk.tally.billing.execute(BookReceipt(other.account, "EUR", "bank:1", "bank", 1000, FIRST))
    desk.day(FIRST)
    assert desk.provider.captures[first] == 1, "the money is here"
    assert desk.stages(first) == []
    (stage,) = dunning(desk.tally.billing, second).stages
    assert stage.amount == other.gross - 1000, "he is asked for the rest"
    desk.verified()


def test_an_attempt_is_for_what_credit_does_not_pay(desk):
    first, second = desk.sell(2)
    for invoice, amount in ((first, 2380), (second, 1000)):
        account = issued(desk.tally.billing, invoice).account
        desk.tally.billing.execute(BookReceipt(account, "EUR", f"bank:{amount}", "bank", amount, FEBRUARY))
    collecting = desk.collector(FEBRUARY)
    with pytest.raises(Invalid, match="paid from credit"):
        collecting.begin(first, "stripe", "cus", "visa")
    assert collecting.begin(second, "stripe", "cus", "visa").opened.amount == 1380
    assert desk.ask("SELECT left_open FROM receivable_v1 ORDER BY number") == [(0,), (0,)]
    desk.verified()
