"""The nine traps of billing by difference, each with the smallest example in which it would bite."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest

from adapters.billing_workers import run_billing
from domain.counting import DayCounts
from domain.events import account as account_events
from domain.events import license as events
from domain.events.documents import Line
from domain.grid import Cadence
from domain.owed import charges
from domain.package_version import Component, Counted, Counting, Declared, PackageVersion, Proration
from domain.price import Flat, PerUnit
from tests.books import START, Books
from tests.builders import cover_again, declared_package, open_account, publish, start


def sold(*components: Component, **more: Any) -> PackageVersion:
    return PackageVersion(
        package="p", version=1, name="P", effective_on=date(2020, 1, 1), components=components, **more
    )  # fmt: skip


def flat(amount: str = "31.00", name: str = "c1", **more: Any) -> Component:
    return Component(id=name, name=name, prices={"EUR": Flat(Decimal(amount))}, **more)


def license_of(version: PackageVersion, *others: PackageVersion, billing_day: int = 1) -> Books:
    """A license of the first package from 10 January 2024 on."""
    return Books({(one.package, one.version): one for one in (version, *others)}, billing_day)


def amounts(lines: list[Line]) -> list[int]:
    return [line.amount for line in lines]


def changed(books: Books, name: str, on: date, package: str, **quantities: int) -> None:
    books.record(
        "license",
        events.LicenseChanged(
            change=name, effective_on=on, package=package, version=1, type="production", quantities=quantities,
            direction="other",
        ),
    )  # fmt: skip


def test_trap_1_what_was_billed_ahead_and_is_still_owed_is_not_credited_by_an_earlier_target():
    books = license_of(sold(flat()))
    books.run(date(2024, 3, 1))
    assert books.run(date(2024, 1, 15)) == []


def test_trap_2_a_moved_billing_day_keeps_billed_days_and_converges_in_coverage():
    books = license_of(sold(flat("30.00")))
    books.run(date(2024, 6, 1))
    moved = account_events.BillingDayChanged(billing_day=15, effective_on=date(2024, 6, 5))
    books.record("account", moved)
    lines = books.run(date(2024, 6, 20))
    assert [(line.kind, line.start, line.end) for line in lines] == [("charge", date(2024, 7, 1), date(2024, 7, 15))]
    assert books.run(date(2024, 6, 20)) == []


def test_trap_3_detours_and_pieces_add_up_to_the_whole_price():
    books = license_of(sold(flat("249.95")))
    books.run(date(2024, 4, 1))
    for number, on in enumerate((date(2024, 4, 7), date(2024, 4, 16), date(2024, 4, 23))):
        books.record("license", events.LicenseSuspended(reason=f"r{number}", from_on=on, pauses_billing=True))
        books.run(on)
        books.record("license", events.LicenseResumed(reason=f"r{number}", on=on))
        books.run(on)
    april = sum(line.amount for _, _, line in books.lines if line.base_start == date(2024, 4, 1))
    assert april == 24995


def test_trap_4_lines_of_zero_are_kept_so_that_a_second_run_is_empty():
    books = license_of(sold(flat("0.00")))
    assert set(amounts(books.run(date(2024, 3, 1)))) == {0}
    assert books.run(date(2024, 3, 1)) == []


def test_trap_5_a_persons_adjustment_takes_money_and_no_days():
    books = license_of(sold(flat("12.00")))
    books.run(date(2024, 2, 1))
    ref, stream, line = books.lines[-1]
    adjusted = msgspec.structs.replace(line, kind="adjustment", amount=-1000, tax=-190, link=ref)
    books.lines.append(((ref[0], 99), stream, adjusted))
    assert books.run(date(2024, 2, 1)) == []


def test_trap_6_a_reversal_is_capped_by_what_is_left_and_comes_back_at_what_was_taken():
    books = license_of(sold(flat("12.00")))
    books.run(date(2024, 2, 1))
    ref, stream, line = books.lines[-1]
    adjusted = msgspec.structs.replace(line, kind="adjustment", amount=-1000, tax=0, link=ref)
    books.lines.append(((ref[0], 99), stream, adjusted))
    books.record("license", events.LicenseCancelled(notice_on=START, end_on=date(2024, 2, 1)))
    assert amounts(books.run(date(2024, 2, 1))) == [-200]
    books.record("license", events.CancellationWithdrawn(on=START))
    assert amounts(books.run(date(2024, 2, 1))) == [200]
    assert books.run(date(2024, 2, 1)) == []


def test_trap_7_two_packages_on_one_day_are_two_streams_and_never_two_prices_of_one():
    other = msgspec.structs.replace(sold(flat("62.00")), package="q")
    books = license_of(sold(flat()), other)
    books.run(date(2024, 3, 1))
    changed(books, "c1", date(2024, 3, 11), "q")
    assert amounts(books.run(date(2024, 3, 11))) == [-2100, 4200]
    books.covered_days()


def test_trap_8_what_days_do_not_divide_is_charged_whole_and_once():
    setup = flat("99.00", "setup", charge="one_time")
    books = license_of(sold(flat(), setup))
    assert 9900 in amounts(books.run(date(2024, 2, 1)))
    books.record("license", events.LicenseSuspended(reason="m", from_on=date(2024, 2, 5), pauses_billing=True))
    books.record("license", events.LicenseResumed(reason="m", on=date(2024, 2, 9)))
    assert 9900 not in amounts(books.run(date(2024, 4, 1)))


def test_trap_9_a_day_of_a_stream_cannot_be_covered_twice_by_the_database(tally):
    publish(tally, declared_package())
    open_account(tally, "acme")
    start(tally, "l1", "acme", "declared", quantities={"seats": 2})
    run_billing(tally, date(2025, 2, 1), date(2025, 2, 1))
    with tally.log.append() as append, pytest.raises(psycopg.errors.ExclusionViolation, match="covered twice"):
        cover_again(append, tally.billing.resolve(3, ["l1"])["l1"], date(2025, 1, 31), date(2025, 2, 2))


def counted_books(charge: str, price: Any, **proration: Any) -> Books:
    users = Component(
        id="c1", name="c1", prices={"EUR": price}, charge=charge, quantity=Counted("users"), mode="in_arrears"
    )
    return license_of(sold(users, countings=(Counting("users", "sum"),), proration=Proration(**proration)))


@pytest.mark.parametrize(
    ("rule", "up", "down"),
    [("reverse_and_rebill", [-1000, 1500], [-1500, 500]), ("up_only", [-1000, 1500], []), ("never", [], [])],
)
def test_a_correction_of_usage_follows_the_packages_rule(rule, up, down):
    books = counted_books("usage", PerUnit(Decimal("1.00")), usage_correction=rule)
    day = date(2024, 1, 20).toordinal()
    books.counts[day] = 10
    assert amounts(books.run(date(2024, 2, 1))) == [1000]
    books.counts[day] = 15
    assert sorted(amounts(books.run(date(2024, 2, 1)))) == sorted(up)
    books.counts[day] = 5
    assert sorted(amounts(books.run(date(2024, 2, 1)))) == sorted(down)


@pytest.mark.parametrize(("reverse_on", "first"), [("effective", date(2024, 3, 20)), ("known", date(2024, 3, 5))])
def test_what_a_cancellation_gives_back_is_written_when_it_takes_effect_or_at_once_as_the_package_says(
    reverse_on, first
):
    books = license_of(sold(flat(), proration=Proration(reverse_on=reverse_on)))
    books.run(date(2024, 3, 1))
    books.record("license", events.LicenseCancelled(notice_on=date(2024, 3, 5), end_on=date(2024, 3, 20)))
    days = [date(2024, 3, on) for on in (5, 19, 20, 25)]
    written = {on: amounts(books.run(on)) for on in days}
    assert written == {on: [-1200] if on == first else [] for on in days}


def test_a_minimum_tops_a_period_up_a_maximum_caps_it_and_both_follow_corrections():
    users = Component(
        id="c1", name="u", prices={"EUR": PerUnit(Decimal("1.00"))}, quantity=Counted("users"), mode="in_arrears"
    )
    bounds = (flat("50.00", "floor", charge="minimum"), flat("70.00", "cap", charge="maximum"))
    books = license_of(sold(users, *bounds, countings=(Counting("users", "peak"),)))
    books.counts[date(2024, 2, 5).toordinal()] = 20
    books.run(date(2024, 2, 1))
    assert sorted(amounts(books.run(date(2024, 3, 1)))) == [0, 2000, 3000]
    for day, users_seen, february in ((6, 60, 6000), (7, 100, 7000)):
        books.counts[date(2024, 2, day).toordinal()] = users_seen
        books.run(date(2024, 3, 1))
        assert sum(line.amount for _, _, line in books.lines if line.start.month == 2) == february


def test_discounts_hold_for_periods_of_the_grid_and_an_amount_off_never_exceeds_the_period():
    books = license_of(sold(flat("30.00")), billing_day=10)
    books.record("license", events.DiscountGranted(discount="d", component="", percent=Decimal(50), amount=None,
                                                   from_on=START, periods=2))  # fmt: skip
    books.record("license", events.DiscountGranted(discount="e", component="c1", percent=None, amount=Decimal(20),
                                                   from_on=date(2024, 2, 10), periods=2))  # fmt: skip
    books.run(date(2024, 5, 9))
    by_month = {line.start.month: 0 for _, _, line in books.lines}
    for _, _, line in books.lines:
        by_month[line.start.month] += line.amount
    assert by_month == {1: 1500, 2: 0, 3: 1000, 4: 3000}


def test_nfr_units_are_free_and_those_above_are_paid():
    seats = Component(id="c1", name="s", prices={"EUR": PerUnit(Decimal("2.00"))}, quantity=Declared())
    for included, expected in ((None, [0]), (50, [600])):
        version = sold(seats, nfr_included=included)
        books = license_of(version, billing_day=10)
        changed(books, "c1", START, "p", c1=53)
        nfr = msgspec.structs.replace(books.license_facts[-1].body, type="nfr")
        books.license_facts[-1] = books.license_facts[-1]._replace(body=nfr)
        assert amounts(books.run(START)) == expected


def test_a_trial_is_not_billed_and_begun_periods_follow_the_packages_policy():
    for leading, expected in (("prorate", [2200]), ("full", [3100]), ("free", [])):
        books = license_of(sold(flat(), proration=Proration(leading=leading)))
        assert amounts(books.run(START)) == expected
    books = license_of(sold(flat()))
    trial = msgspec.structs.replace(books.license_facts[0].body, type="trial")
    books.license_facts[0] = books.license_facts[0]._replace(body=trial)
    assert books.run(date(2024, 6, 1)) == []


@pytest.mark.parametrize(("users", "gigabytes", "billed"), [(12, 95, 12), (5, 120, 12)])
def test_the_larger_of_two_counters_is_billed(users, gigabytes, billed):
    """The acceptance vector of a vendor who bills users or blocks of ten gigabytes."""
    component = Component(
        id="c1", name="u", prices={"EUR": PerUnit(Decimal("1.00"))}, mode="in_arrears",
        quantity=Counted("users", 0, "gb", 10), cadence=Cadence(months=1),
    )  # fmt: skip
    books = license_of(sold(component, countings=(Counting("users", "last"), Counting("gb", "last"))))
    day = date(2024, 1, 20).toordinal()
    counts = {"users": DayCounts({day: users}), "gb": DayCounts({day: gigabytes})}
    owed, _ = charges(books.terms(), counts.__getitem__, date(2024, 2, 1).toordinal(), 0)
    assert owed[0].rating.quantity == billed
    assert [counter for counter, _, _ in owed[0].counted] == ["users", "gb"], "the counts of both are reasons"


def test_nobody_is_counted_before_service_begins():
    """START is the tenth: who was there on the second belongs to whatever was sold before."""
    component = Component(
        id="c1", name="u", prices={"EUR": PerUnit(Decimal("1.00"))}, mode="in_arrears", quantity=Counted("users"),
        cadence=Cadence(months=1),
    )  # fmt: skip
    books = license_of(sold(component, countings=(Counting("users", "peak"),)))
    books.counts = {date(2024, 1, 2).toordinal(): 99, date(2024, 1, 20).toordinal(): 3}
    owed, _ = books.owed(date(2024, 2, 1))
    assert [charge.rating.quantity for charge in owed] == [3]


def test_days_that_fall_due_again_by_an_earlier_target_are_given_back_at_once_and_covered_once():
    """What was billed ahead is reversed when it takes effect, unless its days are billed anew before."""
    seats = Component(id="c1", name="seats", prices={"EUR": PerUnit(Decimal("31.00"))}, quantity=Declared())
    books = license_of(sold(seats))
    changed(books, "c1", date(2024, 1, 20), "p", c1=7)
    books.run(date(2024, 1, 25))
    books.record("license", events.ChangeWithdrawn(change="c1"))
    lines = books.run(date(2024, 1, 15))
    assert [(line.kind, line.start, line.end) for line in lines] == [
        ("reversal", date(2024, 1, 20), date(2024, 2, 1)),
        ("charge", date(2024, 1, 20), date(2024, 2, 1)),
    ]
    assert len(set(books.covered_days().values())) == 1, "at one quantity"


def test_what_may_not_be_taken_back_stays_billed_when_the_license_ends():
    books = license_of(sold(flat(reversible=False), flat(name="c2")))
    books.run(START)
    books.record("license", events.LicenseCancelled(notice_on=START, end_on=date(2024, 1, 20)))
    assert {line.component for line in books.run(date(2024, 1, 20))} == {"p/c2"}
