"""What an account is billed by on a day, however early, late or out of order its changes were told."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.account import Account
from domain.billing import account_of
from domain.events import account as events
from domain.events.account import Party
from domain.history import OWNER, Located
from domain.identity import Kind, make_id
from domain.terms import billed_to

ACCOUNT, PARENT = (make_id(Kind.ACCOUNT, 1, None, name) for name in ("part", "group"))
FIRST = date(2025, 1, 1)
DAYS = st.integers(0, 40).map(lambda days: FIRST + timedelta(days))
CHANGES = st.one_of(
    st.builds(events.PayerChanged, payer=st.sampled_from([None, PARENT]), effective_on=DAYS),
    st.builds(events.BillingDayChanged, billing_day=st.integers(1, 31), effective_on=DAYS),
    st.builds(events.TaxRateChanged, tax_percent=st.integers(0, 25).map(Decimal), effective_on=DAYS),
)
OPENED = events.AccountOpened(
    reference="part", party=Party(name="Part"), parent=PARENT, payer=None, currency="EUR", billing_day=1, zone="UTC",
    tax_percent=Decimal(19),
)  # fmt: skip


def facts_of(changes: list[events.PayerChanged | events.BillingDayChanged | events.TaxRateChanged]) -> list[Located]:
    return [Located((ACCOUNT, version), body) for version, body in enumerate([OPENED, *changes], start=1)]


@given(st.lists(CHANGES, max_size=8), DAYS)
def test_periods_letters_and_the_schedule_know_the_same_payer_and_day(changes, day):
    facts = facts_of(changes)
    account, ordinal = account_of(facts), day.toordinal()
    _, payer, billing_day, _ = next(billed_to(facts, ACCOUNT).cut((ordinal, ordinal + 1)))
    paid_by: UUID | None = None if payer is OWNER else payer
    assert (account.payer_on(day), account.billing_day_on(day)) == (paid_by, billing_day)


@given(st.lists(CHANGES, max_size=8), DAYS)
def test_the_rate_of_tax_is_the_one_whose_day_came_last(changes, day):
    held = Decimal(19)
    for on in (FIRST + timedelta(days) for days in range((day - FIRST).days + 1)):
        told = [one.tax_percent for one in changes if isinstance(one, events.TaxRateChanged) and one.effective_on == on]
        held = told[-1] if told else held
    assert account_of(facts_of(changes)).tax_percent_on(day) == held


def test_an_account_of_which_nothing_is_known_pays_for_itself_without_tax():
    assert (Account(ACCOUNT).payer_on(FIRST), Account(ACCOUNT).tax_percent_on(FIRST)) == (None, 0)
