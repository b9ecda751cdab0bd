"""A subscription of Kill Bill: what it did, and which phase of which plan that puts it in on which days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from domain.events import Event
from domain.events.documents import Line, Ref
from domain.terms import Stream
from tests.books import NAMESPACE
from tests.conformance.killbill.catalog import Plan


class Choice(NamedTuple):
    """A plan that a subscription follows from a day on; its phases are counted from the day of `clock`, the first of
    them or one that it is to begin with."""

    on: date
    plan: Plan
    price_list: str
    clock: date
    first: int = 0

    def beginning_with(self, phase_type: str | None) -> Choice:
        """The choice with a phase at its beginning whatever would come before it."""
        kinds = [phase.kind for phase in self.plan.phases]
        return self if phase_type not in kinds else self._replace(first=kinds.index(phase_type), clock=self.on)


class Segment(NamedTuple):
    """The days from `start` on, in one phase of one version of a plan."""

    start: date
    plan: Plan
    phase: int
    price_list: str

    @property
    def pays(self) -> bool:
        """Whether a recurring price other than zero is paid."""
        return float(self.plan.price(self.phase, "recurring") or 0) > 0


@dataclass
class Account:
    """An account. Shapes: `cycle_days` its billing days, each from a day on, none until a subscription says which."""

    name: str
    currency: str
    offset: timedelta
    cycle_days: list[tuple[date, int]] = field(default_factory=list)
    invoicing: bool = True

    @property
    def id(self) -> UUID:
        return uuid5(NAMESPACE, self.name)

    def local(self, at: str) -> date:
        """The day of an instant, or the day itself."""
        if "T" not in at:
            return date.fromisoformat(at)
        return (datetime.fromisoformat(at.replace("Z", "+00:00")) + self.offset).date()


def offset(zone: str, reference: str) -> timedelta:
    """How far an account's days are from UTC: as they were when it was opened, for good."""
    at = datetime.fromisoformat(reference.replace("Z", "+00:00"))
    aware = at if at.tzinfo else at.replace(tzinfo=ZoneInfo("UTC"))
    if zone[:1] in "+-":
        return datetime.strptime(zone, "%z").utcoffset() or timedelta()
    return aware.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()


@dataclass
class Subscription:
    """What a subscription did so far, and the lines issued for it.

    Shapes: `begins` as it was asked for; `cycle_days` are its own billing days and `quantities` how many were sold,
    each from a day on; `pauses` the facts that stopped and resumed its billing; `used` units by counter and day.
    """

    name: str
    account: Account
    bundle: list[Subscription]
    choices: list[Choice]
    begins: str = ""
    end: date | None = None
    cycle_days: list[tuple[date, int]] = field(default_factory=list)
    quantities: list[tuple[date, int]] = field(default_factory=list)
    pauses: list[Event] = field(default_factory=list)
    used: dict[str, dict[int, int]] = field(default_factory=dict)
    lines: list[tuple[Ref, Stream, Line]] = field(default_factory=list)

    @property
    def id(self) -> UUID:
        return uuid5(NAMESPACE, self.name)

    @property
    def base(self) -> Subscription:
        """The first subscription of the bundle, which the others are added to."""
        return self.bundle[0]

    @property
    def start(self) -> date:
        return self.choices[0].on

    def chosen(self, on: date) -> Choice:
        """The choice that holds on a day; before the start, the first."""
        return next((choice for choice in reversed(self.choices) if choice.on <= on), self.choices[0])

    def choose(self, choice: Choice) -> None:
        """Follows another plan from a day on; what was to come on that day or later is forgotten."""
        kept = [one for one in self.choices if one.on < choice.on]
        self.choices = [*(kept or []), choice]

    def segments(self) -> list[Segment]:
        """The phases that it goes through, in order."""
        found: list[Segment] = []
        for choice, following in zip(self.choices, [*self.choices[1:], None], strict=True):
            for segment, _ in _phases(choice):
                if following is None or segment.start < following.on:
                    found.append(segment)
        return found

    def ends(self) -> date | None:
        """The first day without service: cancelled, over with its last phase, or gone with its base."""
        last = self.choices[-1]
        phases: list[date | None] = [last.on, *(over for _, over in _phases(last))]
        known = [self.end, phases[-1], None if self is self.base else self.base.ends()]
        return min((one for one in known if one), default=None)

    def first_paid(self) -> date:
        """The day of the first recurring charge other than zero, else the day that it starts."""
        return next((segment.start for segment in self.segments() if segment.pays), self.start)


def _phases(choice: Choice) -> Iterator[tuple[Segment, date | None]]:
    """The phases of a choice that it is not already past, and when each is over."""
    start: date = choice.clock
    for number, phase in enumerate(choice.plan.phases[choice.first :], choice.first):
        over = phase.ends(start)
        if over is None or over > choice.on:
            yield Segment(max(start, choice.on), choice.plan, number, choice.price_list), over
        if over is None:
            return
        start = over


def in_force(changes: list[tuple[date, Any]], on: date) -> Any:
    """The latest of dated values on a day, or None."""
    return next((value for since, value in sorted(changes, key=lambda one: one[0], reverse=True) if since <= on), None)
