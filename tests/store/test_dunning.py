"""Chasing overdue invoices on a real PostgreSQL: who is charged, what stops serving, and what a payment brings back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from domain.application.accounts import AddPaymentMethod, SetLadder
from domain.application.chases import dunning
from domain.application.dunning import PauseDunning, ResumeDunning, WriteOff
from domain.application.licensing import ChangeLicense, ReactivateLicense, ResumeLicense, SuspendLicense, license_named
from domain.application.payments import collection
from domain.errors import Conflict
from domain.ladder import Ladder, Step
from domain.statement import Statement, Transfer
from jobs.bank import import_statements, settle_transfers
from jobs.dun import Dunner, Wanted
from jobs.limits import standings
from tests.desk import DELIVERY_OFF, DUE, FEBRUARY, FILTER_OFF, FIRST, Desk, declines
from tests.doors import Killed, at, killed


@pytest.fixture
def desk(tally: Tally) -> Desk:
    return Desk(tally)


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
