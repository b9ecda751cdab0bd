"""Billing by itself: one leads, none is woken twice, missed days are caught up, another takes over."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from adapters import schedule
from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.doctor import inspect
from adapters.schedule import Scheduler, bill_day, work
from domain.account import Account
from domain.application.accounts import ChangeAccount
from domain.application.licensing import ChangeLicense, license_named
from domain.application.renewals import ends_unrenewed
from domain.errors import Conflict
from jobs.due import due
from tests.builders import books, declared_package, open_account, publish, start


def a_business(tally: Tally) -> None:
    publish(tally, declared_package())
    for name, day, zone in (("berlin", 1, "Europe/Berlin"), ("tokyo", 15, "Asia/Tokyo"), ("late", 31, "Europe/Berlin")):
        open_account(tally, name, billing_day=day, zone=zone)
        start(tally, name, name, "declared", date(2025, 1, 1), quantities={"seats": 2})
    tally.follower().catch_up()


def at(year: int, month: int, day: int, hour: int = 12):
    instant = datetime(year, month, day, hour, tzinfo=ZoneInfo("UTC"))
    return lambda zone: instant.astimezone(ZoneInfo(zone))


def jobs(tally: Tally) -> list[tuple[str, str, str]]:
    with psycopg.connect(tally.dsn) as connection:
        return connection.execute(
            "SELECT args->>'zone', args->>'day', status::text FROM procrastinate_jobs ORDER BY id"
        ).fetchall()


def test_every_account_is_billed_on_its_billing_day_by_a_worker(tally):
    a_business(tally)
    with Scheduler(tally, now=at(2025, 1, 31)) as scheduler:
        assert scheduler.wake() == 2
    work(tally, wait=False)
    assert [row[1:4] for row in books(tally)] == [("invoice", date(2025, 1, 31), date(2025, 1, 31))]
    assert {status for *_, status in jobs(tally)} == {"succeeded"}


def test_a_wake_is_queued_once_by_whomever_and_missed_days_are_caught_up(tally):
    a_business(tally)
    with Scheduler(tally, now=at(2025, 1, 30)) as leader, Scheduler(tally, now=at(2025, 2, 2)) as other:
        assert leader.wake() == 2
        assert leader.wake() == 0
        assert other.wake() == 0, "only one leads"
        leader.step_down()
        assert other.wake() == 6
    work(tally, wait=False)
    assert sorted(row[3] for row in books(tally)) == [date(2025, 1, 31), date(2025, 2, 1)]
    assert len({(zone, day) for zone, day, _ in jobs(tally)}) == 8


def test_who_steps_down_is_followed_at_once_every_time(tally):
    a_business(tally)
    with Scheduler(tally) as one, Scheduler(tally) as other:
        for _ in range(50):
            assert one.leads()
            assert not other.leads()
            one.step_down()
            assert other.leads()
            other.step_down()


def test_the_last_day_of_a_month_serves_the_days_that_it_does_not_have(tally):
    a_business(tally)
    late = tally.billing.resolve(2, ["late"])["late"]
    assert due(tally.pool, "Europe/Berlin", date(2025, 2, 28)) == [late]
    assert due(tally.pool, "Europe/Berlin", date(2025, 2, 27)) == []
    assert due(tally.pool, "Europe/Berlin", date(2025, 3, 31)) == [late]


def test_a_change_that_is_told_long_before_moves_nobodys_billing_until_its_day(tally):
    a_business(tally)
    berlin, tokyo = (tally.billing.resolve(2, [name])[name] for name in ("berlin", "tokyo"))
    for on, day in ((date(2025, 6, 10), 20), (date(2025, 4, 10), 15)):
        tally.billing.execute(ChangeAccount("berlin", on, billing_day=day))
    tally.follower().catch_up()

    def billed(month: int, day: int) -> bool:
        return berlin in due(tally.pool, "Europe/Berlin", date(2025, month, day))

    assert [billed(3, 1), billed(3, 15), billed(3, 20)] == [True, False, False]
    assert [billed(5, 1), billed(5, 15), billed(5, 20)] == [False, True, False]
    assert [billed(7, 1), billed(7, 15), billed(7, 20)] == [False, False, True]
    assert tokyo in due(tally.pool, "Asia/Tokyo", date(2025, 7, 15))


def test_a_renewal_is_where_the_billing_day_of_today_has_it(tally):
    a_business(tally)
    tally.billing.execute(ChangeAccount("berlin", date(2026, 1, 1), billing_day=20))
    license = license_named(tally.billing, "berlin")
    assert ends_unrenewed(tally.billing, license, date(2025, 3, 5)) == date(2025, 4, 1)
    assert ends_unrenewed(tally.billing, license, date(2026, 3, 5)) == date(2026, 3, 20)


def test_who_pays_later_decides_nothing_before(tally):
    a_business(tally)
    open_account(tally, "group", billing_day=5, zone="Europe/Berlin")
    open_account(tally, "part", parent="group", billing_day=9, zone="Europe/Berlin")
    part = tally.billing.resolve(2, ["part"])["part"]
    for on, payer in ((date(2025, 4, 1), "group"), (date(2025, 6, 1), "self")):
        tally.billing.execute(ChangeAccount("part", on, payer=payer))
    tally.follower().catch_up()
    days = [(month, day) for month in (3, 5, 7) for day in (5, 9)]
    found = [on for on in days if part in due(tally.pool, "Europe/Berlin", date(2025, *on))]
    assert found == [(3, 9), (5, 5), (7, 9)]
    account = tally.billing.find(Account, part, "account")
    assert [account.payer_on(date(2025, month, 1)) is None for month in (3, 5, 7)] == [True, False, True]


def test_a_trial_that_is_over_stops_serving_until_it_is_converted(tally):
    publish(tally, declared_package(trial_days=20))
    open_account(tally, "acme")
    start(tally, "try", "acme", "declared", date(2025, 1, 1), quantities={"seats": 2}, type="trial")
    bill_day(tally, "UTC", date(2025, 1, 20), date(2025, 1, 20))
    assert license_named(tally.billing, "try").serves(date(2025, 1, 20))
    for _ in range(2):
        bill_day(tally, "UTC", date(2025, 1, 21), date(2025, 1, 21))
    assert license_named(tally.billing, "try").suspended == {"trial_ended": date(2025, 1, 21)}
    tally.billing.execute(ChangeLicense(license="try", today=date(2025, 1, 25), type="production", when="now"))
    assert license_named(tally.billing, "try").serves(date(2025, 1, 25))
    bill_day(tally, "UTC", date(2025, 2, 1), date(2025, 2, 1))
    # 7 of 31 days of January and all of February, at 2 × 2.00
    assert [row[4] for row in books(tally)] == [90 + 400]


def test_a_change_never_begins_a_trial_that_nobody_would_end(tally):
    publish(tally, declared_package(trial_days=20))
    open_account(tally, "acme")
    to_trial = {"type": "trial", "when": "now"}
    start(tally, "paid", "acme", "declared", date(2025, 1, 1), quantities={"seats": 2})
    with pytest.raises(Conflict, match="paid has no trial on 2025-01-05"):
        tally.billing.execute(ChangeLicense(license="paid", today=date(2025, 1, 5), **to_trial))
    start(tally, "try", "acme", "declared", date(2025, 1, 1), quantities={"seats": 2}, type="trial")
    for kind in ("production", "trial"):
        tally.billing.execute(ChangeLicense(license="try", today=date(2025, 1, 5), type=kind, when="now"))
    bill_day(tally, "UTC", date(2025, 1, 21), date(2025, 1, 21))
    assert license_named(tally.billing, "try").suspended == {"trial_ended": date(2025, 1, 21)}
    with pytest.raises(Conflict, match="try has no trial on 2025-01-25"):
        for kind in ("production", "trial"):
            tally.billing.execute(ChangeLicense(license="try", today=date(2025, 1, 25), type=kind, when="now"))


def lead(dsn: str, ready) -> None:
    with Tally(dsn) as tally:
        scheduler = Scheduler(tally)
        assert scheduler.leads()
        ready.set()
        time.sleep(60)


def test_another_takes_over_when_the_leader_is_killed(tally, dsn):
    a_business(tally)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=lead, args=(dsn, ready))
    process.start()
    assert ready.wait(10)
    with Scheduler(tally, now=at(2025, 1, 31)) as successor:
        assert not successor.leads()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        end = time.monotonic() + 10
        while not successor.leads() and time.monotonic() < end:
            time.sleep(0.05)
        assert successor.wake() == 2


def test_after_billing_the_day_s_job_collects_and_chases_what_is_overdue_in_its_zone(tally):
    a_business(tally)
    with Scheduler(tally, now=at(2025, 1, 31)) as scheduler:
        scheduler.wake()
    work(tally, wait=False)
    with Scheduler(tally, now=at(2025, 2, 17)) as scheduler:
        scheduler.wake()
    work(tally, wait=False)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        rows = connection.execute(
            "SELECT a.reference, d.state, d.stage, d.next_on FROM dunning_v1 d "
            "JOIN receivable_v1 i USING (bucket, invoice) JOIN account_v2 a ON a.bucket = i.bucket "
            "AND a.account = i.account"
        ).fetchall()
    assert rows == [("late", "chasing", "reminder", date(2025, 2, 21))]


def till(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def others_cut(dsn: str, only: str = "%") -> int:
    """Ends the lines of everybody else: what a restart of the database does to them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return len(connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND query LIKE %s", [only]
        ).fetchall())  # fmt: skip


def toil(dsn: str) -> None:
    schedule.AGAIN_SECONDS = 0.2
    with Tally(dsn) as tally:
        work(tally)


def test_a_worker_outlives_the_database_s_restart_and_what_it_is_told_of_a_job_that_others_took(tally, dsn):
    a_business(tally)
    schedule.install_queue(dsn)
    process = multiprocessing.get_context("fork").Process(target=toil, args=(dsn,))
    process.start()
    try:
        till(lambda: rows(dsn, "SELECT count(*) FROM procrastinate_workers") == [(1,)])
        assert others_cut(dsn, "%procrastinate%") > 0
        with psycopg.connect(dsn) as connection:
            connection.execute("DELETE FROM procrastinate_workers")
        with Scheduler(tally, now=at(2025, 1, 31)) as scheduler:
            assert scheduler.wake() == 2
        till(lambda: {status for *_, status in jobs(tally)} == {"succeeded"})
        assert process.is_alive()
    finally:
        process.terminate()
        process.join()


def rows(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(sql).fetchall()


def test_a_day_that_fails_is_tried_for_hours_and_then_the_doctor_says_what_was_not_billed(
    tally, dsn, caplog, monkeypatch
):
    a_business(tally)

    def faulty(*_: object) -> None:
        raise RuntimeError("a fault of this program")

    monkeypatch.setattr(schedule, "bill_day", faulty)
    with Scheduler(tally, now=at(2025, 1, 31)) as scheduler:
        scheduler.wake()
    later = "SELECT extract(epoch FROM max(scheduled_at) - now())::int FROM procrastinate_jobs WHERE status = 'todo'"
    waited = 0
    for _ in range(12):
        work(tally, wait=False)
        ((seconds,),) = rows(dsn, later)
        waited += seconds or 0
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
            told = [one for one in inspect(connection) if one.rule == "billed"]
    assert 6 * 3600 < waited < 12 * 3600
    assert caplog.messages.count("Asia/Tokyo on 2025-01-31 failed: RuntimeError: a fault of this program") == 10
    assert [(one.object, one.message) for one in told] == [
        ("Asia/Tokyo", "2025-01-31 was given up: `tally bill --through 2025-01-31` issues what is owed"),
        ("Europe/Berlin", "2025-01-31 was given up: `tally bill --through 2025-01-31` issues what is owed"),
    ]
    day = date(2025, 1, 31)
    for accounts, left in (([tally.billing.resolve(2, ["late"])["late"]], 2), (None, 0)):
        run_billing(tally, day, day, accounts)
        with psycopg.connect(dsn) as connection:
            found = [one for one in inspect(connection) if one.rule == "billed"]
        assert len(found) == left, "a run of some accounts bills not all that the day would have"


def test_what_fails_in_a_wake_or_a_delivery_is_told_in_a_line_and_tried_again(tally, dsn, caplog, monkeypatch):
    a_business(tally)
    monkeypatch.setattr(schedule, "DELIVER_SECONDS", 0.2)
    told: list[str] = []

    def faulty(scheduler: Scheduler) -> None:
        told.append("tried")
        raise psycopg.OperationalError("the database went away")

    monkeypatch.setattr(Scheduler, "deliver", faulty)
    Scheduler(tally, interval=0.5, now=at(2025, 1, 31)).run(1.5)
    assert len(told) > 1
    assert "OperationalError: the database went away" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_doctor_asks_for_a_worker_when_a_day_waits_for_one(tally, dsn):
    a_business(tally)
    with Scheduler(tally, now=at(2025, 1, 31)) as scheduler:
        scheduler.wake()

    def found() -> list[tuple[str, str]]:
        with psycopg.connect(dsn) as connection:
            return [(one.object, one.message) for one in inspect(connection) if one.rule == "billed"]

    waits = "2025-01-31 waits since 2025-01-31: does a `tally worker` run?"
    assert found() == [("Asia/Tokyo", waits), ("Europe/Berlin", waits)]
    work(tally, wait=False)
    assert found() == []
    with Scheduler(tally) as scheduler:
        assert scheduler.wake() > 0
    assert found() == [], "a day that was queued just now is not late"
