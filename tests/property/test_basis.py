"""What the billing basis keeps is what was recorded: packed, laid over each other, and without names."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.counted_users import counts_of, day_counts, pack_counts, unpack_counts
from domain.counting import Days
from domain.events.counted_users import CountsClosed, Reading, ReadingsRecorded
from domain.events.license import LicenseCancelled, LicenseStarted
from domain.history import Located, history_of

LICENSE, ACCOUNT, STREAM = UUID(int=5), UUID(int=6), UUID(int=7)
JANUARY = date(2025, 1, 1)

quantities = st.integers(0, 2000)
runs = st.lists(st.tuples(st.integers(1, 20), st.lists(st.none() | quantities, max_size=8)), max_size=4)
readings = st.lists(st.tuples(st.integers(1, 31), quantities), max_size=40)


def recorded(read: list[tuple[int, int]]) -> ReadingsRecorded:
    found = tuple(Reading(JANUARY.replace(day=day), quantity, f"r{n}") for n, (day, quantity) in enumerate(read))
    return ReadingsRecorded(license=LICENSE, counter="users", month=JANUARY, readings=found)


@given(runs, st.integers(0, 30), st.integers(0, 30))
def test_runs_of_days_are_the_days_laid_over_each_other(given, start, end):
    later = {day: one for first, found in given for day, one in enumerate(found, first) if one is not None}
    days = Days(given)
    assert dict(days) == dict(days.items()) == later
    assert list(days.between(start, end)) == [later[day] for day in range(start, end) if day in later]
    assert list(days.during(start, end)) == [day for day in range(start, end) if day in later]
    assert [day in days for day in range(30)] == [day in later for day in range(30)]


@given(st.lists(readings, max_size=4))
def test_of_every_day_what_was_recorded_last_is_kept(batches):
    events = [recorded(read) for read in batches]
    facts = b"".join(pack_counts(counts_of(number, event)) for number, event in enumerate(events, 1))
    last = {JANUARY.replace(day=day).toordinal(): quantity for read in batches for day, quantity in read}
    found = day_counts([(STREAM, unpack_counts(facts))])
    assert dict(found["users"].days if found else {}) == last
    names = [ref for first, end, ref in (found["users"].reasons if found else ()) if first <= end]
    assert names == [(STREAM, number) for number, read in enumerate(batches, 1) if read]


def test_a_closing_keeps_how_many_there_were_in_all():
    closed = CountsClosed(
        license=LICENSE, counter="users", start=JANUARY, end=date(2025, 1, 4), definition="d", zone="UTC",
        daily=(3, 0, 5), distinct=6, names="n",
    )  # fmt: skip
    found = day_counts([(STREAM, unpack_counts(pack_counts(counts_of(1, closed))))])["users"]
    first = JANUARY.toordinal()
    assert (dict(found.days), found.distinct) == ({first: 3, first + 1: 0, first + 2: 5}, {(first, first + 3): 6})


def test_equal_histories_are_equal_bytes_whosever_they_are():
    def history(license: UUID, account: UUID, reference: str):
        started = LicenseStarted(
            reference=reference, account=account, package="p", version=1, type="production", start_on=JANUARY,
            currency="EUR", quantities={"seats": 3},
        )  # fmt: skip
        return history_of(
            [
                Located((license, 1), started),
                Located((license, 2), LicenseCancelled(notice_on=JANUARY, end_on=JANUARY)),
            ]
        )

    one, other = history(LICENSE, ACCOUNT, "l1"), history(STREAM, UUID(int=9), "l2")
    assert one.facts == other.facts
    assert (one.license, one.account) == (LICENSE, ACCOUNT)
