"""Chasing overdue invoices on a real PostgreSQL: who is charged, what stops serving, and what a payment brings back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from domain.application.accounts import AddPaymentMethod, RemovePaymentMethod, SetLadder
from domain.application.chases import dunning
from domain.application.dunning import ClaimTransfer, PauseDunning, ResumeDunning, WriteOff
from domain.application.holds import ReleaseHold
from domain.application.licensing import ChangeLicense, ReactivateLicense, ResumeLicense, SuspendLicense, license_named
from domain.application.payments import BookReceipt, collection, issued
from domain.application.returns import GiveBack, RecordDispute
from domain.errors import Conflict, Invalid, Unavailable
from domain.ladder import Ladder, Step
from domain.news import DisputeNews
from domain.payment import Reply
from domain.statement import Statement, Transfer
from jobs.bank import import_statements, settle_transfers
from jobs.collect import Collector
from jobs.collect_open import collect_open
from jobs.dun import Dunned, Dunner, Wanted, dun
from jobs.limits import standings
from jobs.verify import verify
from tests.builders import declared_package, open_account, publish, start
from tests.doors import Doors, Killed, at, behind, killed
from tests.simulated_provider import Simulated

FEBRUARY = date(2025, 2, 1)
DUE, FIRST, FILTER_OFF, DELIVERY_OFF = (date(2025, m, d) for m, d in ((2, 15), (2, 18), (3, 10), (3, 24)))


@dataclass
class Desk:
    """A business whose days pass, with a provider that keeps its own books."""

    tally: Tally
    provider: Simulated = field(default_factory=Simulated)
    step: Callable[[], None] = lambda: None

    def sell(self, count: int = 1, **more: Any) -> list[UUID]:
        """Accounts a0, a1 … with a license each (l0, l1 …), invoiced over 23.80 EUR and due on 15 February."""
        publish(self.tally, declared_package())
        for number in range(count):
            open_account(self.tally, f"a{number}", **more)
            start(self.tally, f"l{number}", f"a{number}", "declared", FEBRUARY, quantities={"seats": 10})
        run_billing(self.tally, FEBRUARY, FEBRUARY)
        return [one for (one,) in self.ask("SELECT invoice FROM receivable_v1 ORDER BY number")]

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        self.tally.follower().catch_up()
        with self.tally.pool.connection() as connection:
            return connection.execute(statement.encode()).fetchall()

    def collector(self, on: date) -> Collector:
        billing = Doors(self.tally.billing, ("execute",), self.step)
        provider = behind(self.provider, self.step)
        return Collector(billing, {"stripe": provider}, lambda: datetime.combine(on, time(9), UTC))  # type: ignore[arg-type, dict-item]

    def day(self, on: date, collects: bool = True) -> Dunned:
        """What the schedule does on a day after billing."""
        self.tally.follower().catch_up()
        collecting = self.collector(on)
        if collects:
            collect_open(collecting, self.tally.pool)
            self.tally.follower().catch_up()
        return dun(collecting.billing, self.tally.pool, collecting if collects else None, on)

    def days(self, start: date, end: date) -> None:
        for number in range((end - start).days + 1):
            self.day(start + timedelta(days=number))

    def serves(self, license: str, on: date) -> list[str]:
        return license_named(self.tally.billing, license).stopped_by(on)

    def pay(self, invoice: UUID, on: date, name: str = "bank:1") -> None:
        found = issued(self.tally.billing, invoice)
        self.tally.billing.execute(
            BookReceipt(found.account, "EUR", name, "bank", found.gross, on, invoices=(invoice,))
        )

    def stages(self, invoice: UUID) -> list[tuple[str, date]]:
        return [(one.stage, one.on) for one in dunning(self.tally.billing, invoice).stages]

    def verified(self) -> None:
        self.tally.follower().catch_up()
        assert [(check.name, check.found) for check in verify(self.tally.pool) if check.found] == []


@pytest.fixture
def desk(tally: Tally) -> Desk:
    return Desk(tally)


def declines(desk: Desk, count: int = 1) -> None:
    for number in range(count):
        desk.tally.billing.execute(AddPaymentMethod(f"a{number}", "stripe", "cus", "declines"))


def test_declined_chased_suspended_paid_by_bank_and_restored_while_another_reason_stays(desk):
    (invoice,) = desk.sell()
    declines(desk)
    desk.days(FEBRUARY, FILTER_OFF - timedelta(days=1))
    assert desk.serves("l0", FILTER_OFF) == [], "warnings stop nothing"
    desk.day(FILTER_OFF)
    assert desk.serves("l0", FILTER_OFF) == ["unpaid: filter off"]
    desk.tally.billing.execute(SuspendLicense("l0", "fair_use", FILTER_OFF))
    with desk.tally.pool.connection() as connection:
        (told,) = standings(connection, desk.tally.billing, desk.tally.packages, "l0", FILTER_OFF, 10, "")
    assert (told.state, told.may_add, told.why) == ("blocked", False, "unpaid: filter off, fair_use")
    days = [date(2025, 2, 18), date(2025, 2, 24), date(2025, 3, 3), FILTER_OFF]
    assert desk.stages(invoice) == [
        (name, on)
        for name, on in zip(("reminder", "second reminder", "last reminder", "filter off"), days, strict=True)
    ]
    tries = [one.opened.opened_at.date() for one in collection(desk.tally.billing, invoice).attempts.values()]
    assert tries == [FEBRUARY, *days], "charged when it was issued, and then only by the ladder"
    desk.days(FILTER_OFF, DELIVERY_OFF)
    assert desk.serves("l0", DELIVERY_OFF) == ["unpaid: delivery off", "fair_use"]
    desk.verified()
    paid = Statement("DE1", "1", "EUR", 0, 2380, DELIVERY_OFF, (Transfer(DELIVERY_OFF, 2380, "INV-000001", "A"),))
    import_statements(desk.tally.pool, [paid], new_account=True)
    settle_transfers(desk.tally.billing, desk.tally.pool)
    assert desk.serves("l0", DELIVERY_OFF) == ["fair_use"]
    ended = dunning(desk.tally.billing, invoice)
    assert (ended.running, ended.ended) == (False, "paid")
    assert desk.day(DELIVERY_OFF).counts == {}, "nothing is left to do"
    desk.verified()


def test_thirty_missed_days_take_each_step_once_send_one_reminder_and_charge_once(desk):
    (invoice,) = desk.sell()
    declines(desk)
    desk.days(FEBRUARY, FIRST)
    back = FIRST + timedelta(days=30)
    desk.day(back)
    chase = dunning(desk.tally.billing, invoice)
    assert [(one.stage, one.remind) for one in chase.stages[1:]] == [
        ("second reminder", ""), ("last reminder", ""), ("filter off", "filter_off")
    ]  # fmt: skip
    assert [one.opened.opened_at.date() for one in collection(desk.tally.billing, invoice).attempts.values()] == [
        FEBRUARY, FIRST, back
    ]  # fmt: skip
    assert desk.serves("l0", back) == ["unpaid: filter off"]
    assert desk.day(back).counts == {}


def test_a_chase_that_begins_late_stops_nothing_without_the_reminders_before(desk):
    (invoice,) = desk.sell()
    late = date(2025, 6, 2)
    desk.day(late)
    assert desk.stages(invoice) == [("reminder", late)]
    assert desk.serves("l0", late) == []
    desk.days(late, late + timedelta(days=18))
    assert [on - late for _, on in desk.stages(invoice)] == [timedelta(days=n) for n in (0, 4, 11, 18)]


def test_whoever_runs_it_at_once_each_step_is_taken_and_charged_once(desk):
    invoices = desk.sell(6)
    declines(desk, 6)
    desk.days(FEBRUARY, FIRST - timedelta(days=1))
    with ThreadPoolExecutor(3) as workers:
        runs = list(workers.map(lambda _: desk.day(FIRST), range(3)))
    assert not any(run.faults for run in runs)
    desk.day(FIRST)
    for invoice in invoices:
        assert desk.stages(invoice) == [("reminder", FIRST)]
        tries = [one.opened.opened_at.date() for one in collection(desk.tally.billing, invoice).attempts.values()]
        assert tries == [FEBRUARY, FIRST]
    desk.verified()


def test_killed_at_every_step_the_next_run_takes_it_up_and_charges_no_more(desk):
    steps = 16
    invoices = desk.sell(steps + 1)
    declines(desk, steps + 1)
    desk.days(FEBRUARY, FIRST - timedelta(days=1))
    for step, invoice in enumerate(invoices):
        desk.step = at(step, killed)
        collecting = desk.collector(FIRST)
        dunner = Dunner(collecting.billing, collecting, FIRST)
        if step < steps:
            with pytest.raises(Killed):
                dunner.turn(Wanted(invoice, "", arrived=False))
        else:  # there are no more steps than these: a new one fails here until it is counted
            dunner.turn(Wanted(invoice, "", arrived=False))
    desk.step = lambda: None
    desk.days(FIRST, FIRST + timedelta(days=2))
    for invoice in invoices:
        assert desk.stages(invoice) == [("reminder", FIRST)]
        attempts = collection(desk.tally.billing, invoice)
        assert [one.state for one in attempts.attempts.values()] == ["cancelled", "cancelled"]
        assert desk.provider.captures[invoice] == 0
    desk.verified()


def test_a_license_that_two_invoices_stopped_serves_when_both_are_paid(desk):
    (first,) = desk.sell()
    run_billing(desk.tally, date(2025, 3, 1), date(2025, 3, 1))
    second = desk.ask("SELECT invoice FROM receivable_v1 ORDER BY number")[1][0]
    end = date(2025, 4, 30)
    desk.days(FEBRUARY, end)
    assert desk.serves("l0", end) == ["unpaid: delivery off"]
    desk.verified()
    desk.pay(first, end)
    assert desk.serves("l0", end) == ["unpaid: delivery off"], "the other one asks for it too"
    desk.verified()
    with pytest.raises(Conflict, match="suspended by invoices"):
        desk.tally.billing.execute(ResumeLicense("l0", "unpaid", end))
    desk.pay(second, end, "bank:2")
    assert desk.serves("l0", end) == []
    desk.verified()


def test_a_person_who_suspended_for_unpaid_keeps_the_license_stopped(desk):
    (invoice,) = desk.sell()
    desk.days(FEBRUARY, FILTER_OFF)
    desk.tally.billing.execute(SuspendLicense("l0", "unpaid", FILTER_OFF))
    desk.pay(invoice, FILTER_OFF)
    assert desk.serves("l0", FILTER_OFF) == ["unpaid"]
    desk.tally.billing.execute(ResumeLicense("l0", "unpaid", FILTER_OFF))
    assert desk.serves("l0", FILTER_OFF) == []


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


REMOVES = Ladder(
    steps=(Step("first", 1, remind="r"), Step("gone", 5, effect="removed", restores="configuration")),
    days="business", calendar="DE",
)  # fmt: skip


def test_what_was_removed_ends_and_a_payment_alone_does_not_bring_it_back(desk):
    (invoice,) = desk.sell(terms_days=0)
    desk.tally.billing.execute(SetLadder("a0", REMOVES))
    desk.days(FEBRUARY, date(2025, 2, 7))
    assert desk.stages(invoice) == [("first", date(2025, 2, 3)), ("gone", date(2025, 2, 7))]
    assert desk.serves("l0", date(2025, 2, 7)) == ["unpaid: removed", "ended 2025-02-07"]
    desk.verified()
    desk.pay(invoice, date(2025, 2, 8))
    assert desk.serves("l0", date(2025, 2, 8)) == ["ended 2025-02-07"]
    desk.tally.billing.execute(ReactivateLicense("l0", date(2025, 2, 9)))
    assert desk.serves("l0", date(2025, 2, 9)) == []


def test_what_is_not_renewed_serves_again_once_paid_and_ends_with_its_period(desk):
    steps = (
        Step("off", 5, effect="filter_off"),
        Step("last", 9, effect="filter_off", restores="configuration", ends_on="period"),
    )
    (invoice,) = desk.sell(terms_days=0)
    desk.tally.billing.execute(SetLadder("a0", Ladder(steps, calendar="every_day")))
    desk.days(FEBRUARY, date(2025, 2, 9))
    assert license_named(desk.tally.billing, "l0").end_on is None
    desk.day(date(2025, 2, 10))
    assert license_named(desk.tally.billing, "l0").end_on == date(2025, 3, 1)
    assert desk.serves("l0", date(2025, 2, 10)) == ["unpaid: filter off"]
    desk.verified()
    desk.pay(invoice, date(2025, 2, 20))
    assert desk.serves("l0", date(2025, 2, 28)) == []
    run_billing(desk.tally, date(2025, 3, 1), date(2025, 3, 1))
    assert desk.serves("l0", date(2025, 3, 1)) == ["ended 2025-03-01"]
    assert desk.ask("SELECT kind, net FROM document_v1") == [("invoice", 2000)], "what was billed is served, no more is"
    desk.verified()


def test_a_person_pauses_a_chase_lets_licenses_serve_and_goes_on(desk):
    (invoice,) = desk.sell()
    desk.days(FEBRUARY, FILTER_OFF)
    desk.tally.billing.execute(PauseDunning(invoice, FILTER_OFF, text="promised", restore=True))
    assert desk.serves("l0", FILTER_OFF) == []
    desk.days(FILTER_OFF, date(2025, 3, 30))
    assert desk.serves("l0", date(2025, 3, 30)) == []
    desk.verified()
    desk.tally.billing.execute(ResumeDunning(invoice, date(2025, 3, 31)))
    assert desk.serves("l0", date(2025, 3, 31)) == ["unpaid: filter off"]
    desk.verified()


def test_what_is_written_off_is_neither_chased_nor_charged_but_its_money_is_still_welcome(desk):
    (invoice,) = desk.sell()
    declines(desk)
    desk.days(FEBRUARY, FILTER_OFF)
    tries = len(collection(desk.tally.billing, invoice).attempts)
    desk.tally.billing.execute(WriteOff(invoice, FILTER_OFF, "insolvent"))
    desk.tally.billing.execute(AddPaymentMethod("a0", "stripe", "cus", "visa"))
    desk.days(FILTER_OFF, DELIVERY_OFF)
    assert len(collection(desk.tally.billing, invoice).attempts) == tries
    assert desk.serves("l0", DELIVERY_OFF) == ["unpaid: filter off"]
    desk.verified()
    desk.pay(invoice, DELIVERY_OFF)
    assert desk.serves("l0", DELIVERY_OFF) == []
    assert dunning(desk.tally.billing, invoice).ended == "paid"
    desk.verified()


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


def test_a_step_that_pauses_billing_gives_back_the_days_without_service_and_no_change_is_sold_meanwhile(desk):
    pausing = Ladder(
        steps=(Step("slow", 1, effect="read_only"), Step("off", 9, effect="filter_off", pauses_billing=True)),
        calendar="every_day",
    )
    (invoice,) = desk.sell(terms_days=0)
    desk.tally.billing.execute(SetLadder("a0", pausing))
    desk.days(FEBRUARY, date(2025, 2, 10))
    assert desk.serves("l0", date(2025, 2, 10)) == ["unpaid: filter off"]
    with pytest.raises(Conflict, match="unpaid"):
        desk.tally.billing.execute(ChangeLicense("l0", date(2025, 2, 10), quantities={"seats": 20}))
    desk.pay(invoice, date(2025, 2, 17))
    run_billing(desk.tally, date(2025, 2, 17), date(2025, 2, 17))
    assert desk.ask("SELECT net FROM document_v1 WHERE kind = 'credit_note'") == [(-500,)], "7 of 28 days at 20.00"
    desk.verified()


def test_an_overdue_invoice_with_nothing_to_do_costs_no_command(desk):
    desk.sell(5)
    assert desk.day(DUE).counts == {"chased": 5}
    commands: list[int] = []
    desk.step = lambda: commands.append(1)
    for number in (1, 2):
        assert desk.day(DUE + timedelta(days=number), collects=False).counts == {}
    assert commands == []


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
