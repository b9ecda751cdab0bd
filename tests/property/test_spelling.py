"""A price is its value: however a catalog spells it, the same is billed, and nothing is billed again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.books import Books
from tests.property.histories import facts, packages
from tests.property.test_convergence import END, lived, readings, targets
from tests.spelling import forget, respelled, with_zeros

spellings = st.lists(st.integers(-1, 3), min_size=1, max_size=5)


def spelled_anew(catalog, spellings):
    """The catalog with its decimals spelled in turn by the spellings."""
    found = iter(spellings * 1000)
    return {
        name: respelled(version, lambda amount: with_zeros(next(found))(amount)) for name, version in catalog.items()
    }


def billed(catalog, *history) -> Books:
    """The books of a process of their own."""
    forget()
    return lived(catalog, *history)


@settings(max_examples=150)
@given(st.sampled_from(["days", "period"]).flatmap(packages), facts(moving_day=True), targets, readings, spellings)
def test_a_catalog_spelled_anew_bills_the_same_and_changes_nothing_that_was_billed(
    catalog, happened, stops, counts, spellings
):
    anew = spelled_anew(catalog, spellings)
    books, other = billed(catalog, happened, stops, counts), billed(anew, happened, stops, counts)
    assert other.documents == books.documents
    assert other.covered_days() == books.covered_days()
    forget()
    books.packages = anew
    assert books.run(END) == []
