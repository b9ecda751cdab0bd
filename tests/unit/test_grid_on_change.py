"""When the periods of a license are counted anew: never, when a change brings another cadence, or always."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from domain.events import license as events
from domain.events.account import BillingDayChanged
from domain.grid import MONTHLY, YEARLY, Cadence
from domain.package_version import Component, PackageVersion, Proration
from domain.price import Flat
from tests.books import Books

Days = tuple[date, date]


def sold(cadence: Cadence, policy: str, name: str = "p") -> PackageVersion:
    fee = Component("fee", "Fee", {"EUR": Flat(Decimal("366.00"))}, cadence=cadence)
    proration = Proration(grid_on_change=policy)  # type: ignore[arg-type]
    return PackageVersion(name, 1, name, date(2020, 1, 1), (fee,), proration=proration)


def after_a_pause(cadence: Cadence, policy: str) -> Days:
    """The days billed when a license that began on 10 January comes back on 1 June from a pause of a month."""
    books = Books({("p", 1): sold(cadence, policy)})
    books.run(date(2024, 1, 10))
    books.record("license", events.LicenseSuspended(reason="r", from_on=date(2024, 5, 1), pauses_billing=True))
    books.run(date(2024, 5, 1))
    books.record("license", events.LicenseResumed(reason="r", on=date(2024, 6, 1)))
    charges = [line for line in books.run(date(2024, 6, 1)) if line.kind == "charge"]
    return min(line.start for line in charges), max(line.end for line in charges)


@pytest.mark.parametrize(("policy", "end"), [("restart", date(2025, 1, 1)), ("always", date(2025, 6, 1))])
def test_a_year_that_was_paused_goes_on_or_begins_anew(policy, end):
    assert after_a_pause(YEARLY, policy) == (date(2024, 6, 1), end)


def test_a_month_has_the_same_borders_however_it_is_counted():
    assert after_a_pause(MONTHLY, "always") == after_a_pause(MONTHLY, "restart")


@pytest.mark.parametrize(("policy", "end"), [("continue", date(2025, 1, 1)), ("always", date(2025, 7, 1))])
def test_a_change_to_another_package_of_the_same_cadence(policy, end):
    books = Books({("p", 1): sold(YEARLY, policy), ("q", 1): sold(YEARLY, policy, "q")})
    books.run(date(2024, 1, 10))
    to_q = events.LicenseChanged(
        change="c1", effective_on=date(2024, 7, 20), package="q", version=1, type="production", quantities={},
        direction="other",
    )  # fmt: skip
    books.record("license", to_q)
    charges = [line for line in books.run(date(2024, 7, 20)) if line.kind == "charge"]
    assert [(line.start, line.end) for line in charges] == [(date(2024, 7, 20), end)]


@pytest.mark.parametrize(("policy", "amount"), [("continue", 5903), ("always", 6100)])
def test_what_is_between_a_change_and_a_move_of_the_billing_day_is_a_part_of_the_month_before_that(policy, amount):
    """Five days: of the May that the license began before, or of the month back from the day that the stretch ends."""
    proration = Proration(grid_on_change=policy, leading_base="shifted")
    p, q = (msgspec.structs.replace(sold(MONTHLY, policy, name), proration=proration) for name in "pq")
    books = Books({("p", 1): p, ("q", 1): q}, start=date(2024, 4, 1))
    books.run(date(2024, 5, 1))
    books.record("license", _to_q(date(2024, 5, 5)))
    books.record("account", BillingDayChanged(billing_day=10, effective_on=date(2024, 5, 10)))
    charges = [line for line in books.run(date(2024, 5, 5)) if line.kind == "charge"]
    assert [(line.start, line.end, line.amount) for line in charges] == [(date(2024, 5, 5), date(2024, 5, 10), amount)]
    assert books.run(date(2024, 5, 5)) == []


def _to_q(on: date) -> events.LicenseChanged:
    return events.LicenseChanged(
        change="c1", effective_on=on, package="q", version=1, type="production", quantities={}, direction="other"
    )


def test_a_second_run_finds_nothing():
    books = Books({("p", 1): sold(YEARLY, "always")})
    books.run(date(2024, 1, 10))
    books.record("license", events.LicenseSuspended(reason="r", from_on=date(2024, 5, 1), pauses_billing=True))
    books.record("license", events.LicenseResumed(reason="r", on=date(2024, 6, 1)))
    books.run(date(2024, 6, 1))
    assert books.run(date(2024, 6, 1)) == []
