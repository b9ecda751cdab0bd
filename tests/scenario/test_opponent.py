"""One short seed of the opponent; `make opponent` plays more of them, and longer."""

from __future__ import annotations

from tests.scenario.opponent import play


def test_a_rough_world_ends_with_the_books_of_a_calm_one():
    assert play(seed=6, steps=4) == ""
