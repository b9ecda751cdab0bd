"""When licenses are renewed, for commands that end or change them there."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from domain.application import Billing
from domain.application.catalog import published, version_of
from domain.grid import Cadence, Grid
from domain.history import Located
from domain.license import License
from domain.period import Span, day
from domain.renewal import running
from domain.terms import billed_to


def renewal(billing: Billing, license: License, after: date, *, term: bool) -> date:
    """The first day of the next term, or of the next period where there is no term, after a day."""
    return day(running_on(billing, license, max(after, license.start_on), term=term)[1])


def ends_unrenewed(billing: Billing, license: License, on: date) -> date:
    """The day that a license ends on if it is not renewed: after its term where the package holds to that, else after
    the period that runs."""
    held = license.current(on)
    version = version_of(billing, held.package, held.version)
    return renewal(billing, license, on, term=version.changes.cancel == "term_end")


def running_on(billing: Billing, license: License, on: date, *, term: bool) -> Span:
    """The term that runs on a day, or the period where there is no term."""
    if term and license.term_months:
        start = license.start_on.toordinal()
        return Grid(Cadence(months=license.term_months), start, license.start_on.day).period(on.toordinal())
    assert license.account is not None
    packages, held = published(billing), license.current(on)
    account = billed_to(_facts(billing, license.account), license.account)
    return running(_facts(billing, license.id), account, packages, packages(held.package, held.version), on)


def _facts(billing: Billing, stream: UUID) -> list[Located]:
    return [Located((stream, one.originator_version), one.body) for one in billing.events.get(stream)]  # type: ignore[attr-defined]
