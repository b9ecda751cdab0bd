"""Which subjects make a count, and which count of a period is billed."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest

from domain.counting import (
    DayCounts,
    Rules,
    Seen,
    definition_digest,
    measure,
    named,
)
from domain.errors import Invalid
from domain.package_version import Counting, Exclusion, Fold

JANUARY = date(2025, 1, 1).toordinal()
FEBRUARY = date(2025, 2, 1).toordinal()
MARCH = date(2025, 3, 1).toordinal()


def users(**more):
    return Counting("users", "peak", **more)


def seen(*days_and_subjects):
    """Observations by day of January 2025 (32 is 1 February)."""
    return [(JANUARY + day - 1, subject) for day, subject in days_and_subjects]


def readings(measured, **more):
    """Readings of 3 on 2 January, 9 on the 15th and 6 on the 31st."""
    return measure(
        Counting("users", measured, **more), DayCounts({JANUARY + 1: 3, JANUARY + 14: 9, JANUARY + 30: 6}), JANUARY,
        FEBRUARY,
    )  # fmt: skip


def test_one_address_with_a_hundred_client_domains_counts_as_a_hundred():
    clients = seen(*((5, f"client{n}.example") for n in range(100)))
    assert Seen(users(), clients).daily_counts(JANUARY + 4, JANUARY + 5) == [100]


def test_a_window_of_a_month_begins_again_with_each_month():
    observed = seen((30, "ann"), (31, "bob"), (32, "ann"))
    assert Seen(users(), observed).daily_counts(JANUARY + 29, JANUARY + 33) == [1, 2, 1, 1]


def test_a_window_of_seven_days_forgets_on_the_eighth():
    assert Seen(users(window=7), seen((1, "ann"))).daily_counts(JANUARY, JANUARY + 8) == [1] * 7 + [0]


def test_a_window_looks_back_over_days_before_the_range():
    assert Seen(users(window=30), seen((1, "ann"))).daily_counts(JANUARY + 29, JANUARY + 31) == [1, 0]


def test_a_subject_seen_twice_on_a_day_was_seen_on_one_day():
    once = seen((3, "ann"), (3, "ann"))
    assert Seen(users(threshold_days=2), once).daily_counts(JANUARY, JANUARY + 5) == [0] * 5


def test_mail_on_two_days_within_seven_makes_an_active_recipient():
    observed = seen((1, "ann"), (7, "ann"), (1, "bob"), (8, "bob"))
    assert Seen(users(window=7, threshold_days=2), observed).daily_counts(JANUARY + 6, JANUARY + 8) == [1, 0]


def test_an_alias_and_its_mailbox_are_one_user():
    counting = users(folds=(Fold("sales@acme.example", "ann@acme.example"),))
    observed = seen((1, "sales@acme.example"), (1, "ann@acme.example"), (1, "bob@acme.example"))
    assert Seen(counting, observed).daily_counts(JANUARY, JANUARY + 1) == [2]


def test_an_alias_is_folded_only_while_it_is_one():
    fold = Fold("sales@acme.example", "ann@acme.example", start=date(2025, 1, 2), end=date(2025, 1, 3))
    rules = Rules(users(folds=(fold,)))
    assert [rules.apply(JANUARY + day, "sales@acme.example").counted_as.partition("@")[0] for day in range(3)] == [
        "sales", "ann", "sales",
    ]  # fmt: skip


def test_an_alias_domain_and_then_an_alias_are_followed_to_the_end():
    folds = (Fold("@acme.test", "@acme.example"), Fold("sales@acme.example", "ann@acme.example"))
    assert Rules(users(folds=folds)).apply(JANUARY, "sales@acme.test").counted_as == "ann@acme.example"


@pytest.mark.parametrize(
    "folds",
    [
        (Fold("a", "a"),),
        (Fold("a", "b"), Fold("b", "c"), Fold("c", "a")),
        (Fold("@a", "@b"), Fold("@b", "@a")),
        (Fold("@a", "@b"), Fold("x@b", "x@a")),
        (Fold("a", "b"), Fold("b", "a", start=date(2025, 1, 1))),
    ],
)
def test_folds_that_run_in_a_circle_are_refused(folds):
    with pytest.raises(Invalid, match="circle"):
        Rules(users(folds=folds))


def test_an_alias_that_is_turned_round_on_a_day_is_no_circle():
    new_year = date(2025, 1, 1)
    rules = Rules(users(folds=(Fold("a", "b", end=new_year), Fold("b", "a", start=new_year))))
    assert (rules.apply(JANUARY - 1, "a").counted_as, rules.apply(JANUARY, "b").counted_as) == ("b", "a")


def test_two_ways_to_one_main_subject_are_no_circle():
    new_year = date(2025, 1, 1)
    folds = (Fold("a", "b", end=new_year), Fold("a", "c", start=new_year), Fold("b", "d"), Fold("c", "d"))
    assert Rules(users(folds=folds)).apply(JANUARY, "a").counted_as == "d"


def test_a_domain_cannot_be_folded_into_a_subject():
    with pytest.raises(Invalid, match="mixes"):
        Rules(users(folds=(Fold("@acme.test", "ann@acme.example"),)))


def test_an_excluded_alias_domain_is_excluded_under_its_main_name():
    counting = users(folds=(Fold("@acme.test", "@acme.example"),), exclusions=(Exclusion("*@acme.example", "partner"),))
    assert Seen(counting, seen((1, "ann@acme.test"))).daily_counts(JANUARY, JANUARY + 1) == [0]


def test_an_exclusion_ends_the_day_before_its_end():
    counting = users(window=1, exclusions=(Exclusion("ann", "on leave", date(2025, 1, 2), date(2025, 1, 3)),))
    observed = seen((1, "ann"), (2, "ann"), (3, "ann"))
    assert Seen(counting, observed).daily_counts(JANUARY, JANUARY + 3) == [1, 0, 1]


def test_an_exclusion_of_a_subject_spares_others_of_its_domain():
    rules = Rules(users(exclusions=(Exclusion("list@acme.example", "distribution list"),)))
    assert rules.apply(JANUARY, "ann@acme.example").counted_as == "ann@acme.example"


@pytest.mark.parametrize(
    ("measured", "quantity"),
    [("peak", 9), ("last", 6), ("average", Fraction(18, 3)), ("sum", 18), ("declared", 6)],
)
def test_a_period_is_measured_by_its_readings(measured, quantity):
    assert readings(measured) == quantity


def test_an_average_is_exact():
    thirds = DayCounts({JANUARY: 1, JANUARY + 1: 1, JANUARY + 2: 2})
    assert measure(Counting("users", "average"), thirds, JANUARY, FEBRUARY) == Fraction(4, 3)


def test_a_snapshot_is_the_reading_of_its_day_and_of_no_other():
    assert readings("snapshot", snapshot_day=15) == 9
    assert readings("snapshot", snapshot_day=16) is None


def test_a_snapshot_on_the_31st_is_taken_on_the_last_day_of_february():
    counts = DayCounts({MARCH - 1: 7, MARCH - 2: 5})
    assert measure(Counting("users", "snapshot", snapshot_day=31), counts, FEBRUARY, MARCH) == 7


@pytest.mark.parametrize("measured", ["peak", "last", "average", "sum", "snapshot", "distinct", "declared"])
def test_no_reading_is_not_zero(measured):
    assert measure(Counting("users", measured), DayCounts({JANUARY: 5}), FEBRUARY, MARCH) is None


def test_a_reading_of_zero_is_zero():
    assert measure(Counting("users", "last"), DayCounts({JANUARY: 0}), JANUARY, FEBRUARY) == 0


def test_distinct_users_of_a_period_need_the_days_inside_it():
    observed = seen((31, "ann"), (32, "ann"), (32, "bob"), (33, "bob"))
    assert Seen(users(threshold_days=2), observed).distinct(FEBRUARY, MARCH) == {"bob"}


def test_who_is_in_the_count_of_a_month_includes_those_the_window_still_remembers():
    observed = seen((25, "ann"), (2, "bob"))
    assert Seen(users(window=10), observed).counted(FEBRUARY, MARCH) == {"ann"}


def test_everybody_is_named_with_what_they_count_as_or_why_not():
    counting = users(
        window=30,
        threshold_days=2,
        folds=(Fold("sales", "ann"),),
        exclusions=(Exclusion("*@lists.example", "distribution list"),),
    )
    observed = seen((1, "ann"), (2, "sales"), (3, "bob"), (3, "news@lists.example"), (4, "news@lists.example"))
    assert [tuple(one) for one in named(counting, observed)] == [
        ("ann", "ann", ""),
        ("sales", "ann", ""),
        ("bob", "", "seen on fewer than 2 days"),
        ("news@lists.example", "", "distribution list"),
    ]


def test_a_definition_is_named_by_what_it_says():
    assert definition_digest(users()) == definition_digest(users())
    assert definition_digest(users()) != definition_digest(users(threshold_days=2))
