"""Which of several rounds a benchmark shows."""

from __future__ import annotations

from bench.figure import Figure


def test_the_round_in_the_middle_by_ratio_counts_with_its_own_value_and_floor():
    rounds = [(30.0, 10.0), (100.0, 100.0), (50.0, 25.0)]
    assert Figure.of_rounds("f", "unit", rounds) == ("f", 50.0, "unit", 25.0, 2.0, 1.0, 3.0)


def test_of_two_rounds_the_lower_counts():
    assert Figure.of_rounds("f", "unit", [(30.0, 10.0), (20.0, 10.0)]).ratio == 2.0
