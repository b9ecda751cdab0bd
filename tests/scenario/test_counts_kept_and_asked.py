"""The real record of counted users once more: imported, closed, and every answer given from what is stored."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from adapters.bootstrap import Tally
from domain.counted_users import counted_users_id
from domain.counting import DayCounts, measure, named
from domain.events import decode
from domain.events.counted_users import CountsClosed
from domain.identity import Kind
from domain.package_version import Component, Counted, Counting, PackageVersion
from domain.period import day
from domain.price import PerUnit
from jobs.close_counts import close_counts
from jobs.measure_counts import month_span, of_observations
from jobs.observed import observations
from tests.builders import open_account, publish, start, take_in

SHARED = Path(__file__).resolve().parents[3] / "shared"
COUNTER = "active_developers"
PROJECTS = ("httpx", "lago-api", "ledger", "polar", "procrastinate")
TRAILING = Counting(COUNTER, "peak", 90)


def month_number(text):
    return int(text[:4]) * 12 + int(text[5:]) - 1


@pytest.fixture(scope="module")
def record(server):
    """All observations of the record in one database, closed through 2025 by windows of 90 days."""
    if not SHARED.exists():
        pytest.skip("the reference data (../shared) is not here")
    dsn = psycopg.conninfo.make_conninfo(server, dbname="record_of_developers")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE record_of_developers")
    with Tally(dsn) as tally:
        users = Component(
            "users", "Users", {"EUR": PerUnit(Decimal("1.00"))}, mode="in_arrears", quantity=Counted(COUNTER)
        )
        publish(tally, PackageVersion("developers", 1, "Developers", date(2019, 1, 1), (users,), countings=(TRAILING,)))
        for name in PROJECTS:
            open_account(tally, name)
            start(tally, name, name, "developers", date(2019, 1, 1))
        done = take_in(tally, str(SHARED / "data" / "active_developers.csv"))
        tally.follower().catch_up()
        close_counts(tally.log, tally.pool, tally.packages, date(2026, 1, 1))
        yield tally, done
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP DATABASE record_of_developers WITH (FORCE)")


@pytest.fixture
def answers(shared):
    return json.loads((shared / "data" / "active_developers.answers.json").read_text())


def stored(tally, license, counting, month):
    """The observations that a month's windows look at, as stored."""
    start_day, end = month_span(month)
    with tally.pool.connection() as connection:
        return observations(connection, license, COUNTER, "UTC", start_day - 90, end)


def test_every_observation_of_the_record_is_taken_in(record):
    _, done = record
    assert done == (28_954, 28_954, 0, 5)


def test_every_answer_is_measured_from_what_is_stored(record, answers):
    tally, _ = record
    licenses = tally.billing.resolve(Kind.LICENSE, PROJECTS)
    for name, answer in answers.items():
        license, _, month = name.partition("/")
        number = month_number(month)

        def measured(what, window, license=license, number=number):
            counting = Counting(COUNTER, what, window)
            return of_observations(counting, stored(tally, licenses[license], counting, number), number)

        average = measured("average", 90)
        assert {
            "distinct_in_month": measured("distinct", "month").value,
            "trailing_90_days_peak": measured("peak", 90).value,
            "trailing_90_days_last_day": measured("last", 90).value,
            "trailing_90_days_sum": average.total,
            "days": average.days,
        } == answer, name
        assert average.value * average.days == average.total


def test_every_answer_of_the_window_stands_in_the_closings_that_billing_reads(record, answers):
    tally, _ = record
    licenses = tally.billing.resolve(Kind.LICENSE, PROJECTS)
    for name, answer in answers.items():
        license, _, month = name.partition("/")
        start_day, end = month_span(month_number(month))
        stream = counted_users_id(licenses[license], COUNTER, day(start_day))
        (event,) = (decode(event.topic, event.state) for event in tally.log.select_events(stream))
        assert isinstance(event, CountsClosed)
        counts = DayCounts(dict(enumerate(event.daily, start=start_day)), {(start_day, end): event.distinct})
        assert [measure(Counting(COUNTER, what), counts, start_day, end) for what in ("peak", "last", "sum")] == [
            answer["trailing_90_days_peak"],
            answer["trailing_90_days_last_day"],
            answer["trailing_90_days_sum"],
        ], name


def test_those_named_for_a_month_are_as_many_as_were_distinct_in_it(record, answers):
    tally, _ = record
    licenses = tally.billing.resolve(Kind.LICENSE, PROJECTS)
    counting = Counting(COUNTER, "distinct")
    for name, answer in answers.items():
        license, _, month = name.partition("/")
        start_day, end = month_span(month_number(month))
        with tally.pool.connection() as connection:
            seen = observations(connection, licenses[license], COUNTER, "UTC", start_day, end)
        assert len({one.counted_as for one in named(counting, seen)}) == answer["distinct_in_month"], name
