"""Commands on licenses. Each resolves the package's policies into dates, so that the fold sees dates only."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from domain.account import Account
from domain.application import Billing, Outcome
from domain.application.accounts import account_named, check_reference
from domain.application.catalog import sold_on, version_of
from domain.application.renewals import renewal, running_on
from domain.errors import Conflict, NotFound, Refusal
from domain.events import license as events
from domain.events.license import LicenseType
from domain.grid import day_in_month, month_of
from domain.identity import Kind, bucket_of, make_id, name_bucket
from domain.license import Direction, License
from domain.money import minor
from domain.package_version import PackageVersion
from domain.period import day

When = Literal["policy", "now", "renewal"] | date


def license_named(billing: Billing, reference: str) -> License:
    """A license by its reference. Raises: NotFound."""
    found = billing.resolve(Kind.LICENSE, [reference]).get(reference)
    if found is None:
        raise NotFound(f"there is no license {reference}")
    return billing.find(License, found, f"license {reference}")


class StartLicense(msgspec.Struct, frozen=True):
    """Sells a package to an account; version 0 is the one sold on the day it starts."""

    reference: str
    account: str
    package: str
    start_on: date
    quantities: dict[str, int] = {}
    version: int = 0
    type: LicenseType = "production"
    term_months: int | None = None

    def handle(self, billing: Billing) -> Outcome:
        check_reference(self.reference)
        account = account_named(billing, self.account)
        if billing.resolve(Kind.LICENSE, [self.reference]):
            raise Conflict(f"license {self.reference} exists already")
        version = _version(billing, self.package, self.version, self.start_on)
        _check_sellable(version, account, self.quantities)
        license = License(make_id(Kind.LICENSE, bucket_of(account.id), self.start_on, self.reference))
        license.start(self._started(account, version))
        name = (name_bucket(self.reference), int(Kind.LICENSE), self.reference, license.id)
        return Outcome((license,), {"directory (bucket, kind, name, id)": [name]}, answer=license.id)

    def _started(self, account: Account, version: PackageVersion) -> events.LicenseStarted:
        trial = self.type == "trial"
        return events.LicenseStarted(
            reference=self.reference,
            account=account.id,
            package=version.package,
            version=version.version,
            type=self.type,
            start_on=self.start_on,
            currency=account.currency,
            quantities=self.quantities,
            term_months=version.term_months if self.term_months is None else self.term_months,
            trial_ends_on=self.start_on + timedelta(days=version.trial_days) if trial else None,
        )


class ChangeLicense(msgspec.Struct, frozen=True):
    """Upgrades or downgrades a license: another package, version, quantities or type, when the package allows it.

    Shapes: empty package keeps it; version 0 is the one sold that day; `quantities` replace those named.
    """

    license: str
    today: date
    package: str = ""
    version: int = 0
    quantities: dict[str, int] = {}
    type: LicenseType | None = None
    when: When = "policy"

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        held = license.current(self.today)
        before = version_of(billing, held.package, held.version)
        after = self._after(billing, before)
        quantities = {**held.quantities, **self.quantities}
        direction = direction_of(before, after, held.quantities, quantities)
        account = billing.find(Account, license.account, "account") if license.account else None
        assert account is not None
        try:
            _check_sellable(after, account, quantities)
            effective_on = effective(billing, license, before, direction, self.when, self.today)
            kind = self.type or held.type
            change = license.change(after, quantities, kind, effective_on, direction, self.today)
        except Refusal as refusal:
            wanted = " ".join([f"{after.package} v{after.version}", *(f"{c}={n}" for c, n in quantities.items())])
            license.refuse_change(wanted, str(refusal), self.today)
            return Outcome((license,), refusal=refusal)
        return Outcome((license,), answer=(change, effective_on))

    def _after(self, billing: Billing, before: PackageVersion) -> PackageVersion:
        if not self.package and not self.version:
            return before
        return _version(billing, self.package or before.package, self.version, self.today)


class WithdrawChange(msgspec.Struct, frozen=True):
    """Takes back a scheduled change."""

    license: str
    change: str
    today: date

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        if self.change not in {change.change for change in license.scheduled_after(self.today)}:
            raise Conflict(f"{self.license} has no scheduled change {self.change}")
        license.withdraw_change(self.change, "withdrawn")
        return Outcome((license,))


class SuspendLicense(msgspec.Struct, frozen=True):
    """Stops service for a reason; whether billing pauses too is the package's rule."""

    license: str
    reason: str
    from_on: date

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        held = license.current(self.from_on)
        version = version_of(billing, held.package, held.version)
        license.suspend(self.reason, self.from_on, self.reason in version.changes.pausing_reasons)
        return Outcome((license,))


class ResumeLicense(msgspec.Struct, frozen=True):
    """Clears one reason of a suspension."""

    license: str
    reason: str
    on: date

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        license.resume(self.reason, self.on)
        return Outcome((license,))


class CancelLicense(msgspec.Struct, frozen=True):
    """Ends a license on a day, or by the package's notice and end rules."""

    license: str
    notice_on: date
    end_on: date | None = None
    why: str = ""

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        end_on = self.end_on or self._by_rule(billing, license)
        license.cancel(self.notice_on, end_on, self.why)
        return Outcome((license,), answer=end_on)

    def _by_rule(self, billing: Billing, license: License) -> date:
        held = license.current(self.notice_on)
        version = version_of(billing, held.package, held.version)
        earliest = max(_notice_ends(version, self.notice_on), license.start_on)
        if version.changes.cancel == "now":
            return earliest
        term = version.changes.cancel == "term_end"
        return renewal(billing, license, earliest - timedelta(days=1), term=term)


class WithdrawCancellation(msgspec.Struct, frozen=True):
    """Takes a cancellation back before the license has ended."""

    license: str
    on: date

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        license.withdraw_cancellation(self.on)
        return Outcome((license,))


class ReactivateLicense(msgspec.Struct, frozen=True):
    """Lets an ended license serve again."""

    license: str
    from_on: date

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        license.reactivate(self.from_on)
        return Outcome((license,))


class CommitLicense(msgspec.Struct, frozen=True):
    """Promises to pay for at least a quantity of a component."""

    license: str
    component: str
    quantity: int
    from_on: date
    until: date | None = None

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        _check_component(billing, license, self.component)
        license.commit(
            events.CommitmentSet(
                component=self.component, quantity=self.quantity, from_on=self.from_on, until=self.until
            )
        )
        return Outcome((license,))


class GrantDiscount(msgspec.Struct, frozen=True):
    """Grants a percentage or an amount off, for a number of periods or for good."""

    license: str
    discount: str
    from_on: date
    percent: Decimal | None = None
    amount: Decimal | None = None
    component: str = ""
    periods: int = 0

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        if self.component:
            _check_component(billing, license, self.component)
        if self.amount is not None:
            minor(self.amount, license.currency)
        license.discount(
            events.DiscountGranted(
                discount=self.discount,
                component=self.component,
                percent=self.percent,
                amount=self.amount,
                from_on=self.from_on,
                periods=self.periods,
            )
        )
        return Outcome((license,))


class WithdrawDiscount(msgspec.Struct, frozen=True):
    """Ends a discount: periods whose service begins on or after the day are without it."""

    license: str
    discount: str
    on: date

    def handle(self, billing: Billing) -> Outcome:
        license = license_named(billing, self.license)
        license.withdraw_discount(self.discount, self.on)
        return Outcome((license,))


def direction_of(before: PackageVersion, after: PackageVersion, old: dict[str, int], new: dict[str, int]) -> Direction:
    """Whether a change is an upgrade or a downgrade: by the rank of the packages, else by the quantities."""
    if before.rank != after.rank:
        return "upgrade" if after.rank > before.rank else "downgrade"
    more, less = (any(new.get(c, 0) * s > old.get(c, 0) * s for c in {*old, *new}) for s in (1, -1))
    if more != less:
        return "upgrade" if more else "downgrade"
    return "other"


def effective(
    billing: Billing, license: License, version: PackageVersion, direction: Direction, when: When, today: date
) -> date:
    """The day that a change takes effect, by wish or by the package's rule.

    Raises: Conflict when a downgrade is asked for now but only allowed at the renewal.
    """
    if isinstance(when, date):
        return when
    rules = version.changes
    rule = rules.downgrade if direction == "downgrade" else rules.upgrade
    if when == "renewal" or (when == "policy" and rule == "renewal"):
        return renewal(billing, license, today, term=bool(license.term_months))
    if direction == "downgrade" and rules.downgrade == "renewal" and not _early(billing, license, version, today):
        next_on = renewal(billing, license, today, term=bool(license.term_months))
        raise Conflict(f"a downgrade is possible at the renewal, on {next_on}, not now")
    return today


def _early(billing: Billing, license: License, version: PackageVersion, today: date) -> bool:
    """Whether the term began so recently that a downgrade is still allowed at once."""
    began = running_on(billing, license, today, term=bool(license.term_months))[0]
    return today.toordinal() < max(began, license.start_on.toordinal()) + version.changes.downgrade_within_days


def _notice_ends(version: PackageVersion, notice_on: date) -> date:
    counted_from = notice_on
    if version.changes.notice_from == "next_month":
        counted_from = day(day_in_month(month_of(notice_on.toordinal()) + 1, 1))
    return counted_from + timedelta(days=version.changes.notice_days)


def _version(billing: Billing, package: str, number: int, on: date) -> PackageVersion:
    return version_of(billing, package, number) if number else sold_on(billing, package, on)


def _check_sellable(version: PackageVersion, account: Account, quantities: dict[str, int]) -> None:
    for component in version.components:
        if account.currency not in component.prices:
            raise Conflict(f"{version.package} has no price in {account.currency} for {component.id}")
    unknown = [name for name in quantities if version.component(name) is None]
    if unknown:
        raise NotFound(f"{version.package} has no component {unknown[0]}")


def _check_component(billing: Billing, license: License, component: str) -> None:
    """Whether a license has or had a component, or will have it by a change that is agreed. Raises: NotFound."""
    held = {(one.package, one.version) for one in license.changes.values()}
    if all(version_of(billing, *one).component(component) is None for one in held):
        raise NotFound(f"{license.reference} has no component {component}")
