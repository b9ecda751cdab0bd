"""The collector rests while many facts are worked on, and is as it was afterwards, whatever happened."""

from __future__ import annotations

import gc

import pytest

from projections.calm import calm, tidy


@pytest.mark.parametrize("before", [True, False])
def test_the_collector_rests_and_is_as_it_was_afterwards(before):
    was = gc.isenabled()
    try:
        (gc.enable if before else gc.disable)()
        with pytest.raises(KeyError), calm():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is before
    finally:
        (gc.enable if was else gc.disable)()


def test_tidying_gives_back_what_the_last_part_left_in_circles():
    class Knot:
        gone = 0

        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            Knot.gone += 1

    with calm():
        Knot()
        assert Knot.gone == 0
        tidy()
        assert Knot.gone == 1
