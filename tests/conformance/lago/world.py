"""The world of a Lago scenario: what was published, sold and counted, and the runs over it.

A subscription is a license, and a change of plan is another stage of it. What the peer counts from events are readings
of a counter, one for each day: silence is zero for the peer, so it is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid5
from zoneinfo import ZoneInfo

from msgspec.structs import replace

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
from tests.conformance.lago.counts import Event, begins_anew, counted, daily, daily_by_period, units_of
from tests.conformance.lago.licenses import UTC, Account, Document, Stage, Sub, stage_of
from tests.conformance.lago.plans import Sold
from tests.conformance.lago.records import Records, Row, in_advance, kind_of
from tests.conformance.lago.rising import change_by, risen
from tests.conformance.lago.slices import charge_of
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
        """The periods of a component that some days touch, as far as it is sold in them."""
        for one in self._terms(sub, component):
            sold = intersection((one.start, one.end), (days.start, days.stop))
            for period in one.grid.periods(*sold) if sold else ():
                yield intersection(period, (one.start, one.end)) or (0, 0)

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

    def bill_event(self, sub: Sub, event: Event) -> None:
        """A run with an event, for each charge that is billed with it: a document even where it adds nothing."""
        today = sub.account.day(self.now)
        charges: dict[str, list[Row]] = {}
        for row in sub.on(today).sold.charges():
            if in_advance(row) and kind_of(row["ref"]) != "fixed_charge" and self._counts(row, event):
                charges.setdefault(charge_of(row["ref"]), []).append(row)
        for charge, rows in charges.items():
            whole = self.found(sub, today)
            refs = {row["ref"] for row in rows}
            lines = tuple(one for one in whole.difference.lines if one.stream.component.partition("/")[2] in refs)
            own = replace(whole, difference=whole.difference._replace(lines=lines))
            drafts = [one.draft for one in documents([own], {sub.account.id: sub.account.facts}, today)]
            document = self._issue(sub.account, (drafts or [draft((), Decimal(0))])[0], [own], [sub])
            document.added = charge, change_by(rows[0], self.records.metric(rows[0]), sub.observed)
            document.shown = bool(rows[0].get("invoiceable", True))

    def _counts(self, row: Row, event: Event) -> bool:
        return bool(counted(row, self.records.metric(row), [event]))

    def found(self, sub: Sub, target: date, anew: bool = False) -> Found:
        """What a license owes by a day, less what is billed of it; or all of it anew."""
        account = billed_to(sub.account.facts, sub.account.id)
        lines = [] if anew else sub.lines
        standing = Standing(history_of(sub.facts), account, self.counts(sub, target), lines)
        return found(standing, target, lambda name, number: self.packages[name, number])

    def counts(self, sub: Sub, target: date) -> dict[str, DayCounts]:
        """The readings of every counter of a license, from its start through a day."""
        first = sub.stages[0].start
        days = range(first.toordinal(), target.toordinal() + 1)
        rows = {row["ref"]: row for stage in sub.stages for row in stage.sold.charges()}
        counted = []
        for ref, row in rows.items():
            quantities = zip(days, self._quantities(sub, row, days), strict=True)
            readings = tuple(Reading(date_of(day), units, "") for day, units in quantities if units is not None)
            body = ReadingsRecorded(license=sub.id, counter=ref, month=first.replace(day=1), readings=readings)
            counted.append((uuid5(sub.id, ref), [counts_of(1, body)]))
        return day_counts(counted)

    def _quantities(self, sub: Sub, row: Row, days: range) -> Sequence[int | None]:
        if kind_of(row["ref"]) == "fixed_charge":
            return units_of(sub.ordered, row, days)
        metric = self.records.metric(row)
        if in_advance(row) and not row.get("counts"):
            return risen(row, metric, sub.observed, days, self._periods(sub, row["ref"], days))
        if begins_anew(row, metric):
            return daily_by_period(row, metric, sub.observed, days, self._periods(sub, row["ref"], days))
        return daily(row, metric, sub.observed, days)

    def _issue(self, account: Account, issued: Draft, found: list[Found], billed: list[Sub]) -> Document:
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
        document = Document(ref, account, on, self.now, issued, stages)
        account.documents.append(document)
        return document
