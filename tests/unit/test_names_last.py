"""Terms are folded without names: what one license learns of another is never whose it is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from domain.billing import charged
from domain.counting import DayCounts
from domain.events import account as account_events
from domain.events import license as events
from domain.history import Located, history_of
from domain.package_version import Component, Declared, PackageVersion
from domain.price import PerUnit
from domain.terms import billed_to

SEATS = Component(id="seats", name="Seats", prices={"EUR": PerUnit(Decimal(2))}, quantity=Declared())
PACKAGE = PackageVersion(package="p", version=1, name="P", effective_on=date(2020, 1, 1), components=(SEATS,))
FEBRUARY = date(2025, 2, 1)
PARENT = UUID(int=99)


def owed(license: UUID, account: UUID, payer: UUID | None):
    """What a license owes that somebody else pays for from February on."""
    started = events.LicenseStarted(
        reference=str(license), account=account, package="p", version=1, type="production",
        start_on=date(2025, 1, 1), currency="EUR", quantities={"seats": 3},
    )  # fmt: skip
    opened = account_events.AccountOpened(
        reference=str(account), party=account_events.Party(name="A"), parent=None, payer=None, currency="EUR",
        billing_day=1, zone="UTC",
    )  # fmt: skip
    changed = account_events.PayerChanged(payer=payer, effective_on=FEBRUARY)
    facts = [Located((license, 1), started)]
    account_facts = [Located((account, 1), opened), Located((account, 2), changed)]
    found, _ = charged(
        history_of(facts),
        billed_to(account_facts, account),
        lambda *_: PACKAGE,
        lambda _: DayCounts(),
        date(2025, 2, 10).toordinal(),
        0,
    )
    return found


def test_licenses_with_one_history_share_what_they_come_to_and_nothing_else():
    one, other = owed(UUID(int=5), UUID(int=6), PARENT), owed(UUID(int=7), UUID(int=8), PARENT)
    assert [charge.rating for charge in one] == [charge.rating for charge in other]
    assert {(charge.stream.license, charge.stream.payer) for charge in one} == {
        (UUID(int=5), UUID(int=6)),
        (UUID(int=5), PARENT),
    }
    assert {(charge.stream.license, charge.stream.payer) for charge in other} == {
        (UUID(int=7), UUID(int=8)),
        (UUID(int=7), PARENT),
    }
    assert {ref for charge in other for ref in charge.reasons} == {(UUID(int=7), 1), (UUID(int=8), 2)}


@pytest.mark.parametrize("payer", [None, UUID(int=6)])
def test_an_account_that_is_named_as_its_own_payer_pays_as_if_it_were_not_named(payer):
    assert {charge.stream.payer for charge in owed(UUID(int=5), UUID(int=6), payer)} == {UUID(int=6)}
