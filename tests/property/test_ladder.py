"""The ladder as a pure function: whatever it says and whenever it is looked at, each step is taken once, in order."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import after_business_days, business_day, works
from domain.dunning import Dunning, dunning_id
from domain.events.dunning import DunningPaused, DunningStarted
from domain.ladder import DEFAULT, EFFECTS, Ladder, Step, check, counted_from, mildest, step_on

INVOICE = UUID(int=5 << 108)
CALENDARS = ("weekdays", "every_day", "DE", "DE-BY", "ECB", "AE", "US")
DUE = st.dates(date(2024, 1, 1), date(2026, 12, 31))


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    after = sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=6)))
    steps = tuple(
        Step(f"s{n}", days, draw(st.booleans()), draw(st.sampled_from(["", "r"])), draw(st.sampled_from(EFFECTS)))
        for n, days in enumerate(after)
    )
    ladder = Ladder(steps, draw(st.sampled_from(["calendar", "business"])), draw(st.sampled_from(CALENDARS)))
    check(ladder)
    return ladder


def begun(ladder: Ladder, due_on: date, on: date) -> Dunning:
    chase = Dunning(dunning_id(INVOICE))
    chase.start(
        DunningStarted(
            invoice=INVOICE, document="INV-1", account=INVOICE, reference="a", currency="EUR", amount=1, licenses=(),
            ladder=ladder, due_on=due_on, from_on=counted_from(ladder, due_on, on), on=on,
        )
    )  # fmt: skip
    return chase


def reach(chase: Dunning, on: date) -> None:
    chase.reach(on, 1, 0, has_method=True, lost_method=False)


@given(ladders(), DUE, st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_however_often_and_late_it_is_looked_at_each_step_is_taken_once_in_order_and_never_early(ladder, due_on, gaps):
    chase, on = begun(ladder, due_on, due_on), due_on
    for gap in gaps:
        on += timedelta(days=gap)
        reach(chase, on)
        reach(chase, on)
        assert [one.stage for one in chase.stages] == [
            step.name for step in ladder.steps if step_on(ladder, step, due_on) <= on
        ]
    assert all(one.due_on <= one.on for one in chase.stages)
    days = [one.due_on for one in chase.stages]
    assert days == sorted(days)
    told = [one.on for one in chase.stages if one.remind]
    assert len(told) == len(set(told)), "one reminder a day at most"


@given(ladders(), DUE)
def test_a_step_is_due_on_a_business_day_and_no_sooner_than_it_says(ladder, due_on):
    for step in ladder.steps:
        on = step_on(ladder, step, due_on)
        assert works(ladder.calendar)(on)
        assert on >= due_on + timedelta(days=step.after)


@given(ladders(), DUE, st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_pauses_that_overlap_or_not_shift_what_is_left_by_the_days_that_it_stood_still(ladder, due_on, a, b, c, d):
    chase = begun(ladder, due_on, due_on)
    spans = {"x": (a, a + b), "y": (c, c + d)}
    stood = set().union(*(range(*span) for span in spans.values()))
    for day in range(200):
        on = due_on + timedelta(days=day)
        for key, (start, end) in spans.items():
            if day == end and key in chase.paused:
                chase.resume(INVOICE, key, on)
            if day == start and end > start:
                chase.pause(DunningPaused(invoice=INVOICE, why="hold", key=key, on=on))
        reach(chase, on)
        assert not (day in stood and any(one.on == on for one in chase.stages)), "nothing happens while it stands still"
    assert chase.shift.days == len(stood)
    assert [one.stage for one in chase.stages] == [step.name for step in ladder.steps]
    for one, step in zip(chase.stages, ladder.steps, strict=False):
        later = sum(day <= (one.on - due_on).days for day in stood)
        assert one.due_on == step_on(ladder, step, due_on + timedelta(days=later))


@given(ladders(), DUE, st.integers(0, 100))
def test_a_chase_that_begins_late_takes_only_its_first_step_at_once(ladder, due_on, late):
    on = business_day(step_on(ladder, ladder.steps[0], due_on) + timedelta(days=late), works(ladder.calendar))
    chase = begun(ladder, due_on, on)
    reach(chase, on)
    assert chase.stages or ladder.days == "business"
    assert all(one.due_on == on for one in chase.stages), "only steps whose days meet on one business day"


@given(ladders(), ladders())
def test_the_mildest_never_stops_more_at_its_harshest_or_sooner(one, other):
    found = mildest([one, other])
    assert found in (one, other)
    assert mildest([other, one]) in (one, other)
    for effect in reversed(EFFECTS[1:]):
        level = EFFECTS[EFFECTS.index(effect) :]
        first = [
            min((s.after * (7 if a.days == "business" else 5) for s in a.steps if s.effect in level), default=10**9)
            for a in (found, one, other)
        ]
        if first[1] != first[2]:
            assert first[0] == max(first[1:])
            break


@given(DUE, st.integers(0, 30), st.sampled_from(CALENDARS))
def test_business_days_add_up(on, days, calendar):
    working = works(calendar)
    end = after_business_days(on, days, working)
    between = [on + timedelta(days=n) for n in range(1, (end - on).days + 1)]
    assert working(end)
    assert sum(map(working, between)) == days or not days


def test_the_default_ladder_can_be_meant_and_removes_nothing():
    check(DEFAULT)
    assert all(step.effect != "removed" for step in DEFAULT.steps)
    assert msgspec.json.decode(msgspec.json.encode(DEFAULT), type=Ladder) == DEFAULT
