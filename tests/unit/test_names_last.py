"""Terms are folded without names: what one license learns of another is never whose it is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from domain.billing import Found, documents, found
from domain.events import account as account_events
from domain.events import license as events
from domain.events.documents import Line
from domain.history import Located, history_of
from domain.package_version import Component, Declared, PackageVersion
from domain.price import PerUnit
from domain.standing import Standing
from domain.terms import billed_to

SEATS = Component(id="seats", name="Seats", prices={"EUR": PerUnit(Decimal(2))}, quantity=Declared())
PACKAGE = PackageVersion(package="p", version=1, name="P", effective_on=date(2020, 1, 1), components=(SEATS,))
FEBRUARY = date(2025, 2, 1)
PARENT = UUID(int=99)


def bills(license: UUID, account: UUID, payer: UUID | None) -> tuple[Found, list[tuple[UUID, Line]]]:
    """What a license comes to that somebody else pays for from February on, and its lines by who pays them."""
    started = events.LicenseStarted(
        reference=str(license), account=account, package="p", version=1, type="production",
        start_on=date(2025, 1, 1), currency="EUR", quantities={"seats": 3},
    )  # fmt: skip
    opened = account_events.AccountOpened(
        reference=str(account), party=account_events.Party(name="A"), parent=None, payer=None, currency="EUR",
        billing_day=1, zone="UTC",
    )  # fmt: skip
    changed = account_events.PayerChanged(payer=payer, effective_on=FEBRUARY)
    history = history_of([Located((license, 1), started)])
    facts = [Located((account, 1), opened), Located((account, 2), changed)]
    standing = Standing(history, billed_to(facts, account), {}, ())
    came_to = found(standing, date(2025, 2, 10), lambda *_: PACKAGE)
    accounts = {account: facts, PARENT: [Located((PARENT, 1), opened)]}
    issued = documents([came_to], accounts, date(2025, 2, 10))
    return came_to, [(payer.id, line) for payer, _, draft in issued for line in draft.lines]


def test_licenses_with_one_history_share_what_they_come_to_and_nothing_else():
    (one, lines), (other, others) = bills(UUID(int=5), UUID(int=6), PARENT), bills(UUID(int=7), UUID(int=8), PARENT)
    assert one.difference is other.difference
    assert {(payer, line.license) for payer, line in lines} == {(UUID(int=6), UUID(int=5)), (PARENT, UUID(int=5))}
    assert {(payer, line.license) for payer, line in others} == {(UUID(int=8), UUID(int=7)), (PARENT, UUID(int=7))}
    assert {ref for _, line in others for ref in line.reasons} == {(UUID(int=7), 1), (UUID(int=8), 2)}


@pytest.mark.parametrize("payer", [None, UUID(int=6)])
def test_an_account_that_is_named_as_its_own_payer_pays_as_if_it_were_not_named(payer):
    assert {by for by, _ in bills(UUID(int=5), UUID(int=6), payer)[1]} == {UUID(int=6)}
