"""Periods tile: no gap, no overlap, no drift, for every anchor and cadence over leap years."""

from __future__ import annotations

import itertools
from calendar import monthrange
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.grid import Cadence, Grid, position
from domain.money import allocate, exact, minor, rounded, share, written
from domain.period import Touching, subtract, union

CADENCES = [Cadence(months=n) for n in (1, 2, 3, 5, 6, 12, 24, 36)] + [Cadence(days=n) for n in (1, 7, 14, 30)]


@pytest.mark.parametrize("cadence", CADENCES, ids=str)
def test_periods_tile_for_every_cycle_day_over_forty_years(cadence):
    for cycle_day in range(1, 32):
        grid = Grid(cadence, date(2000, 2, 29).toordinal(), cycle_day)
        borders = [grid.border(k) for k in range(-3, 480 // max(cadence.months, 1))]
        assert all(after > before for before, after in itertools.pairwise(borders))
        for k, border in enumerate(borders, start=-3):
            assert grid.index(border) == k
            assert grid.index(border - 1) == k - 1
            if cadence.months:
                on = date.fromordinal(border)
                assert on.day == min(cycle_day, monthrange(on.year, on.month)[1])


def test_the_thirty_first_comes_back_after_february():
    grid = Grid(Cadence(months=1), date(2025, 1, 31).toordinal(), 31)
    assert [date.fromordinal(grid.border(k)).isoformat() for k in range(4)] == [
        "2025-01-31", "2025-02-28", "2025-03-31", "2025-04-30",
    ]  # fmt: skip


def test_a_month_of_thirty_days_has_thirty_days():
    start, end = date(2025, 1, 12).toordinal(), date(2025, 2, 12).toordinal()
    assert position(end, 30) - position(start, 30) == 30


@given(st.fractions(min_value=0, max_value=10**9), st.lists(st.integers(0, 400), min_size=1, max_size=8))
def test_shares_of_a_price_add_up_over_any_borders(price, cuts):
    borders = sorted({0, 400, *cuts})
    parts = [share(price, a, b, 400) for a, b in itertools.pairwise(borders)]
    assert sum(parts) == rounded(price.numerator, price.denominator)


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**6), min_size=1).filter(any))
def test_allocated_parts_add_up_and_are_within_a_unit_of_their_share(total, weights):
    parts = allocate(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - total * weight) <= sum(weights)


@given(st.integers(-(10**15), 10**15))
def test_halves_go_away_from_zero(number):
    assert rounded(2 * number + 1, 2) == (number + 1 if number >= 0 else number)


@pytest.mark.parametrize(
    ("text", "currency", "units"), [("12.34", "EUR", 1234), ("-5", "JPY", -5), ("0.001", "KWD", 1)]
)
def test_amounts_are_read_and_written_in_the_decimals_of_their_currency(text, currency, units):
    assert minor(text, currency) == units
    assert minor(written(units, currency), currency) == units


@pytest.mark.parametrize("text", ["1e3", "١٢", "1_000", " 12", "12\n", "NaN", "Infinity", "+5", "", "1,5", "--1"])
def test_numbers_that_are_not_plain_decimals_are_refused(text):
    with pytest.raises(Invalid):
        exact(text)


@pytest.mark.parametrize(("text", "currency"), [("1.005", "EUR"), ("1.5", "JPY"), ("1.00", "EURO"), ("1.00", "eur")])
def test_amounts_finer_than_their_currency_and_unknown_currencies_are_refused(text, currency):
    with pytest.raises(Invalid):
        minor(text, currency)


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6).map(
    lambda pairs: union((min(pair), max(pair)) for pair in pairs)
)


@given(spans, spans)
def test_span_arithmetic_is_that_of_sets_of_days(one, other):
    def days(found):
        return {day for start, end in found for day in range(start, end)}

    assert days(subtract(one, other)) == days(one) - days(other)
    assert days(union([*one, *other])) == days(one) | days(other)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9))), st.integers(0, 50), st.integers(0, 50))
def test_what_touches_some_days_is_found_in_whatever_order_it_comes(found, start, end):
    spans = [(first, first + length) for first, length in found]
    among = spans[Touching([first for first, _ in spans], [last for _, last in spans]).among(start, end)]
    touching = [span for span in spans if span[0] < end and span[1] > start]
    assert [span for span in among if span in touching] == touching
    if spans == sorted(spans) and union(spans) == spans:
        assert among == touching or start >= end
