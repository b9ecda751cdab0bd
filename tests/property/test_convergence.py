"""The first promise: whenever a run is made, and however often, the books come to what is owed."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.charge import part
from domain.events import license as events
from domain.money import rounded
from tests.books import START, Books
from tests.property.histories import days, facts, packages

END = START + timedelta(days=500)
targets = st.lists(days, min_size=2, max_size=5)
readings = st.dictionaries(st.integers(0, 500), st.integers(0, 12), max_size=25)


def lived(packages, happened, stops, counts, billing_day=1) -> Books:
    """A license whose facts were recorded between runs, the last run at the end."""
    books = Books(packages, billing_day)
    cut = max(len(happened) // max(len(stops), 1), 1)
    ordinals = [(START.toordinal() + at, quantity) for at, quantity in counts.items()]
    for number, stop in enumerate(stops):
        for whose, body in happened[number * cut : (number + 1) * cut]:
            books.record(whose, body)
        books.counts.update(ordinals[number :: len(stops)])
        books.run(stop)
    for whose, body in happened[len(stops) * cut :]:
        books.record(whose, body)
    books.run(END)
    return books


@settings(max_examples=200)
@given(packages(), facts(moving_day=True), targets, readings, st.integers(1, 31))
def test_a_second_run_finds_nothing_and_no_day_is_covered_twice(packages, happened, stops, counts, billing_day):
    books = lived(packages, happened, stops, counts, billing_day)
    books.covered_days()
    assert books.run(END) == []
    for line in books.coverage().charges.values():
        assert line.left >= 0
        assert line.spans or line.left == 0
        assert line.spans or line.tax_left == 0


@settings(max_examples=200)
@given(packages(grid_on_change="continue"), facts(), targets, readings, st.integers(1, 31))
def test_many_runs_come_to_the_coverage_and_the_money_of_one_where_no_border_moves(
    packages, happened, stops, counts, billing_day
):
    many = lived(packages, happened, stops, counts, billing_day)
    one = lived(packages, happened, [], counts, billing_day)
    one.counts = dict(many.counts)
    one.lines.clear()
    one.run(END)
    horizon = END.toordinal()
    ahead = {place: key for place, key in many.covered_days().items() if place[1] <= horizon}
    assert ahead == {place: key for place, key in one.covered_days().items() if place[1] <= horizon}
    assert _money_of_closed(many) == _money_of_closed(one)


def _money_of_closed(books: Books) -> dict[object, int]:
    """Net per stream, key and period that ended before the last run."""
    billed: dict[object, int] = {}
    for live in books.coverage().live():
        if live.base[1] <= END.toordinal():
            place = (live.stream, live.key, live.base)
            billed[place] = billed.get(place, 0) + live.left
    return {place: amount for place, amount in billed.items() if amount}


@settings(max_examples=200)
@given(packages(match_on="period"), facts(moving_day=True), targets, readings)
def test_with_days_matched_by_period_the_money_converges_for_every_history(packages, happened, stops, counts):
    many = lived(packages, happened, stops, counts)
    one = lived(packages, happened, [], counts)
    one.counts = dict(many.counts)
    one.lines.clear()
    one.run(END)
    assert _money_of_closed(many) == _money_of_closed(one)


@settings(max_examples=200)
@given(packages(), facts(moving_day=True), targets, readings)
def test_documents_add_up_and_a_reversed_line_gives_back_all_of_its_tax(packages, happened, stops, counts):
    books = lived(packages, happened, stops, counts)
    for document in books.documents:
        assert document.net == sum(line.amount for line in document.lines)
        assert document.tax == sum(line.tax for line in document.lines) == sum(t.tax for t in document.taxes)
        fresh = sum(line.amount for line in document.lines if line.kind == "charge" and line.link is None)
        taxed = sum(line.tax for line in document.lines if line.kind == "charge" and line.link is None)
        assert taxed == rounded(fresh * 19, 100)
    for line in books.coverage().charges.values():
        if not line.spans:
            assert (line.left, line.tax_left) == (0, 0)


@settings(max_examples=200)
@given(packages(grid_on_change="continue"), facts(), days, days)
def test_a_change_and_its_withdrawal_leave_no_trace_in_the_money(packages, happened, effective, seen):
    books = Books(packages)
    for whose, body in happened:
        books.record(whose, body)
    books.run(END)
    before, covered = _money_of_closed(books), books.covered_days()
    detour = events.LicenseChanged(
        change="detour", effective_on=effective, package="r", version=1, type="production",
        quantities={"c1": 7, "c2": 1}, direction="other",
    )  # fmt: skip
    books.record("license", detour)
    books.run(max(seen, END))
    books.record("license", events.ChangeWithdrawn(change="detour"))
    books.run(END)
    assert _money_of_closed(books) == before
    assert covered.items() <= books.covered_days().items()  # days billed ahead that are still owed stay billed


@settings(max_examples=150)
@given(packages(grid_on_change="continue"), facts(), st.randoms(use_true_random=False))
def test_the_order_of_recording_does_not_matter_for_changes_of_different_days(packages, happened, random):
    changes = [one for one in happened if isinstance(one[1], events.LicenseChanged)]
    distinct = list({body.effective_on: (whose, body) for whose, body in changes}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)
    first, second = Books(packages), Books(packages)
    for books, order in ((first, distinct), (second, shuffled)):
        for whose, body in order:
            books.record(whose, body)
            books.run(END)
    assert first.covered_days() == second.covered_days()
    assert first.money(lambda pair: pair[0]) == second.money(lambda pair: pair[0])


def test_most_histories_have_something_to_take_back():
    reversed_count, total = [0], [0]

    @settings(max_examples=100)
    @given(packages(), facts(moving_day=True), targets, readings)
    def count(packages, happened, stops, counts):
        books = lived(packages, happened, stops, counts)
        total[0] += 1
        reversed_count[0] += any(line.kind == "reversal" for _, _, line in books.lines)

    count()
    assert reversed_count[0] > total[0] / 2


def test_periods_billed_in_pieces_add_up_to_the_whole_price():
    start, end = date(2024, 2, 1).toordinal(), date(2024, 3, 1).toordinal()
    for cut in range(start, end + 1):
        for price in (Fraction(9999), Fraction(10000, 7), Fraction(1)):
            whole = part(price, start, end, 0, start, end)
            assert part(price, start, end, 0, start, cut) + part(price, start, end, 0, cut, end) == whole
