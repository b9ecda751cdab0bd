"""On which days a license serves, and on which of them it is not billed: folds of its events into spans of days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.events import Event
from domain.events import license as events
from domain.period import OPEN_END, Span, common, union


def served(started: events.LicenseStarted, facts: Iterable[Event]) -> list[Span]:
    """The days of service: from the start to the end, and again after each reactivation."""
    service = before = [(started.start_on.toordinal(), OPEN_END)]
    for body in facts:
        if isinstance(body, events.LicenseCancelled):
            before, service = service, common(service, [(0, body.end_on.toordinal())])
        elif isinstance(body, events.CancellationWithdrawn):
            service = before
        elif isinstance(body, events.LicenseReactivated):
            service = union([*service, (body.from_on.toordinal(), OPEN_END)])
    return service


def served_around(service: Sequence[Span], ordinal: int) -> Span:
    """The run of days of service that a day lies in."""
    return next(days for days in service if days[0] <= ordinal < days[1])


def pauses(facts: Iterable[Event]) -> list[Span]:
    """The days that are not billed because the license was suspended for a reason that pauses billing."""
    pauses: list[Span] = []
    open_since: dict[str, int] = {}
    for body in facts:
        if isinstance(body, events.LicenseSuspended) and body.pauses_billing:
            open_since.setdefault(body.reason, body.from_on.toordinal())
        elif isinstance(body, events.SuspensionDemanded) and body.pauses_billing:
            open_since.setdefault(body.reason, body.on.toordinal())
        elif isinstance(body, events.LicenseResumed) and body.reason in open_since:
            pauses.append((open_since.pop(body.reason), body.on.toordinal()))
    return union([*pauses, *((since, OPEN_END) for since in open_since.values())])
