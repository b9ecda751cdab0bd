"""The facts that Kill Bill's subscriptions come to, and the invoices of an account from them: the path of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from uuid import uuid5

import msgspec

from domain.billing import Standing, documents, found
from domain.coverage import Billed, Coverage
from domain.difference import NewLine
from domain.document import Draft
from domain.events import Event
from domain.events import account as account_events
from domain.events import counted_users as count_events
from domain.events import license as events
from domain.events.documents import Line
from domain.grid import Grid
from domain.package_version import PackageVersion
from domain.period import OPEN_END
from domain.period import day as date_of
from domain.terms import Located, Stream, Terms, terms
from tests.books import NAMESPACE
from tests.conformance.killbill_catalog import Catalog, Plan, package
from tests.conformance.killbill_history import Account, Segment, Subscription, in_force
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import cadence


@dataclass
class Settings:
    """The peer's settings that change what is owed.

    Shapes: `aligned` = a new version of the catalog waits for the next border of the billing period; `zero_usage` =
    usage of nothing is written on an invoice.
    """

    greedy: bool = False
    month_days: int = 0
    aligned: bool = False
    zero_usage: bool = True


class Row(NamedTuple):
    """A line of an invoice, and when the service that it is for ends; None where it has no end."""

    subscription: Subscription
    line: Line
    end: date | None


class Invoice(NamedTuple):
    """What was issued to an account on a day."""

    account: Account
    on: date
    target: date
    rows: list[Row]


class Ledger:
    """All subscriptions and the invoices issued for them, in order."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self.catalog, self.settings = catalog, settings
        self.subscriptions: list[Subscription] = []
        self.invoices: list[Invoice] = []
        self.packages: dict[tuple[str, int], PackageVersion] = {}

    def of(self, account: Account) -> list[Subscription]:
        """The subscriptions that an account pays."""
        return [one for one in self.subscriptions if one.account is account]

    def package(self, name: str, version: int) -> PackageVersion:
        """A package that a subscription was in."""
        return self.packages[name, version]

    # What a subscription comes to.

    def segments(self, subscription: Subscription) -> list[Segment]:
        """The phases of a subscription, cut where it begins to follow another version of the catalog."""
        plain = subscription.segments()
        cut: list[Segment] = []
        for segment, following in zip(plain, [*plain[1:], None], strict=True):
            cut.append(segment)
            for plan in self.catalog.later(segment.plan):
                start = self._follows(subscription, segment, plan)
                if following is None or start < following.start:
                    cut.append(segment._replace(start=start, plan=plan))
        return cut

    def _follows(self, subscription: Subscription, segment: Segment, plan: Plan) -> date:
        """The day that a running subscription goes over to another version of its plan."""
        assert plan.since is not None
        period = segment.plan.said["phases"][segment.phase].get("billing_period")
        if plan.since <= segment.start or not self.settings.aligned or period is None:
            return max(plan.since, segment.start)
        day = self.cycle_day(subscription, segment, plan.since)
        grid = Grid(cadence(period), segment.start.toordinal(), day)
        return date_of(grid.period(plan.since.toordinal() - 1)[1])

    def cycle_day(self, subscription: Subscription, segment: Segment, on: date) -> int:
        """The billing day of a phase: its own, else the one of what the catalog aligns it to."""
        own: int | None = in_force(subscription.cycle_days, on)
        if own is not None:
            return own
        plan = segment.plan
        asked = {
            "product": plan.product,
            "productCategory": self.catalog.category(plan),
            "billingPeriod": plan.billing_period,
            "priceList": segment.price_list,
            "phaseType": plan.phases[segment.phase].kind,
        }
        alignment = self.catalog.rule("billingAlignment", on, "alignment", "ACCOUNT", asked)
        if alignment == "ACCOUNT":
            account = subscription.account
            if not account.cycle_days:
                account.cycle_days.append((date.min, subscription.first_paid().day))
            return int(in_force(account.cycle_days, on))
        return (subscription.base if alignment == "BUNDLE" else subscription).first_paid().day

    def facts(self, subscription: Subscription) -> list[Event]:
        """The facts of the license that a subscription is."""
        first, *rest = self._counted(subscription)
        for segment, _ in (first, *rest):
            self._publish(subscription, segment)
        start, quantities = first[0], {"recurring": first[1]}
        license: list[Event] = [events.LicenseStarted(
            reference=subscription.name, account=subscription.account.id, package=start.plan.package(start.phase),
            version=start.plan.version, type="production", start_on=start.start,
            currency=subscription.account.currency, quantities=quantities,
        )]  # fmt: skip
        license += [_changed(number, segment, quantity) for number, (segment, quantity) in enumerate(rest)]
        end = subscription.ends()
        if end:
            license.append(events.LicenseCancelled(notice_on=start.start, end_on=max(end, start.start)))
        return license + subscription.pauses

    def _counted(self, subscription: Subscription) -> list[tuple[Segment, int]]:
        """The phases and how many were sold, cut where either is another."""
        segments, sold = self.segments(subscription), sorted(subscription.quantities)
        begins = {one.start for one in segments} | {on for on, _ in sold if on > segments[0].start}
        cut = [(next(one for one in reversed(segments) if one.start <= on), on) for on in sorted(begins)]
        return [(one._replace(start=on), in_force(sold, on) or 1) for one, on in cut]

    def _publish(self, subscription: Subscription, segment: Segment) -> None:
        name = (segment.plan.package(segment.phase), segment.plan.version)
        if name not in self.packages:
            currency, how = subscription.account.currency, self.settings
            self.packages[name] = package(segment.plan, segment.phase, currency, how.greedy, how.month_days)

    def account_facts(self, subscription: Subscription) -> list[Event]:
        """The account as a subscription sees it: billed on the day that its phases are aligned to."""
        account, days = subscription.account, self._cycle_days(subscription)
        opened = account_events.AccountOpened(
            reference=account.name, party=account_events.Party(name=account.name), parent=None, payer=None,
            currency=account.currency, billing_day=days[0][1], zone="UTC",
        )  # fmt: skip
        moved = [account_events.BillingDayChanged(billing_day=number, effective_on=on) for on, number in days[1:]]
        return [opened, *moved]

    def _cycle_days(self, subscription: Subscription) -> list[tuple[date, int]]:
        segments = self.segments(subscription)
        moves = [on for on, _ in (*subscription.cycle_days, *subscription.account.cycle_days) if on > segments[0].start]
        days: list[tuple[date, int]] = []
        for on in sorted({*(segment.start for segment in segments), *moves}):
            segment = next(one for one in reversed(segments) if one.start <= on)
            number = self.cycle_day(subscription, segment, on)
            if not days or days[-1][1] != number:
                days.append((on, number))
        return days

    def standing(self, subscription: Subscription, through: date) -> Standing:
        """All that is known of a subscription; of days without usage, that nothing was used."""
        counts = list(_counts(subscription, through))
        return Standing(
            subscription.id, _located(subscription, self.facts(subscription)),
            _located(subscription, self.account_facts(subscription)), _located(subscription, counts),
            subscription.lines,
        )  # fmt: skip

    def terms(self, subscription: Subscription) -> list[Terms]:
        """The terms of a subscription's components over its life."""
        standing = self.standing(subscription, subscription.start)
        return terms(standing.facts, standing.account_facts, self.package)

    # What a run finds and issues.

    def due(self, account: Account, target: date, only: Sequence[Subscription] = ()) -> list[NewLine]:
        """What a run of a day would issue to an account, for all its subscriptions or only for some."""
        lines: list[NewLine] = []
        for subscription in only or self.of(account):
            lines += found(self.standing(subscription, target), target, self.package).difference.lines
        return lines

    def draft(self, account: Account, target: date, only: Sequence[Subscription] = ()) -> Draft | None:
        """The invoice that a run of a day would issue; None when there is nothing to say."""
        lines = self.due(account, target, only)
        if not any(self._is_said(line) for line in lines):
            return None
        opened = account_events.AccountOpened(
            reference=account.name, party=account_events.Party(name=account.name), parent=None, payer=None,
            currency=account.currency, billing_day=1, zone="UTC",
        )  # fmt: skip
        ((_, _, drafted),) = documents(lines, {account.id: [Located((account.id, 1), opened)]}, target)
        return drafted

    def _is_said(self, line: NewLine) -> bool:
        """Whether a line is a reason for an invoice: usage is where it is not nothing, and not cut by a new catalog."""
        if line.charge is None or line.charge.occurrence in ("", "once"):
            return True
        if not self.settings.zero_usage and line.amount == 0:
            return False
        subscription = next(one for one in self.subscriptions if one.id == line.stream.license)
        cut = {one.start for one in self.segments(subscription)} - {one.start for one in subscription.segments()}
        of = (one.grid for one in self.terms(subscription) if one.stream.component == line.stream.component)
        return date_of(line.end) not in cut or any(grid.period(line.end)[0] == line.end for grid in of)

    def preview(self, account: Account, target: date, on: date, only: Sequence[Subscription] = ()) -> Invoice | None:
        """The invoice of a run, not issued."""
        drafted = self.draft(account, target, only)
        if drafted is None:
            return None
        return Invoice(account, on, target, [self._row(account, line) for line in drafted.lines])

    def run(self, account: Account, target: date, on: date, only: Sequence[Subscription] = ()) -> Invoice | None:
        """Issues what a run of a day would."""
        invoice = self.preview(account, target, on, only)
        if invoice is None:
            return None
        document = uuid5(NAMESPACE, f"document {len(self.invoices)}")
        self.invoices.append(invoice)
        for subscription, line, _ in invoice.rows:
            stream = Stream(line.license, line.component, account.id, account.currency)
            subscription.lines.append(((document, line.number), stream, line))
        return invoice

    def _row(self, account: Account, line: Line) -> Row:
        subscription = next(one for one in self.of(account) if one.id == line.license)
        if line.occurrence != "once":
            return Row(subscription, line, line.end)
        of = (one for one in self.terms(subscription) if one.stream.component == line.component)
        ends = next((one.end for one in of if one.start == line.start.toordinal()), line.end.toordinal())
        return Row(subscription, line, None if ends == OPEN_END else date_of(ends))

    def upcoming(self, account: Account, target: date, today: date) -> Invoice | None:
        """The invoice of the last day up to a target on which anything happens, once all before it are issued."""
        last: Invoice | None = None
        after = date_of(today.toordinal() - 1)
        while on := self.first_due(account, after, target):
            last, after = self.run(account, on, today), on
        happens = [on for one in self.of(account) for on in (*(cut.start for cut in one.segments()), one.ends()) if on]
        return last if not any(after < on <= target for on in happens) else None

    def first_due(self, account: Account, after: date, until: date, only: Sequence[Subscription] = ()) -> date | None:
        """The first day on which a run would find something: whatever is due stays so until it is issued."""
        low, high = after.toordinal() + 1, until.toordinal()
        if low > high or self.draft(account, until, only) is None:
            return None
        while low < high:
            middle = (low + high) // 2
            found_by_then = self.draft(account, date_of(middle), only) is not None
            low, high = (low, middle) if found_by_then else (middle + 1, high)
        return date_of(low)

    # What stands.

    def charged_through(self, subscription: Subscription) -> date | None:
        """The day up to which a subscription is charged; what is paid once is for its whole phase."""
        charges = Coverage(subscription.lines).charges
        ends = {id(row.line): row.end for invoice in self.invoices for row in invoice.rows}
        through = [
            ends[id(billed.line)] if billed.line.occurrence == "once" else date_of(billed.spans[-1][1])
            for billed in charges.values()
            if billed.spans
        ]
        return max((one for one in through if one), default=None)

    def adjust(self, invoice: Invoice, row: Row, amount: int | None, on: date) -> None:
        """Takes money off a line, all that is left of it unless said otherwise; its days stay billed."""
        subscription = row.subscription
        ref = next(ref for ref, _, line in subscription.lines if line is row.line)
        stream = next(stream for _, stream, line in subscription.lines if line is row.line)
        left: Billed = Coverage(subscription.lines).charges[ref]
        number = len(invoice.rows) + 1
        line = msgspec.structs.replace(
            row.line, number=number, kind="adjustment", amount=-(left.left if amount is None else amount),
            start=on, end=on, link=ref,
        )  # fmt: skip
        subscription.lines.append(((ref[0], number), stream, line))
        invoice.rows.append(Row(subscription, line, on))


def _located(subscription: Subscription, bodies: Sequence[Event]) -> list[Located]:
    return [Located((subscription.id, number), body) for number, body in enumerate(bodies, 1)]


def _changed(number: int, segment: Segment, quantity: int) -> events.LicenseChanged:
    return events.LicenseChanged(
        change=f"c{number}", effective_on=segment.start, package=segment.plan.package(segment.phase),
        version=segment.plan.version, type="production", quantities={"recurring": quantity}, direction="other",
    )  # fmt: skip


def _counts(subscription: Subscription, through: date) -> Iterator[Event]:
    """What was used on each day from the start on. The peer ends a service in the course of a day: what was used on it
    before counts, so it is put on the last whole day."""
    start = subscription.start
    days = range(start.toordinal(), max(through, start).toordinal() + 1)
    units = {
        usage["tiers"][0].get("blocks", usage["tiers"][0].get("limits"))[0]["unit"]
        for choice in subscription.choices
        for phase in choice.plan.said["phases"]
        for usage in phase.get("usages", ())
    }
    end = subscription.ends()
    if set(subscription.used) - units or (end and end <= start and subscription.used):
        raise NotExpressible("usage inside a day of service, or of a plan that does not know the unit")
    for unit in sorted(units):
        used = dict(subscription.used.get(unit, {}))
        if end and end > start:
            last = end.toordinal()
            used[last - 1] = used.get(last - 1, 0) + used.pop(last, 0)
        yield count_events.CountsClosed(
            license=subscription.id, counter=unit, start=start, end=date_of(days[-1] + 1), definition="", zone="UTC",
            daily=tuple(used.get(on, 0) for on in days), distinct=0, names="",
        )  # fmt: skip
