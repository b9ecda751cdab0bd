"""The sliding window against plain sets."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.counting import DayCounts, Seen, measure, named
from domain.package_version import Counting, Exclusion, Fold

BASE = date(2025, 1, 20).toordinal()
DAYS = st.integers(BASE, BASE + 60)
SUBJECTS = st.sampled_from([f"{name}@{domain}" for name in "abc" for domain in ("x", "y", "z")])
OBSERVED = st.lists(st.tuples(DAYS, SUBJECTS), max_size=60)
DATES = st.none() | DAYS.map(date.fromordinal)

# Only from x towards z, so that no chain can run in a circle.
FOLDS = st.lists(
    st.one_of(
        st.builds(Fold, st.sampled_from(["@x"]), st.sampled_from(["@y", "@z"]), DATES, DATES),
        st.builds(Fold, st.sampled_from(["a@y", "b@y"]), st.sampled_from(["c@z", "a@z"]), DATES, DATES),
    ),
    max_size=3,
).map(tuple)
EXCLUSIONS = st.lists(
    st.builds(Exclusion, st.sampled_from(["a@x", "c@z", "*@z", "*@y"]), st.just("because"), DATES, DATES), max_size=3
).map(tuple)
COUNTINGS = st.builds(
    Counting,
    counter=st.just("users"),
    measure=st.just("peak"),
    window=st.just("month") | st.integers(1, 40),
    threshold_days=st.integers(1, 3),
    exclusions=EXCLUSIONS,
    folds=FOLDS,
)


def holds(rule, day):
    return (rule.start is None or rule.start <= day) and (rule.end is None or day < rule.end)


def folded(counting, day, subject):
    """One fold after the other, the subject's own before its domain's, the first that holds on the day."""
    domain = subject[subject.index("@") :]
    for alias in (subject, domain):
        for fold in counting.folds:
            if fold.alias == alias and holds(fold, day):
                return folded(counting, day, fold.main if alias == subject else subject[: -len(domain)] + fold.main)
    return subject


def is_excluded(counting, day, subject):
    names = (subject, "*" + subject[subject.index("@") :])
    return any(one.subject in names and holds(one, day) for one in counting.exclusions)


def naive_members(counting, observed, ordinal):
    """Who is counted on a day: every definition taken at its word."""
    on = date.fromordinal(ordinal)
    first = on.replace(day=1) if counting.window == "month" else on - timedelta(days=counting.window - 1)
    days = {}
    for at, subject in observed:
        day = date.fromordinal(at)
        main = folded(counting, day, subject)
        if first <= day <= on and not is_excluded(counting, day, main):
            days.setdefault(main, set()).add(day)
    return {subject for subject, seen in days.items() if len(seen) >= counting.threshold_days}


@given(COUNTINGS, OBSERVED, DAYS, st.integers(0, 40))
def test_daily_counts_are_what_plain_sets_say(counting, observed, start, length):
    expected = [len(naive_members(counting, observed, day)) for day in range(start, start + length)]
    assert Seen(counting, observed).daily_counts(start, start + length) == expected


@given(COUNTINGS, OBSERVED, DAYS, st.integers(1, 40))
def test_who_was_counted_in_a_range_is_who_was_counted_on_one_of_its_days(counting, observed, start, length):
    expected = set().union(*(naive_members(counting, observed, day) for day in range(start, start + length)))
    assert Seen(counting, observed).counted(start, start + length) == expected


@given(COUNTINGS, OBSERVED)
def test_those_named_as_counted_are_those_counted_on_some_day(counting, observed):
    expected = set().union(*(naive_members(counting, observed, day) for day in range(BASE, BASE + 61)))
    assert {one.counted_as for one in named(counting, observed) if one.counted_as} == expected
    assert {one.subject for one in named(counting, observed)} == {subject for _, subject in observed}


@given(COUNTINGS, OBSERVED, DAYS, st.integers(1, 40), st.randoms(use_true_random=False))
def test_order_and_repetition_of_observations_do_not_matter(counting, observed, start, length, random):
    shuffled = observed * 2
    random.shuffle(shuffled)
    end = start + length
    assert Seen(counting, shuffled).daily_counts(start, end) == Seen(counting, observed).daily_counts(start, end)
    assert Seen(counting, shuffled).distinct(start, end) == Seen(counting, observed).distinct(start, end)


@given(COUNTINGS, OBSERVED, DAYS, st.integers(1, 20), st.integers(1, 20))
def test_counting_in_two_parts_is_counting_at_once(counting, observed, start, one, other):
    middle, end = start + one, start + one + other
    parts = Seen(counting, observed).daily_counts(start, middle) + Seen(counting, observed).daily_counts(middle, end)
    assert parts == Seen(counting, observed).daily_counts(start, end)


@given(st.dictionaries(DAYS, st.integers(0, 10**12), max_size=20), DAYS, st.integers(1, 40))
def test_measures_of_readings_are_consistent(days, start, length):
    def of(measured):
        return measure(Counting("users", measured), DayCounts(days), start, start + length)

    inside = [quantity for day, quantity in sorted(days.items()) if start <= day < start + length]
    if not inside:
        assert {of("peak"), of("average"), of("sum"), of("last")} == {None}
        return
    assert of("sum") == of("average") * len(inside) == sum(inside)
    assert Fraction(min(inside)) <= of("average") <= of("peak") == max(inside)
    assert of("last") == inside[-1]
