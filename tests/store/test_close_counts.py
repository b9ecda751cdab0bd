"""Observations become counts: which days are closed, in whose zone, and what a late one changes."""

from __future__ import annotations

from datetime import date

import psycopg

from domain.identity import Kind, bucket_of
from jobs.close_counts import close_counts
from jobs.observed import observations
from tests.builders import counted_package, open_account, publish, start
from tests.count_shop import month_of, observe, state

FEBRUARY = date(2025, 2, 1)


def close(tally, through=FEBRUARY):
    tally.follower().catch_up()
    closings = close_counts(tally.log, tally.pool, tally.packages, through)
    tally.follower().catch_up()
    return closings


def test_observations_are_closed_into_counts_once(shop, dsn, tmp_path):
    observe(shop, tmp_path / "a.csv", "2025-01-10T09:00:00Z,ann,r1", "2025-01-12T09:00:00Z,bob,r2")
    assert close(shop) == 1
    closed = month_of(shop)[-1]
    assert closed.daily == (0,) * 9 + (1, 1) + (2,) * 20
    assert (closed.distinct, closed.end) == (2, FEBRUARY)
    once = state(dsn)
    assert close(shop) == 0
    assert state(dsn) == once


def test_months_before_the_first_observation_are_not_closed_as_zero(shop, tmp_path):
    observe(shop, tmp_path / "a.csv", "2025-02-01T00:30:00Z,ann,r1")
    assert close(shop, date(2025, 4, 1)) == 2
    assert [month_of(shop, month=date(2025, month, 1)) == [] for month in (1, 2, 3)] == [True, False, False]
    assert set(month_of(shop, month=date(2025, 3, 1))[-1].daily) == {0}


def test_days_are_those_of_the_accounts_zone(tally, tmp_path):
    publish(tally, counted_package(window=1))
    open_account(tally, zone="America/New_York")
    start(tally, "acme-1", "acme", "counted")
    observe(tally, tmp_path / "a.csv", "2025-01-10T04:59:59Z,ann,r1", "2025-01-12T05:00:00Z,ann,r2")
    close(tally)
    daily = month_of(tally)[-1].daily
    assert [day for day, count in enumerate(daily, start=1) if count] == [9, 12]


def test_a_late_observation_that_changes_no_count_makes_no_event(shop, tmp_path):
    observe(shop, tmp_path / "a.csv", "2025-01-10T09:00:00Z,ann,r1")
    close(shop)
    observe(shop, tmp_path / "b.csv", "2025-01-11T09:00:00Z,ann,r2")
    assert close(shop) == 0


def test_closing_through_an_earlier_day_still_counts_every_day_closed_before(shop, tmp_path):
    observe(shop, tmp_path / "a.csv", "2025-01-10T09:00:00Z,ann,r1")
    close(shop)
    observe(shop, tmp_path / "b.csv", "2025-01-11T09:00:00Z,bob,r2")
    assert close(shop, date(2025, 1, 15)) == 1
    assert month_of(shop)[-1].daily == (0,) * 9 + (1,) + (2,) * 21


def test_a_late_observation_reaches_into_the_months_that_its_window_covers(tally, tmp_path):
    publish(tally, counted_package(window=30))
    open_account(tally)
    start(tally, "acme-1", "acme", "counted")
    observe(tally, tmp_path / "a.csv", "2025-01-02T09:00:00Z,ann,r1")
    close(tally, date(2025, 3, 1))
    observe(tally, tmp_path / "b.csv", "2025-01-20T09:00:00Z,bob,r2")
    assert close(tally, date(2025, 3, 1)) == 2
    assert month_of(tally, month=FEBRUARY)[-1].daily == (1,) * 18 + (0,) * 10


def test_erasing_a_name_changes_no_count(shop, dsn, tmp_path):
    observe(shop, tmp_path / "a.csv", "2025-01-10T09:00:00Z,ann@acme.example,r1")
    close(shop)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE subject SET name = NULL")
        connection.execute("UPDATE to_close SET dirty_from = '2025-01-01'")
    assert close(shop) == 0
    assert "ann" not in "".join(str(rows) for rows in state(dsn).values())
    observe(shop, tmp_path / "b.csv", "2025-01-10T09:00:00Z,ann@acme.example,r1", "2025-01-11T09:00Z,bob,r2")
    close(shop)
    license = shop.billing.resolve(Kind.LICENSE, ["acme-1"])["acme-1"]
    with shop.pool.connection() as connection:
        ordinal = date(2025, 1, 1).toordinal()
        names = {name for _, name in observations(connection, license, "users", "UTC", ordinal, ordinal + 31)}
        stored = connection.execute(
            "SELECT unnest(subjects) FROM observation_parcel WHERE bucket = %s", [bucket_of(license)]
        ).fetchall()
    assert names == {"bob"} | {str(subject) for (subject,) in stored if str(subject) in names}
    assert len(names) == 2
