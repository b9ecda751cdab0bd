"""Kill Bill's subscriptions as licenses of ours: the facts that one comes to, and all that a run knows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from domain.counted_users import counts_of, day_counts
from domain.events import Event
from domain.events import account as account_events
from domain.events import counted_users as count_events
from domain.events import license as events
from domain.grid import Grid
from domain.history import Located, history_of
from domain.package_version import PackageVersion
from domain.period import day as date_of
from domain.standing import Standing
from domain.terms import Terms, billed_to, terms
from tests.conformance.killbill.catalog import Catalog, Plan
from tests.conformance.killbill.history import Account, Segment, Subscription, in_force
from tests.conformance.killbill.package import counted, package
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import cadence


@dataclass
class Settings:
    """The peer's settings that change what is owed.

    Shapes: `aligned` = a new version of the catalog waits for the next border of the billing period; `zero_usage` =
    usage of nothing is written on an invoice, as it is `in_detail` where a row tells its units; `parks` = an account is
    not billed while units were used that its plan does not know.
    """

    greedy: bool = False
    month_days: int = 0
    aligned: bool = False
    zero_usage: bool = True
    in_detail: bool = False
    parks: bool = False


class Licenses:
    """Makes facts of subscriptions, with the packages that they are in."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self.catalog, self.settings = catalog, settings
        self.packages: dict[tuple[str, int], PackageVersion] = {}

    def package(self, name: str, version: int) -> PackageVersion:
        """A package that a subscription was in."""
        return self.packages[name, version]

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
            return int(in_force(account.cycle_days, on) or account.cycle_days[0][1])
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
        moved = [account_events.BillingDayChanged(billing_day=number, effective_on=on) for on, number in days[1:]]
        return [opened(account, days[0][1]), *moved]

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
            history_of(_located(subscription, self.facts(subscription))),
            billed_to(_located(subscription, self.account_facts(subscription)), subscription.account.id),
            day_counts([(subscription.id, [counts_of(number, body) for number, body in enumerate(counts, 1)])]),
            subscription.lines,
        )

    def unknown(self, subscription: Subscription, first: date, end: date) -> bool:
        """Whether units were used in some days that the plan does not know then."""
        segments = self.segments(subscription)
        for unit, used in subscription.used.items():
            for on in used:
                held = [one for one in segments if one.start.toordinal() <= on]
                known = units_of(held[-1].plan, held[-1].phase) if held else set()
                if first.toordinal() <= on < end.toordinal() and unit not in known:
                    return True
        return False

    def terms(self, subscription: Subscription) -> list[Terms]:
        """The terms of a subscription's components over its life."""
        standing = self.standing(subscription, subscription.start)
        return terms(standing.history, standing.account, self.package)


def opened(account: Account, cycle_day: int = 1) -> account_events.AccountOpened:
    """The account with a billing day."""
    return account_events.AccountOpened(
        reference=account.name, party=account_events.Party(name=account.name), parent=None, payer=None,
        currency=account.currency, billing_day=cycle_day, zone="UTC",
    )  # fmt: skip


def _located(subscription: Subscription, bodies: Sequence[Event]) -> list[Located]:
    return [Located((subscription.id, number), body) for number, body in enumerate(bodies, 1)]


def _changed(number: int, segment: Segment, quantity: int) -> events.LicenseChanged:
    return events.LicenseChanged(
        change=f"c{number}", effective_on=segment.start, package=segment.plan.package(segment.phase),
        version=segment.plan.version, type="production", quantities={"recurring": quantity}, direction="other",
    )  # fmt: skip


def units_of(plan: Plan, phase: int) -> set[str]:
    """The units that a phase of a plan charges for."""
    return {unit for usage in plan.said["phases"][phase].get("usages", ()) for unit, _ in counted(usage)}


def _counts(subscription: Subscription, through: date) -> Iterator[Event]:
    """What was used on each day from the start on. The peer ends a service in the course of a day: what was used on it
    before counts, so it is put on the last whole day."""
    start = subscription.start
    days = range(start.toordinal(), max(through, start).toordinal() + 1)
    plans = [choice.plan for choice in subscription.choices]
    units = {unit for plan in plans for number in range(len(plan.phases)) for unit in units_of(plan, number)}
    end = subscription.ends()
    if end and end <= start and any(subscription.used.get(unit) for unit in units):
        raise NotExpressible("usage of a service that begins and ends on one day: ours has no days then")
    for unit in sorted(units):
        used = dict(subscription.used.get(unit, {}))
        if end and end > start:
            last = end.toordinal()
            used[last - 1] = used.get(last - 1, 0) + used.pop(last, 0)
        yield count_events.CountsClosed(
            license=subscription.id, counter=unit, start=start, end=date_of(days[-1] + 1), definition="", zone="UTC",
            daily=tuple(used.get(on, 0) for on in days), distinct=0, names="",
        )  # fmt: skip
