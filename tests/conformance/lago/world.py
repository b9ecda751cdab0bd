"""The world of a Lago scenario: what was published, sold and counted, and the runs over it.

A subscription is a license, and a change of plan is another stage of it. What the peer counts from events are readings
of a counter, one for each day: silence is zero for the peer, so it is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid5
from zoneinfo import ZoneInfo

from domain.billing import Found, documents, found
from domain.counted_users import counts_of, day_counts
from domain.counting import DayCounts
from domain.document import Draft, draft
from domain.events import account as events
from domain.events.counted_users import Reading, ReadingsRecorded
from domain.grid import Grid
from domain.history import Located, history_of
from domain.package_version import PackageVersion
from domain.period import Span, intersection
from domain.period import day as date_of
from domain.standing import Standing
from domain.terms import Terms, billed_to, stream_of, terms
from tests.books import NAMESPACE
from tests.conformance.lago.counts import begins_anew, daily, daily_by_period, units_of
from tests.conformance.lago.licenses import UTC, Account, Document, Stage, Sub, stage_of
from tests.conformance.lago.plans import Sold
from tests.conformance.lago.records import Records, Row, kind_of
from tests.conformance.verdict import NotExpressible


class World:
    """Everything so far.

    Shapes: `usage` is the last answer about what was used; `meant` the subscription that each way to one first led to.
    """

    def __init__(self, records: Records) -> None:
        self.records, self.now = records, datetime.min.replace(tzinfo=UTC)
        self.accounts: dict[str, Account] = {}
        self.packages: dict[tuple[str, int], PackageVersion] = {}
        self.usage: dict[str, Any] = {}
        self.meant: dict[str, object] = {}
        self.coupons = False

    def account(self, ref: str, currency: str = "EUR") -> Account:
        """A customer, opened when first met."""
        if ref not in self.accounts:
            row, made = self.records[ref], uuid5(NAMESPACE, ref)
            zone, percent = row.get("timezone") or "UTC", self.records.tax_percent()
            account = Account(ref, ZoneInfo(zone), made, row.get("currency") or currency)
            opened = events.AccountOpened(
                reference=ref, party=events.Party(name=ref), parent=None, payer=None, currency=account.currency,
                billing_day=1, zone=zone, tax_percent=Decimal(percent.numerator) / percent.denominator,
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
        held = self._terms(sub, "fee")
        return next(one.grid for one in held if one.end > stage.start.toordinal())

    def _terms(self, sub: Sub, component: str) -> list[Terms]:
        account = billed_to(sub.account.facts, sub.account.id)
        found_terms = terms(history_of(sub.facts), account, lambda name, number: self.packages[name, number])
        return [one for one in found_terms if one.component.id == component]

    def _periods(self, sub: Sub, component: str, days: range) -> Iterator[Span]:
        """The periods of a component, as far as it is sold in them."""
        for one in self._terms(sub, component):
            sold = intersection((one.start, one.end), (days.start, days.stop))
            for period in one.grid.periods(*sold) if sold else ():
                yield intersection(period, sold) or (0, 0)

    def bill(
        self, account: Account, target: date, subs: Iterable[Sub] | None = None, even_nothing: bool = False
    ) -> None:
        """A run for an account: a document of what its licenses owe by a day, if they owe anything."""
        billed = list(account.subs if subs is None else subs)
        found = [self.found(sub, target) for sub in billed]
        facts = {account.id: account.facts}
        drafts = [one.draft for one in documents(found, facts, target)]
        if not drafts and even_nothing:
            drafts = [draft((), Decimal(0))]
        for one in drafts:
            self._issue(account, one, found, billed)

    def found(self, sub: Sub, target: date) -> Found:
        """What a license owes by a day."""
        account = billed_to(sub.account.facts, sub.account.id)
        standing = Standing(history_of(sub.facts), account, self.counts(sub, target), sub.lines)
        return found(standing, target, lambda name, number: self.packages[name, number])

    def counts(self, sub: Sub, target: date) -> dict[str, DayCounts]:
        """The readings of every counter of a license, from its start through a day."""
        first = sub.stages[0].start
        days = range(first.toordinal(), target.toordinal() + 1)
        rows = {row["ref"]: row for stage in sub.stages for row in stage.sold.charges()}
        counted = []
        for ref, row in rows.items():
            quantities = zip(days, self._quantities(sub, row, days), strict=True)
            readings = tuple(Reading(date_of(day), quantity, "") for day, quantity in quantities)
            body = ReadingsRecorded(license=sub.id, counter=ref, month=first.replace(day=1), readings=readings)
            counted.append((uuid5(sub.id, ref), [counts_of(1, body)]))
        return day_counts(counted)

    def _quantities(self, sub: Sub, row: Row, days: range) -> list[int]:
        if kind_of(row["ref"]) == "fixed_charge":
            return units_of(sub.ordered, row, days)
        metric = self.records.metric(row)
        if begins_anew(row, metric):
            return daily_by_period(row, metric, sub.observed, days, self._periods(sub, row["ref"], days))
        return daily(row, metric, sub.observed, days)

    def _issue(self, account: Account, issued: Draft, found: list[Found], billed: list[Sub]) -> None:
        ref = uuid5(account.id, f"document {len(account.documents)}")
        named = [stream_of(one.standing.history, line.stream) for one in found for line in one.difference.lines]
        streams = {(stream.license, stream.component): stream for stream in named}
        stages: list[Stage] = []
        for line in issued.lines:
            sub = next(sub for sub in billed if sub.id == line.license)
            sub.lines.append(((ref, line.number), streams[line.license, line.component], line))
            stage = stage_of(sub, line)
            stages += [stage] if stage not in stages else []
        on = account.day(self.now)
        stages = stages or [sub.on(on) for sub in billed]
        account.documents.append(Document(ref, account, on, self.now, issued, stages))
