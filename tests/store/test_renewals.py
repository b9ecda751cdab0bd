"""A license is renewed where its next period is billed from: the border as it will be, not as it is today."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from domain.application.accounts import ChangeAccount
from domain.application.licensing import (
    CancelLicense,
    ChangeLicense,
    ResumeLicense,
    SuspendLicense,
    license_named,
)
from domain.application.renewals import ends_unrenewed
from domain.grid import YEARLY
from domain.price import PerUnit
from tests.builders import component, declared_package, open_account, package, publish, start

TODAY = date(2025, 3, 5)


@pytest.mark.parametrize(
    ("from_on", "billing_day", "renewed_on"),
    [
        (date(2025, 3, 15), 20, date(2025, 3, 20)),
        (date(2025, 3, 15), 15, date(2025, 3, 15)),
        (date(2025, 3, 15), 10, date(2025, 4, 10)),
        (date(2025, 4, 1), 20, date(2025, 4, 1)),
        (date(2025, 4, 2), 20, date(2025, 4, 1)),
    ],
)
def test_a_renewal_is_where_the_billing_day_will_have_it(tally, from_on, billing_day, renewed_on):
    publish(tally, declared_package())
    open_account(tally, "acme")
    start(tally, "l", "acme", "declared", quantities={"seats": 2})
    tally.billing.execute(ChangeAccount("acme", from_on, billing_day=billing_day))
    assert ends_unrenewed(tally.billing, license_named(tally.billing, "l"), TODAY) == renewed_on
    fewer = ChangeLicense(license="l", today=TODAY, quantities={"seats": 1})
    assert tally.billing.execute(fewer)[1] == renewed_on
    assert tally.billing.execute(CancelLicense("l", TODAY)) == renewed_on


@pytest.mark.parametrize(("billing_day", "renewed_on"), [(20, date(2025, 3, 20)), (18, date(2025, 4, 18))])
def test_a_renewal_is_where_service_comes_back_to_after_a_pause_that_is_agreed(tally, billing_day, renewed_on):
    publish(tally, declared_package())
    open_account(tally, "acme")
    start(tally, "l", "acme", "declared", quantities={"seats": 2})
    tally.billing.execute(SuspendLicense("l", "manual", date(2025, 3, 10)))
    tally.billing.execute(ResumeLicense("l", "manual", date(2025, 3, 20)))
    tally.billing.execute(ChangeAccount("acme", date(2025, 3, 15), billing_day=billing_day))
    assert tally.billing.execute(CancelLicense("l", TODAY)) == renewed_on


@pytest.mark.parametrize("type", ["production", "trial"])
def test_a_year_that_began_with_a_change_is_renewed_a_year_later(tally, type):
    yearly = package("yearly", component("seats", PerUnit(Decimal("20.00")), cadence=YEARLY), rank=1, trial_days=300)
    publish(tally, declared_package(trial_days=300), yearly)
    open_account(tally, "acme")
    start(tally, "l", "acme", "declared", date(2025, 1, 10), quantities={"seats": 2}, type=type)
    tally.billing.execute(ChangeLicense(license="l", today=date(2025, 7, 1), package="yearly", when="now"))
    for on in (date(2025, 7, 1), date(2025, 9, 1), date(2026, 6, 30)):
        assert ends_unrenewed(tally.billing, license_named(tally.billing, "l"), on) == date(2026, 7, 1)
