"""The world of a Lago scenario in our words: accounts, licenses with their facts, and the documents that runs issue.

A subscription is a license, and a change of plan is another stage of it. What the peer counts from events are readings
of a counter, one for each day: silence is zero for the peer, so it is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from domain.billing import Found, Standing, documents, found
from domain.counted_users import CountedUsers
from domain.difference import NewLine
from domain.document import Draft, draft
from domain.events import account as account_events
from domain.events import license as events
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.events.documents import Line, Ref
from domain.grid import Grid
from domain.package_version import PackageVersion
from domain.period import day as date_of
from domain.terms import Located, Stream, terms
from tests.books import NAMESPACE
from tests.conformance.lago_counts import Event, daily, units_of
from tests.conformance.lago_records import Records, Row, Sold, kind_of
from tests.conformance.verdict import NotExpressible

UTC = ZoneInfo("UTC")


def instant(text: str) -> datetime:
    """A moment as the cases write it."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@dataclass
class Stage:
    """What the peer calls a subscription: a license while it is on one plan.

    Shapes: `end` is the first day without it, or None; `number` tells the stages of a customer by when they were made.
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
    """What one run issued for an account, and which stages it bills."""

    id: UUID
    account: Account
    on: date
    at: datetime
    draft: Draft
    stages: list[Stage]


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
    """A license: its facts, what was observed for it, and the lines issued."""

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


class World:
    """Everything so far."""

    def __init__(self, records: Records) -> None:
        self.records, self.accounts, self.now = records, dict[str, Account](), datetime.min.replace(tzinfo=UTC)
        self.packages: dict[tuple[str, int], PackageVersion] = {}
        self.usage: dict[str, Any] = {}
        self.coupons, self.meant = False, dict[str, object]()

    def account(self, ref: str, currency: str = "EUR") -> Account:
        """A customer, opened when first met."""
        if ref not in self.accounts:
            row = self.records[ref]
            zone, made = row.get("timezone") or "UTC", uuid5(NAMESPACE, ref)
            account = Account(ref, ZoneInfo(zone), made, row.get("currency") or currency)
            percent = self.records.tax_percent()
            opened = account_events.AccountOpened(
                reference=ref, party=account_events.Party(name=ref), parent=None, payer=None,
                currency=account.currency, billing_day=1, zone=zone,
                tax_percent=Decimal(percent.numerator) / percent.denominator,
            )  # fmt: skip
            account.facts.append(Located((made, 1), opened))
            self.accounts[ref] = account
        return self.accounts[ref]

    def subs(self) -> Iterator[Sub]:
        """All licenses."""
        return (sub for account in self.accounts.values() for sub in account.subs)

    def sub(self, external_id: str) -> Sub:
        """The license that somebody else's name belongs to: the last one so named."""
        for sub in reversed(list(self.subs())):
            if sub.external_id == external_id:
                return sub
        raise NotExpressible(f"nothing was sold as {external_id}")

    def all_documents(self) -> list[Document]:
        """All documents in the order of issue."""
        return sorted((one for account in self.accounts.values() for one in account.documents), key=lambda one: one.at)

    def package(self, sold: Sold, trial: bool = False) -> PackageVersion:
        """Publishes what was sold, unless it is published already."""
        name = sold.version(1).package
        versions = [version for (package, _), version in self.packages.items() if package == name]
        version = sold.version(len(versions) + 1, trial)
        for known in versions:
            if known.components == version.components:
                return known
        self.packages[name, version.version] = version
        return version

    def grid(self, sub: Sub, stage: Stage) -> Grid:
        """The periods of a stage's fee."""
        found_terms = terms(sub.facts, sub.account.facts, lambda name, number: self.packages[name, number])
        return next(one.grid for one in found_terms if one.component.id == "fee" and one.end > stage.start.toordinal())

    def bill(
        self, account: Account, target: date, subs: Iterable[Sub] | None = None, even_nothing: bool = False
    ) -> None:
        """A run for an account: a document of what its licenses owe by a day, if they owe anything."""
        lines: list[NewLine] = []
        billed = list(account.subs if subs is None else subs)
        for sub in billed:
            lines += self.found(sub, target).difference.lines
        facts = {account.id: account.facts}
        drafts = [one for _, _, one in documents(lines, facts, target)]
        if not drafts and even_nothing:
            drafts = [draft((), Decimal(0))]
        for one in drafts:
            self._issue(account, one, lines, billed)

    def found(self, sub: Sub, target: date) -> Found:
        """What a license owes by a day."""
        standing = Standing(sub.id, sub.facts, sub.account.facts, self.counts(sub, target), sub.lines)
        return found(standing, target, lambda name, number: self.packages[name, number])

    def counts(self, sub: Sub, target: date) -> list[Located]:
        """The readings of every counter of a license, from its start through a day."""
        first, rows, facts = sub.stages[0].start, {}, list[Located]()
        for stage in sub.stages:
            for row in stage.sold.charges():
                rows[row["ref"]] = row
        for row in rows.values():
            days = range(first.toordinal(), target.toordinal() + 1)
            quantities = self._quantities(sub, row, days)
            readings = tuple(
                Reading(date_of(day), quantity, "") for day, quantity in zip(days, quantities, strict=True)
            )
            body = ReadingsRecorded(license=sub.id, counter=row["ref"], month=first.replace(day=1), readings=readings)
            facts.append(Located((uuid5(sub.id, row["ref"]), 1), body))
        return facts

    def _quantities(self, sub: Sub, row: Row, days: range) -> list[int]:
        if kind_of(row["ref"]) == "fixed_charge":
            return units_of(sub.ordered, row, days)
        return daily(row, self.records.metric(row), sub.observed, days)

    def _issue(self, account: Account, issued: Draft, lines: list[NewLine], billed: list[Sub]) -> None:
        ref = uuid5(account.id, f"document {len(account.documents)}")
        streams = {(line.stream.license, line.stream.component): line.stream for line in lines}
        stages: list[Stage] = []
        for line in issued.lines:
            sub = next(sub for sub in billed if sub.id == line.license)
            sub.lines.append(((ref, line.number), streams[line.license, line.component], line))
            stage = stage_of(sub, line)
            stages += [stage] if stage not in stages else []
        on = account.day(self.now)
        stages = stages or [sub.on(on) for sub in billed]
        account.documents.append(Document(ref, account, on, self.now, issued, stages))


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
