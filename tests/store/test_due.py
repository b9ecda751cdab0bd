"""No bill comes a month late because of the hour at which something was told: what one wake did not see, the next does.

Each case lives some days with the scheduler and a worker on the real database; things are told at noon, after the wake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from adapters import schedule
from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.doctor import inspect
from adapters.schedule import Scheduler, work
from domain.application.accounts import ChangeAccount
from domain.application.licensing import (
    CancelLicense,
    ChangeLicense,
    ReactivateLicense,
    ResumeLicense,
    SuspendLicense,
    WithdrawCancellation,
)
from domain.identity import Kind, bucket_of
from domain.package_version import Declared
from domain.price import PerUnit
from jobs.due import behind, due
from tests.builders import component, declared_package, open_account, package, publish, start

Told = Mapping[date, Callable[[], object]]
FREE = Decimal(0)
D9, D10, D11, D15, D16 = (date(2025, 1, day) for day in (9, 10, 11, 15, 16))


@pytest.fixture
def shop(tally: Tally) -> Tally:
    """One account that is billed on the 10th, with 2 seats at 2.00, of a business that runs since the 9th."""
    publish(tally, declared_package(trial_days=20))
    open_account(tally, "acme", billing_day=10, tax_percent=FREE)
    start(tally, "acme", "acme", "declared", date(2024, 12, 10), quantities={"seats": 2})
    live(tally, D9, D9)
    return tally


def live(tally: Tally, first: date, last: date, told: Told | None = None) -> None:
    """Lives some days: at noon, UTC, the scheduler wakes and a worker works; then something is told."""
    for on in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        noon = datetime(on.year, on.month, on.day, 12, tzinfo=ZoneInfo("UTC"))
        with Scheduler(tally, now=lambda zone, noon=noon: noon.astimezone(ZoneInfo(zone))) as scheduler:
            scheduler.wake()
        work(tally, wait=False)
        if told and on in told:
            told[on]()


def documents(tally: Tally) -> list[tuple[Any, ...]]:
    """Who was asked for how much, when, and through which day."""
    tally.follower().catch_up()
    return rows(
        tally,
        "SELECT a.reference, d.issued_on, d.through, d.gross FROM document_v1 d "
        "JOIN account_v2 a USING (bucket, account) ORDER BY d.issued_on, d.number",
    )


def rows(tally: Tally, sql: str) -> list[tuple[Any, ...]]:
    with tally.pool.connection() as connection:
        return connection.execute(sql).fetchall()


ACME = ("acme", D10, D10, 800)
"""What the account owes on the 10th: a month that is over, and one that begins."""


def seats(tally: Tally, name: str, on: date, account: str = "acme", **more: Any) -> None:
    start(tally, name, account, "declared", on, quantities={"seats": 1}, **more)


def test_an_account_opened_after_the_wake_of_its_billing_day_is_billed_at_the_next(shop):
    def told() -> None:
        open_account(shop, "noon", billing_day=10, tax_percent=FREE)
        seats(shop, "noon", D10, "noon")

    live(shop, D10, date(2025, 1, 13), {D10: told})
    assert documents(shop) == [ACME, ("noon", D11, D10, 200)]


def test_a_license_started_after_the_wake_is_billed_at_the_next_though_its_account_was_billed(shop):
    live(shop, D10, date(2025, 1, 13), {D10: lambda: seats(shop, "noon", D10)})
    assert documents(shop) == [ACME, ("acme", D11, D10, 200)]


def test_a_license_that_begins_after_the_billing_day_waits_for_the_next(shop):
    live(shop, D10, D16, {D15: lambda: seats(shop, "later", D15)})
    assert documents(shop) == [ACME]


def test_a_license_started_with_a_day_in_the_past_is_billed_at_the_next_wake(shop):
    live(shop, D10, D16, {D15: lambda: seats(shop, "past", date(2024, 12, 10))})
    assert documents(shop) == [ACME, ("acme", D16, D10, 400)]


def test_a_billing_day_that_is_moved_to_today_after_the_wake_is_billed_at_the_next(shop):
    live(shop, D10, D16, {D15: lambda: shop.billing.execute(ChangeAccount("acme", D15, billing_day=15))})
    # Until 10 February is billed; the 5 days more of the month that begins on the 15th are 5 of 31 at 4.00.
    assert documents(shop) == [ACME, ("acme", D16, D15, 65)]


def test_a_billing_day_that_is_moved_to_one_that_is_over_is_the_next_one_in_the_next_month(shop):
    live(shop, D10, D16, {D15: lambda: shop.billing.execute(ChangeAccount("acme", D15, billing_day=12))})
    assert documents(shop) == [ACME]
    live(shop, date(2025, 2, 9), date(2025, 2, 13))
    assert [row[1:3] for row in documents(shop)[1:]] == [(date(2025, 2, 12), date(2025, 2, 12))]


def test_who_takes_over_the_bill_on_his_billing_day_after_the_wake_is_billed_at_the_next_in_one_document(tally):
    publish(tally, declared_package())
    open_account(tally, "group", billing_day=15, tax_percent=FREE)
    for name in ("left", "right"):
        open_account(tally, name, parent="group", billing_day=15, tax_percent=FREE)
        seats(tally, name, date(2025, 1, 15), name)
    seats(tally, "whole", date(2025, 1, 15), "group")

    def told() -> None:
        for name in ("left", "right"):
            tally.billing.execute(ChangeAccount(name, D15, payer="group"))

    live(tally, D9, date(2025, 1, 18), {D15: told})
    paid = [("group", D15, D15, 200), ("left", D15, D15, 200), ("right", D15, D15, 200)]
    moved = [("group", D16, D15, 400), ("left", D16, D15, -200), ("right", D16, D15, -200)]
    assert [sorted(documents(tally)[:3]), sorted(documents(tally)[3:])] == [paid, moved]


def test_a_payer_in_a_zone_whose_day_is_over_already_is_billed_at_its_next_wake(tally):
    publish(tally, declared_package())
    open_account(tally, "east", billing_day=10, tax_percent=FREE, zone="Pacific/Auckland")
    open_account(tally, "west", parent="east", billing_day=10, tax_percent=FREE, zone="America/Los_Angeles")
    seats(tally, "west", date(2024, 12, 10), "west")
    # At noon of the 9th, UTC, it is the 10th in Auckland already and still the 9th in Los Angeles.
    told = {D9: lambda: tally.billing.execute(ChangeAccount("west", D10, payer="east"))}
    live(tally, date(2025, 1, 8), date(2025, 1, 12), told)
    assert sorted(documents(tally)) == [("east", D11, D10, 200), ("west", D11, D10, 200)]


def test_what_begins_to_be_billed_after_the_wake_of_the_day_is_billed_at_the_next(shop):
    for name, more in (("try", {"type": "trial"}), ("paused", {}), ("ended", {})):
        seats(shop, name, date(2025, 1, 1), **more)
    shop.billing.execute(SuspendLicense("paused", "manual", date(2025, 1, 1)))
    shop.billing.execute(CancelLicense("ended", date(2025, 1, 1), date(2025, 1, 2)))

    def told() -> None:
        shop.billing.execute(ChangeLicense(license="try", today=D10, type="production", when="now"))
        shop.billing.execute(ResumeLicense("paused", "manual", D10))
        shop.billing.execute(ReactivateLicense("ended", D10))

    live(shop, D10, date(2025, 1, 13), {D10: told})
    # The one day of the license that had ended is 1 of 31 at 2.00.
    assert documents(shop) == [("acme", D10, D10, 806), ("acme", D11, D10, 600)]


@pytest.mark.parametrize(
    ("stop", "come_back"),
    [
        (SuspendLicense("back", "manual", D10), ResumeLicense("back", "manual", D10)),
        (CancelLicense("back", D9, D10), ReactivateLicense("back", D10)),
        # Where it is already the 10th somewhere, it is still the 9th elsewhere.
        (CancelLicense("back", D9, D10), WithdrawCancellation("back", D9)),
    ],
)
def test_who_stopped_on_the_billing_day_and_comes_back_after_the_wake_is_billed_at_the_next(shop, stop, come_back):
    seats(shop, "back", date(2024, 12, 10))
    run_billing(shop, D9, D9)
    shop.billing.execute(stop)
    live(shop, D10, date(2025, 1, 13), {D10: lambda: shop.billing.execute(come_back)})
    assert documents(shop) == [("acme", D9, D9, 600), ("acme", D10, D10, 400), ("acme", D11, D10, 200)]


@pytest.mark.parametrize(("on", "later"), [(D10, [("acme", D11, D10, 200)]), (D9, [])])
def test_who_is_to_pay_in_advance_from_the_billing_day_on_is_billed_at_the_next_wake(shop, on, later):
    late = component("seats", PerUnit(Decimal("2.00")), quantity=Declared(), mode="in_arrears")
    publish(shop, package("late", late))
    start(shop, "late", "acme", "late", date(2024, 12, 10), quantities={"seats": 1})
    in_advance = ChangeLicense(license="late", today=on, package="declared", when="now")
    live(shop, D10, date(2025, 1, 13), {D10: lambda: shop.billing.execute(in_advance)})
    assert documents(shop) == [("acme", D10, D10, 1000), *later]


def test_an_account_without_licenses_is_looked_at_once(shop):
    open_account(shop, "empty", billing_day=20, tax_percent=FREE)
    live(shop, D10, D15, {D11: lambda: shop.billing.execute(ChangeAccount("empty", D11, billing_day=11))})
    assert rows(shop, "SELECT run FROM billing_run ORDER BY run") == [("2025-01-10#1",), ("2025-01-11#1",)]


def test_what_changes_on_a_bill_after_the_wake_comes_with_the_next(shop):
    more = ChangeLicense(license="acme", today=D10, quantities={"seats": 3}, when="now")
    live(shop, D10, D11, {D10: lambda: shop.billing.execute(more)})
    assert documents(shop) == [ACME]


def test_what_was_seen_is_not_looked_at_again(shop):
    live(shop, D10, D16, {D10: lambda: seats(shop, "noon", D10), D11: lambda: seats(shop, "later", D11)})
    assert rows(shop, "SELECT run FROM billing_run ORDER BY run") == [("2025-01-10#1",), ("2025-01-10#2",)]


def test_who_is_billed_by_hand_is_not_billed_again_by_the_next_wake(shop):
    def told() -> None:
        seats(shop, "noon", D10)
        run_billing(shop, D10, D10)

    live(shop, D10, date(2025, 1, 12), {D10: told})
    assert documents(shop) == [ACME, ("acme", D10, D10, 200)]
    assert rows(shop, "SELECT run, accounts IS NULL FROM billing_run ORDER BY run") == [
        ("2025-01-10#1", False), ("2025-01-10#2", True),
    ]  # fmt: skip


def test_an_account_that_failed_is_tried_again_at_every_wake_until_it_is_mended(shop):
    open_account(shop, "other", billing_day=10, tax_percent=FREE)
    seats(shop, "other", D10, "other")
    license = shop.billing.resolve(int(Kind.LICENSE), ["acme"])["acme"]
    days = "ARRAY['2025-01-01'::date], ARRAY['2025-01-02'::date])"

    def faulty(name: str) -> None:
        with psycopg.connect(shop.dsn) as connection:
            connection.execute(
                f"SELECT {name}(ARRAY[%s::smallint], ARRAY[%s::uuid], ARRAY['declared/seats'], "
                f"ARRAY[%s::uuid], ARRAY['EUR'], ARRAY[''], {days}".encode(),
                [bucket_of(license), license, shop.billing.resolve(int(Kind.ACCOUNT), ["acme"])["acme"]],
            )

    faulty("cover")
    live(shop, D10, date(2025, 1, 12), {date(2025, 1, 12): lambda: faulty("uncover")})
    assert documents(shop) == [("other", D10, D10, 200)]
    live(shop, date(2025, 1, 13), date(2025, 1, 14))
    assert documents(shop)[1:] == [("acme", date(2025, 1, 13), D10, 800)]


def test_whom_a_day_that_was_given_up_has_missed_is_billed_by_the_next_and_the_doctor_is_content(shop, monkeypatch):
    def given_up() -> list[tuple[str, str]]:
        with psycopg.connect(shop.dsn) as connection:
            return [(one.object, one.message) for one in inspect(connection) if one.rule == "billed"]

    with monkeypatch.context() as fault:
        fault.setattr(schedule, "run_billing", lambda *_: 1 / 0)
        live(shop, D10, D10)
        for _ in range(9):
            with psycopg.connect(shop.dsn) as connection:
                connection.execute("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
            work(shop, wait=False)
    assert given_up() == [("UTC", "2025-01-10 was given up: `tally bill --through 2025-01-10` issues what is owed")]
    live(shop, D11, D11)
    assert documents(shop) == [("acme", D11, D10, 800)]
    assert given_up() == []


@pytest.mark.parametrize("on", [date(2025, 1, 1), D15, date(2025, 2, 28), date(2025, 3, 1), date(2025, 3, 30)])
def test_every_account_has_one_billing_day_that_may_have_missed_it(tally, on):
    publish(tally, declared_package())
    accounts = {}
    for day in range(1, 32):
        open_account(tally, f"a{day}", billing_day=day)
        seats(tally, f"a{day}", date(2024, 11, 1), f"a{day}")
        accounts.update(tally.billing.resolve(int(Kind.ACCOUNT), [f"a{day}"]))
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        connection.execute("INSERT INTO wake VALUES ('UTC', %s)", [on - timedelta(days=20)])
    found = behind(tally.pool, "UTC", on)
    last = {}
    for passed in (on - timedelta(days=n) for n in range(31, -1, -1)):
        last.update(dict.fromkeys(due(tally.pool, "UTC", passed), passed))
    wanted = {account: day for account, day in last.items() if on - timedelta(days=20) <= day < on}
    assert {account: day for day, some in found.items() for account in some} == wanted
    assert len(last) == 31
    assert len(wanted) >= 15
