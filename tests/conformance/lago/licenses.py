"""Customers and what they bought, in our words: an account, its licenses with their facts, and what was issued."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.counted_users import CountedUsers
from domain.document import Draft
from domain.events import license as events
from domain.events.documents import Line, Ref
from domain.history import Located
from domain.package_version import PackageVersion
from domain.terms import Stream
from tests.conformance.lago.counts import Event
from tests.conformance.lago.plans import Sold

UTC = ZoneInfo("UTC")


def instant(text: str) -> datetime:
    """A moment as the cases write it."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@dataclass
class Stage:
    """What the peer calls a subscription: a license while it is on one plan.

    Shapes: `end` is the first day without it, `ending` the moment that ends it by itself; None where there is none.
    """

    license: Sub
    sold: Sold
    start: date
    created: datetime
    end: date | None = None
    ending: datetime | None = None
    closed: bool = False
    begun: bool = True


@dataclass
class Document:
    """What one run issued for an account, and which stages it bills.

    Shapes: `added` where an event was billed at once: its charge, and by how much it changed the level; `shown` whether
    the peer calls it an invoice.
    """

    id: UUID
    account: Account
    on: date
    at: datetime
    draft: Draft
    stages: list[Stage]
    added: tuple[str, int] | None = None
    shown: bool = True


@dataclass
class Account:
    """A customer."""

    ref: str
    zone: ZoneInfo
    id: UUID
    currency: str
    facts: list[Located] = field(default_factory=list)
    subs: list[Sub] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)

    def day(self, at: datetime) -> date:
        """The day of a moment, where the customer is."""
        return at.astimezone(self.zone).date()

    def stages(self) -> list[Stage]:
        """All that was ever sold to the customer, in the order that it was made."""
        return sorted((stage for sub in self.subs for stage in sub.stages), key=lambda stage: stage.created)


@dataclass
class Sub:
    """A license: its facts, what was observed and ordered for it, and the lines issued.

    Shapes: its periods are counted from `anchor`; `ordered` is (component, day, units).
    """

    account: Account
    external_id: str
    id: UUID
    anchor: date
    facts: list[Located] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    observed: list[Event] = field(default_factory=list)
    reported: dict[str, CountedUsers] = field(default_factory=dict)
    ordered: list[tuple[str, date, int]] = field(default_factory=list)
    lines: list[tuple[Ref, Stream, Line]] = field(default_factory=list)

    def record(self, body: Any) -> None:
        """One more fact."""
        self.facts.append(Located((self.id, len(self.facts) + 1), body))

    def on(self, day: date) -> Stage:
        """The stage that a day belongs to."""
        begun = [stage for stage in self.stages if stage.start <= day]
        return begun[-1] if begun else self.stages[0]


def stage_of(sub: Sub, line: Line) -> Stage:
    """The stage that a line bills: that of its package which its days belong to."""
    own = [stage for stage in sub.stages if line.package.split(" ")[0] == stage.sold.plan["ref"]]
    begun = [stage for stage in own if stage.start <= line.start]
    return (begun or own or sub.stages)[-1]


def changed(
    stage: Stage, version: PackageVersion, quantities: dict[str, int], number: int, on: date | None = None
) -> events.LicenseChanged:
    """A stage as a change of its license, from its start or from a day of it."""
    return events.LicenseChanged(
        change=f"c{number}", effective_on=on or stage.start, package=version.package, version=version.version,
        type="production", quantities=quantities, direction="other",
    )  # fmt: skip
