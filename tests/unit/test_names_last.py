"""Terms are folded without names: what one license learns of another is never whose it is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from domain.billing import Found, documents, found
from domain.counting import DayCounts
from domain.events import account as account_events
from domain.events import license as events
from domain.events.documents import Line
from domain.history import History, Located, history_of
from domain.package_version import Component, Counted, Counting, Declared, PackageVersion
from domain.price import PerUnit
from domain.standing import Standing
from domain.terms import billed_to

SEATS = Component(id="seats", name="Seats", prices={"EUR": PerUnit(Decimal(2))}, quantity=Declared())
PACKAGE = PackageVersion(package="p", version=1, name="P", effective_on=date(2020, 1, 1), components=(SEATS,))
FEBRUARY = date(2025, 2, 1)
PARENT = UUID(int=99)
USERS = Counted("users")


def start(license: UUID, account: UUID, **quantities: int) -> History:
    """The history of a license that was sold on the first of January."""
    started = events.LicenseStarted(
        reference=str(license), account=account, package="p", version=1, type="production",
        start_on=date(2025, 1, 1), currency="EUR", quantities=quantities,
    )  # fmt: skip
    return history_of([Located((license, 1), started)])


def opened(account: UUID, tax: str = "0") -> Located:
    """An account's beginning."""
    body = account_events.AccountOpened(
        reference=str(account), party=account_events.Party(name="A"), parent=None, payer=None, currency="EUR",
        billing_day=1, zone="UTC", tax_percent=Decimal(tax),
    )  # fmt: skip
    return Located((account, 1), body)


def bills(license: UUID, account: UUID, payer: UUID | None) -> tuple[Found, list[tuple[UUID, Line]]]:
    """What a license comes to that somebody else pays for from February on, and its lines by who pays them."""
    changed = account_events.PayerChanged(payer=payer, effective_on=FEBRUARY)
    facts = [opened(account), Located((account, 2), changed)]
    standing = Standing(start(license, account, seats=3), billed_to(facts, account), {}, ())
    came_to = found(standing, date(2025, 2, 10), lambda *_: PACKAGE)
    issued = documents([came_to], {account: facts, PARENT: [opened(PARENT)]}, date(2025, 2, 10))
    return came_to, [(one.payer.id, line) for one in issued for line in one.draft.lines]


def test_licenses_with_one_history_share_what_they_come_to_and_nothing_else():
    (one, lines), (other, others) = bills(UUID(int=5), UUID(int=6), PARENT), bills(UUID(int=7), UUID(int=8), PARENT)
    assert one.difference is other.difference
    assert {(payer, line.license) for payer, line in lines} == {(UUID(int=6), UUID(int=5)), (PARENT, UUID(int=5))}
    assert {(payer, line.license) for payer, line in others} == {(UUID(int=8), UUID(int=7)), (PARENT, UUID(int=7))}
    assert {ref for _, line in others for ref in line.reasons} == {(UUID(int=7), 1), (UUID(int=8), 2)}


@pytest.mark.parametrize("payer", [None, UUID(int=6)])
def test_an_account_that_is_named_as_its_own_payer_pays_as_if_it_were_not_named(payer):
    assert {by for by, _ in bills(UUID(int=5), UUID(int=6), payer)[1]} == {UUID(int=6)}


def test_each_line_of_a_document_names_its_own_license_and_the_counts_of_its_own():
    """Three licenses that owe the same, on one document by name, not as they came; February's counts are no reason."""
    users = Component(id="users", name="Users", prices={"EUR": PerUnit(Decimal(2))}, mode="in_arrears", quantity=USERS)
    package = PackageVersion("p", 1, "P", date(2020, 1, 1), (users,), countings=(Counting("users", "peak"),))
    account, licenses = UUID(int=6), [UUID(int=9), UUID(int=5), UUID(int=7)]
    began = date(2025, 1, 1).toordinal()
    came_to = []
    for license in licenses:
        reasons = ((began, began + 30, (counts_of(license), 1)), (began + 31, began + 58, (counts_of(license), 2)))
        counted = {"users": DayCounts({began: 4}, {}, reasons)}
        standing = Standing(start(license, account), billed_to([opened(account)], account), counted, ())
        came_to.append(found(standing, FEBRUARY, lambda *_: package))
    (issue,) = documents(came_to, {account: [opened(account)]}, FEBRUARY)
    assert [(line.number, line.license, line.reasons) for line in issue.draft.lines] == [
        (number, license, ((license, 1), (counts_of(license), 1))) for number, license in enumerate(sorted(licenses), 1)
    ]


@pytest.mark.parametrize("rate", ["19", "19.00", "19.0"])
def test_a_rate_of_tax_is_printed_as_it_is_written_whoever_else_has_an_equal_one(rate):
    account = UUID(int=6)
    facts = [opened(account, rate)]
    standing = Standing(start(UUID(int=5), account, seats=3), billed_to(facts, account), {}, ())
    (issue,) = documents([found(standing, FEBRUARY, lambda *_: PACKAGE)], {account: facts}, FEBRUARY)
    assert {str(line.tax_percent) for line in issue.draft.lines} == {rate}
    assert [str(total.percent) for total in issue.draft.taxes] == [rate]


def counts_of(license: UUID) -> UUID:
    """Where the counts of a license are."""
    return UUID(int=license.int + 1000)
