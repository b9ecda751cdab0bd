"""When the period that runs on a day began, and where it is renewed: by the terms that it is billed by.

A billing day that is told to move moves the border that it comes before; a cadence that began with a change is counted
from there. What is agreed for later days decides nothing, nor does a trial or a pause that has no end yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from domain.events import license as events
from domain.history import Located, history_of
from domain.package_version import PackageVersion
from domain.period import Span
from domain.terms import BilledTo, Packages, terms


def running(facts: Sequence[Located], account: BilledTo, packages: Packages, version: PackageVersion, on: date) -> Span:
    """The period that runs on a day, of the first recurring component of what is held then.

    Shapes: `facts` of the license; ordinals.
    """
    recurring = next((c for c in version.components if c.charge == "recurring"), version.components[0])
    name, today = f"{version.package}/{recurring.id}", on.toordinal()
    found = [one for one in terms(history_of(_lasting(facts, on)), account, packages) if one.stream.component == name]
    pieces = sorted(found, key=lambda piece: piece.start)
    if not pieces:
        return today, today + 1  # no day of service: nothing runs, and nothing is renewed
    at = max([n for n, piece in enumerate(pieces) if piece.start <= today], default=0)
    begin, end = pieces[at].grid.period(max(today, pieces[at].start))
    for piece in pieces[at + 1 :]:
        if piece.start >= end:
            break
        border, following = piece.grid.period(piece.start)
        end = border if border == piece.start else following
    return begin, end


def _lasting(facts: Sequence[Located], on: date) -> list[Located]:
    """The facts without changes of later days and pauses that have not ended; sold, where it is a trial."""
    resumed = {fact.body.reason: n for n, fact in enumerate(facts) if isinstance(fact.body, events.LicenseResumed)}
    lasting: list[Located] = []
    for n, fact in enumerate(facts):
        match fact.body:
            case events.LicenseChanged(effective_on=later) if later > on:
                continue
            case events.LicenseSuspended(reason=reason) | events.SuspensionDemanded(reason=reason) if (
                resumed.get(reason, -1) < n
            ):
                continue
            case events.LicenseStarted(type="trial") | events.LicenseChanged(type="trial") as trial:
                fact = fact._replace(body=msgspec.structs.replace(trial, type="production"))
        lasting.append(fact)
    return lasting
