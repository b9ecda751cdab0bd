"""The ladder of an overdue invoice, as data: when it is charged again, when a reminder goes out, what service stops.

A pure function says which steps are due. Days count from the day the invoice is due; a step that would fall on a day
without business is taken on the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import takewhile
from typing import Literal, NamedTuple

import msgspec

from domain.calendar import after_business_days, business_day, works
from domain.errors import Invalid

Effect = Literal["none", "warn", "read_only", "filter_off", "delivery_off", "removed"]
Restores = Literal["service", "configuration", "nothing"]
EndsOn = Literal["step", "period"]
EFFECTS: tuple[Effect, ...] = ("none", "warn", "read_only", "filter_off", "delivery_off", "removed")
"""What a step does to the licenses of the invoice, the mildest first."""

STOPPING = frozenset(EFFECTS[2:])
"""Effects by which a license does not serve as it was sold."""


class Step(msgspec.Struct, frozen=True):
    """One step.

    Shapes: `after` days since the invoice is due; `remind` names the template of a message, empty for none; `restores`
    is what a payment brings back after this step: with less than service the licenses end, and only a person can
    reactivate them; `ends_on` whether they end on the day of the step, or are not renewed: then they end with the
    period, or the term, that runs on it; `pauses_billing` when what does not serve from this step on is not billed.
    """

    name: str
    after: int
    retry: bool = False
    remind: str = ""
    effect: Effect = "none"
    restores: Restores = "service"
    pauses_billing: bool = False
    ends_on: EndsOn = "step"

    @property
    def ends(self) -> bool:
        """Whether licenses end by it: a payment alone does not bring their service back."""
        return self.effect in STOPPING and self.restores != "service"


class Ladder(msgspec.Struct, frozen=True):
    """The steps, and how long the ladder waits for what is under way.

    Units: `after` of steps in calendar days or business days of `calendar`, as `days` says; a claimed transfer, money
    that a provider or our bank has but that is not certain yet, and a payment that the customer has to approve are
    waited for in business days.
    """

    steps: tuple[Step, ...]
    days: Literal["calendar", "business"] = "calendar"
    calendar: str = "weekdays"
    claim_defers: int = 10
    transit_defers: int = 14
    customer_waits: int = 3


DEFAULT = Ladder(
    steps=(
        Step("reminder", 3, retry=True, remind="reminder"),
        Step("second reminder", 7, retry=True, remind="second_reminder", effect="warn"),
        Step("last reminder", 14, retry=True, remind="last_reminder", effect="warn"),
        Step("filter off", 21, retry=True, remind="filter_off", effect="filter_off"),
        Step("delivery off", 35, remind="delivery_off", effect="delivery_off"),
    )
)
"""What holds where neither the account nor a package says otherwise. It removes nothing."""


class Facts(NamedTuple):
    """What has happened to a chase: the day its days count from, steps taken, and whether it stands still."""

    from_on: date
    reached: int = 0
    stopped: bool = False


def step_on(ladder: Ladder, step: Step, from_on: date) -> date:
    """The day on which a step is due: always one on which business is done."""
    working = works(ladder.calendar)
    if ladder.days == "business":
        return after_business_days(from_on, step.after, working)
    return business_day(from_on + timedelta(days=step.after), working)


def due(ladder: Ladder, facts: Facts, on: date) -> tuple[Step, ...]:
    """The steps to take on a day, in order: those whose day has come and that were not taken."""
    if facts.stopped:
        return ()
    left = ladder.steps[facts.reached :]
    return tuple(takewhile(lambda step: step_on(ladder, step, facts.from_on) <= on, left))


def next_on(ladder: Ladder, facts: Facts) -> date | None:
    """The day of the next step; None when there is none, or the ladder stands still."""
    if facts.stopped or facts.reached >= len(ladder.steps):
        return None
    return step_on(ladder, ladder.steps[facts.reached], facts.from_on)


def counted_from(ladder: Ladder, due_on: date, on: date) -> date:
    """The day that a chase which begins on a day counts from.

    One that begins late is late as a whole: nobody's service stops without the reminders that come before.
    """
    first, from_on = ladder.steps[0], due_on
    while (late := on - step_on(ladder, first, from_on)) > timedelta(0):
        from_on += late
    return from_on


def harshest(effects: Iterable[str]) -> Effect:
    """The harshest of some effects."""
    found = set(effects)
    return next((effect for effect in reversed(EFFECTS) if effect in found), "none")


def mildest(ladders: Iterable[Ladder]) -> Ladder:
    """The one that takes longest to its harshest effects; the first where they are equal."""
    return max(ladders, key=_patience)


def _patience(ladder: Ladder) -> tuple[int, ...]:
    """For each effect, the harshest first, how long nothing so harsh happens. Units: fifths of calendar days."""
    unit = 7 if ladder.days == "business" else 5
    return tuple(_first(ladder, EFFECTS[level:], unit) for level in range(len(EFFECTS) - 1, 0, -1))


def _first(ladder: Ladder, effects: tuple[Effect, ...], unit: int) -> int:
    return min((step.after * unit for step in ladder.steps if step.effect in effects), default=10**9)


def faults(ladder: Ladder) -> Iterator[tuple[str, str, str]]:
    """What in a ladder cannot be meant: where, what, and a code."""
    if not ladder.steps:
        yield "steps", "a ladder has a step", "missing"
    seen, last = set[str](), -1
    for number, step in enumerate(ladder.steps):
        if step.name in seen or not step.name:
            yield f"steps[{number}].name", "every step has a name of its own", "duplicate_key"
        if step.after <= last:
            yield f"steps[{number}].after", "is not after the step before", "range"
        if (step.restores != "service" or step.pauses_billing) and step.effect not in STOPPING:
            field = "pauses_billing" if step.pauses_billing else "restores"
            yield f"steps[{number}].{field}", f"a step that is {step.effect} stops nothing", "reference"
        if step.ends_on == "period" and not step.ends:
            yield f"steps[{number}].ends", "licenses end by a step that does not restore their service", "reference"
        seen, last = seen | {step.name}, step.after
    for name in ("claim_defers", "transit_defers", "customer_waits"):
        if not 0 <= getattr(ladder, name) <= 365:
            yield name, "is 0 to 365 days", "range"
    try:
        works(ladder.calendar)
    except Invalid as error:
        yield "calendar", str(error), "reference"


def check(ladder: Ladder) -> None:
    """Raises: Invalid for a ladder that cannot be meant."""
    for where, what, _ in faults(ladder):
        raise Invalid(f"{where}: {what}")
