"""Limits against use: states, since when, and pools over a subtree."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from domain.application.accounts import ChangeAccount
from domain.limits import may_add, state
from domain.package_version import Limit
from jobs.limits import LimitStanding, standings
from tests.builders import READINGS, counted_package, open_account, publish, start, take_in, write_csv

SOFT = Limit(name="users", kind="integer", value=10, counter="users", mode="soft", grace_days=14, warn_percent=80)


def standing(tally, reference: str, on: date) -> LimitStanding:
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        return standings(connection, tally.billing, tally.packages, reference, on, 10, "")[0]


@pytest.fixture
def business(tally):
    publish(tally, msgspec.structs.replace(counted_package(), limits=(SOFT,)))
    open_account(tally, "reseller")
    for name in ("one", "two"):
        open_account(tally, name, parent="reseller", payer="reseller")
        start(tally, name, name, "counted")
    return tally


def test_a_limit_warns_then_tolerates_for_its_days_and_is_over_after_them(business, tmp_path):
    rows = [f"one,users,2025-01-{day:02d},{used},r{day}" for day, used in ((5, 7), (6, 8), (10, 11), (20, 12))]
    take_in(business, write_csv(tmp_path / "c.csv", READINGS, rows))
    told = [standing(business, "one", date(2025, 1, day)) for day in (5, 6, 10, 23, 24)]
    assert [one.state for one in told] == ["within", "warn", "grace", "grace", "over"]
    assert {one.since for one in told[2:]} == {date(2025, 1, 10)}
    assert standing(business, "two", date(2025, 1, 24)).used is None, "no reading is not zero"


def test_only_a_hard_limit_says_no_to_one_more(tally, tmp_path):
    hard = Limit("users", "integer", 10, counter="users", mode="hard")
    publish(tally, msgspec.structs.replace(counted_package(), limits=(hard,)))
    open_account(tally, "acme")
    start(tally, "one", "acme", "counted")
    assert standing(tally, "one", date(2025, 1, 1)).may_add
    take_in(tally, write_csv(tmp_path / "c.csv", READINGS, ["one,users,2025-01-05,9,a"]))
    assert standing(tally, "one", date(2025, 1, 5)).may_add
    take_in(tally, write_csv(tmp_path / "d.csv", READINGS, ["one,users,2025-01-06,10,b"]))
    assert not standing(tally, "one", date(2025, 1, 6)).may_add


def test_a_pool_is_shared_by_everything_below_its_account(business, tmp_path):
    pool = ChangeAccount(reference="reseller", effective_on=date(2025, 1, 1), pool=("users", 20))
    business.billing.execute(pool)
    rows = ["one,users,2025-01-05,12,a", "two,users,2025-01-05,9,b"]
    take_in(business, write_csv(tmp_path / "c.csv", READINGS, rows))
    told = standing(business, "one", date(2025, 1, 6))
    assert (told.pool, told.value, told.used, told.state) == ("reseller", 20, 21, "over")
    ended = ChangeAccount(reference="reseller", effective_on=date(2025, 1, 1), pool=("users", None))
    business.billing.execute(ended)
    assert standing(business, "two", date(2025, 1, 6)).pool == ""


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [
        (Limit("l", "integer", "unlimited", counter="u"), 10**9, "within"),
        (Limit("l", "integer", "none", counter="u"), 0, "within"),
        (Limit("l", "integer", "none", counter="u", mode="hard"), 1, "blocked"),
        (Limit("l", "soft_hard", 10, hard=20, counter="u"), 21, "blocked"),
        (Limit("l", "integer", 10, counter="u", mode="hard"), 11, "blocked"),
        (Limit("l", "integer", 10, counter="u", mode="hard"), 10, "warn"),
        (Limit("l", "integer", 10, counter="u", mode="statistics"), 99, "within"),
        (Limit("l", "integer", 10, counter="u", mode="alert"), 11, "over"),
    ],
)
def test_unlimited_none_and_hard_are_three_different_things(limit, used, expected):
    assert state(limit, used, None, date(2025, 1, 1)) == expected
    assert may_add(limit, used, 0, None, date(2025, 1, 1)) == (expected != "blocked")
