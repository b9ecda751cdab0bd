"""Coverage: the database refuses to cover a day of a stream twice, and to take a day back that is not covered."""

from __future__ import annotations

import random
import threading
from datetime import date, timedelta
from uuid import UUID

import psycopg
import pytest

from domain.identity import Kind, make_id
from jobs.cover import COVER, UNCOVER

FIRST = date(2025, 1, 1)
LICENSE, PAYER = make_id(Kind.LICENSE, 7, FIRST, "l"), make_id(Kind.ACCOUNT, 7, None, "a")


def change(append, statement: str, start: int, end: int, license: UUID = LICENSE, times: int = 1) -> None:
    """Covers the days [start, end) of January 2025, or takes them back."""
    days = (FIRST + timedelta(start - 1), FIRST + timedelta(end - 1))
    row = (7, license, "p/seats", PAYER, "EUR", "", *days)
    append.query(statement, [[cell] * times for cell in row])


def held(tally) -> set[int]:
    with tally.pool.connection() as connection:
        rows = connection.execute("SELECT lower(d), upper(d) FROM coverage, unnest(days) AS d").fetchall()
    return {day for low, high in rows for day in range((low - FIRST).days + 1, (high - FIRST).days + 1)}


def test_whatever_is_covered_and_taken_back_in_any_order_no_day_is_held_twice(tally):
    chance, model = random.Random(5), set[int]()
    for _ in range(250):
        start = chance.randint(1, 30)
        end = chance.randint(start + 1, 31)
        days, statement = set(range(start, end)), chance.choice([COVER, UNCOVER])
        fits = model.isdisjoint(days) if statement is COVER else model >= days
        try:
            with tally.log.append() as append:
                change(append, statement, start, end)
        except psycopg.errors.ExclusionViolation:
            assert not fits
        else:
            assert fits
            model = model | days if statement is COVER else model - days
        assert held(tally) == model


def test_of_two_who_cover_a_day_at_once_the_second_waits_and_is_refused(tally):
    refused: list[str] = []

    def second() -> None:
        try:
            with tally.log.append() as append:
                change(append, COVER, 10, 20)
        except psycopg.errors.ExclusionViolation as error:
            refused.append(str(error))

    other = threading.Thread(target=second)
    with tally.log.append() as append:
        change(append, COVER, 1, 11)
        other.start()
        other.join(0.5)
        assert other.is_alive(), "it waits for the first"
    other.join(10)
    assert len(refused) == 1
    assert held(tally) == set(range(1, 11))


def test_days_taken_back_can_be_covered_again_in_the_same_transaction(tally):
    with tally.log.append() as append:
        change(append, COVER, 1, 31)
        change(append, UNCOVER, 10, 20)
        change(append, COVER, 10, 15)
        change(append, COVER, 15, 20)
    assert held(tally) == set(range(1, 31))


@pytest.mark.parametrize("statement", [COVER, UNCOVER])
def test_a_stream_that_comes_twice_in_one_call_is_refused(tally, statement):
    with tally.log.append() as append:
        change(append, COVER, 1, 31, make_id(Kind.LICENSE, 7, FIRST, "other"))
        change(append, COVER, 1, 2)
    with tally.log.append() as append, pytest.raises(psycopg.DatabaseError):
        change(append, statement, 1, 2, make_id(Kind.LICENSE, 7, FIRST, "other"), times=2)


WAYS_ROUND = [
    "INSERT INTO coverage SELECT 7, license, component, payer, currency, 'x', days FROM coverage",
    "UPDATE coverage SET days = '{}'",
    "DELETE FROM coverage",
    "TRUNCATE coverage",
]


@pytest.mark.parametrize("words", WAYS_ROUND)
def test_the_application_has_no_other_way_to_change_coverage(tally, words):
    with tally.pool.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(words.encode())
