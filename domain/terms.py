"""What holds for each component of a license, day by day: the fold of its history into terms.

Runs of days with equal terms are joined before anything is cut, so that an event which leaves a component as it was
does not split its fee. The stream that billing is exact in is (license, component, payer, currency); a component's id
belongs to its package. The fold knows neither the license nor its account by name, so that all licenses with the same
history share its outcome. Source: ADR-0009, ADR-0020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, TypeVar
from uuid import UUID

import msgspec

from domain.errors import IntegrityError
from domain.events import Event
from domain.events import account as account_events
from domain.events import license as license_events
from domain.events.documents import Ref
from domain.grid import Cadence, Grid
from domain.history import LICENSE, OWNER, History, Located, unpack
from domain.package_version import Component, Counting, PackageVersion
from domain.period import OPEN_END, Span, common, span, subtract
from domain.served import pauses, served, served_around

T = TypeVar("T")

MONDAY = 1
"""The ordinal that calendar billing counts days and weeks from: 1 January of year 1, a Monday."""


class Stream(NamedTuple):
    """What is billed exactly once a day: one component of one license, paid by one account in one currency."""

    license: UUID
    component: str
    payer: UUID
    currency: str


class Discount(msgspec.Struct, frozen=True):
    """A discount as the fold sees it: the first `periods` (0: all) whose service begins in [start, end)."""

    id: str
    component: str
    percent: Decimal | None
    amount: Decimal | None
    start: int
    end: int
    periods: int


class Terms(msgspec.Struct, frozen=True, cache_hash=True):
    """The terms of one component on the days [start, end).

    Shapes: `declared` is the quantity that was sold, `minimum` the committed one; `first` and `last` are the borders
    of service, where the policies for begun periods hold; `reasons` are the events that made the terms.
    """

    stream: Stream
    start: int
    end: int
    package: PackageVersion
    component: Component
    grid: Grid
    declared: int
    minimum: int
    type: license_events.LicenseType
    discounts: tuple[Discount, ...]
    first: int
    last: int
    reasons: tuple[Ref, ...]

    def same(self, other: Terms) -> bool:
        """Whether the days of both would be billed alike."""
        return _content(self) == _content(other)


def _content(terms: Terms) -> tuple[object, ...]:
    component = terms.component
    return (
        terms.stream,
        component.prices,
        component.charge,
        component.quantity,
        component.mode,
        component.reversible,
        terms.grid,
        terms.declared,
        terms.minimum,
        terms.type,
        terms.discounts,
        terms.package.proration,
        _countings(terms),
        terms.package.nfr_included,
    )


def _countings(terms: Terms) -> tuple[Counting, ...]:
    """How the counters are counted that a component is charged by; how others are does not matter to it."""
    return tuple(one for one in terms.package.countings if one.counter in terms.component.counters)


Packages = Callable[[str, int], PackageVersion]
"""Finds a published version of a package."""


def stream_of(history: History, stream: Stream) -> Stream:
    """The stream with names put on."""
    payer = history.account if stream.payer is OWNER else stream.payer
    return Stream(history.license, stream.component, payer, stream.currency)


def refs_of(history: History, refs: Iterable[Ref]) -> tuple[Ref, ...]:
    """Events with names put on: those of the license and its account; those of others stay."""
    license, account = history.license, history.account
    return tuple([(license if who is LICENSE else account if who is OWNER else who, n) for who, n in refs])


def terms(history: History, account: BilledTo, packages: Packages) -> list[Terms]:
    """The terms of every component of a license over its life, sorted by stream and day, neighbours joined.

    Raises: IntegrityError when the license was never started.
    """
    nameless = nameless_terms(history, account, packages)
    replace = msgspec.structs.replace
    named = (
        replace(one, stream=stream_of(history, one.stream), reasons=refs_of(history, one.reasons)) for one in nameless
    )
    return sorted(named, key=_place)


def nameless_terms(history: History, account: BilledTo, packages: Packages) -> tuple[Terms, ...]:
    """The terms of a license with LICENSE and OWNER in place of its own and its account's name."""
    versions = tuple([packages(*name) for name in _sold(history.facts)])
    return _folded(history.facts, versions, account)


@lru_cache(maxsize=16384)
def _sold(facts: bytes) -> tuple[tuple[str, int], ...]:
    """The versions of packages that a history speaks of."""
    bodies = [body for _, body in unpack(LICENSE, facts)]
    sold = (license_events.LicenseStarted, license_events.LicenseChanged)
    return tuple([(body.package, body.version) for body in bodies if isinstance(body, sold)])


@lru_cache(maxsize=16384)
def _folded(facts: bytes, versions: tuple[PackageVersion, ...], account: BilledTo) -> tuple[Terms, ...]:
    """The fold itself, once for each history and the versions that it speaks of."""
    found = {(version.package, version.version): version for version in versions}
    return tuple(_joined(_History(unpack(LICENSE, facts), account, lambda *name: found[name]).pieces()))


class _History:
    """The facts of a license sorted by what they govern."""

    def __init__(self, license_facts: Sequence[Located], account: BilledTo, packages: Packages) -> None:
        started = license_facts[0].body
        if not isinstance(started, license_events.LicenseStarted):
            raise IntegrityError("a license has to begin with its start")
        self.started, self.account = started, account
        self.facts, self.packages = license_facts, packages
        self.service = served(self.started, (body for _, body in license_facts))
        self.active = subtract(self.service, pauses(body for _, body in license_facts))
        self.discounts = _discounts(license_facts)
        self.commitments = [fact for fact in license_facts if isinstance(fact.body, license_events.CommitmentSet)]

    def changes(self) -> list[Located]:
        """The start and every change still standing, by effective day, then as recorded; none before the start."""
        withdrawn = {fact.body.change for fact in self.facts if isinstance(fact.body, license_events.ChangeWithdrawn)}
        changes = [
            fact
            for fact in self.facts
            if isinstance(fact.body, license_events.LicenseChanged) and fact.body.change not in withdrawn
        ]
        return [self.facts[0], *sorted(changes, key=lambda fact: _effective(fact.body))]

    def pieces(self) -> Iterator[Terms]:
        """The terms between any two facts that could change them, not yet joined."""
        changes, begin = self.changes(), self.started.start_on.toordinal()
        origins: dict[Cadence, int] = {}
        for here, following in zip(changes, [*changes[1:], None], strict=True):
            start = max(_effective(here.body), begin)
            end = max(_effective(following.body), begin) if following else OPEN_END
            if start >= end:
                continue
            version = self.packages(here.body.package, here.body.version)  # type: ignore[attr-defined]
            origins = _origins(version, origins, start, begin)
            for days in common([(start, end)], self.active):
                yield from self._of_version(here, version, origins, days)

    def _of_version(
        self, fact: Located, version: PackageVersion, origins: dict[Cadence, int], days: Span
    ) -> Iterator[Terms]:
        body = fact.body
        assert isinstance(body, (license_events.LicenseStarted, license_events.LicenseChanged))
        if body.type == "trial":
            return
        first, last = served_around(self.service, days[0])
        for component in version.components:
            for (start, end), payer, billing_day, refs in self.account.cut(days):
                for (a, b), minimum, commitment in self._committed(component.id, (start, end)):
                    yield Terms(
                        stream=Stream(LICENSE, f"{version.package}/{component.id}", payer, self.started.currency),
                        start=a,
                        end=b,
                        package=version,
                        component=component,
                        grid=self._grid(version, component, origins, billing_day, start),
                        declared=body.quantities.get(component.id, 0),
                        minimum=minimum,
                        type=body.type,
                        discounts=tuple(d for d in self.discounts if d.component in ("", component.id)),
                        first=first,
                        last=last,
                        reasons=tuple(dict.fromkeys((fact.ref, *refs, *commitment))),
                    )

    def _grid(
        self, version: PackageVersion, component: Component, origins: dict[Cadence, int], billing_day: int, start: int
    ) -> Grid:
        policy, cadence = version.proration, component.cadence
        if policy.cycle_day_from == "calendar":
            return Grid(cadence, self._calendar(cadence, origins), 1)
        cycle_day = billing_day if policy.cycle_day_from == "account" else self.started.start_on.day
        # A month's borders are the same from whichever month they are counted; its stretches are to be joined.
        anew = policy.grid_on_change == "always" and cadence.months != 1
        return Grid(cadence, start if anew else origins[cadence], cycle_day)

    def _calendar(self, cadence: Cadence, origins: dict[Cadence, int]) -> int:
        """Where the calendar's periods are counted from: 1 January, a Monday for weeks, else as without a calendar."""
        if cadence.months:
            return date(self.started.start_on.year, 1, 1).toordinal()
        return origins[cadence] if cadence.days % 7 else MONDAY

    def _committed(self, component: str, days: Span) -> list[tuple[Span, int, tuple[Ref, ...]]]:
        """The pieces of the days with the quantity committed on them; the commitment recorded last holds."""
        pieces: list[tuple[Span, int, tuple[Ref, ...]]] = [(days, 0, ())]
        for fact in self.commitments:
            assert isinstance(fact.body, license_events.CommitmentSet)
            if fact.body.component == component:
                window = span(fact.body.from_on, fact.body.until)
                pieces = [
                    piece
                    for (start, end), quantity, refs in pieces
                    for piece in (
                        *((left, quantity, refs) for left in subtract([(start, end)], [window])),
                        *((inside, fact.body.quantity, (fact.ref,)) for inside in common([(start, end)], [window])),
                    )
                ]
        return sorted(pieces)


class BilledTo(msgspec.Struct, frozen=True, cache_hash=True):
    """Who pays a license, and on which day of the month, over time.

    Shapes: (from which day on, what, the event that says so), by day, then as recorded.
    """

    payers: tuple[tuple[int, UUID, Ref | None], ...]
    days: tuple[tuple[int, int, Ref | None], ...]

    def cut(self, days: Span) -> Iterator[tuple[Span, UUID, int, tuple[Ref, ...]]]:
        """The pieces of the days with one payer and one billing day each."""
        borders = [days[0]]
        if len(self.payers) + len(self.days) > 2:
            borders = sorted({days[0], *(at for at, *_ in (*self.payers, *self.days) if days[0] < at < days[1])})
        for start, end in zip(borders, [*borders[1:], days[1]], strict=True):
            payer, who = _holding(self.payers, start)
            billing_day, when = _holding(self.days, start)
            yield (start, end), payer, billing_day, tuple(ref for ref in (who, when) if ref)


def billed_to(facts: Iterable[Located], account: UUID) -> BilledTo:
    """Who pays the licenses of an account, with OWNER in its own place; of an account that is not known, it does."""
    held, replace = _opened(OWNER, 1), msgspec.structs.replace
    for (_, version), body in facts:
        if isinstance(body, account_events.AccountOpened):
            held = _opened(_payer(body.payer, account), body.billing_day)
        elif isinstance(body, account_events.PayerChanged):
            since = (body.effective_on.toordinal(), _payer(body.payer, account), (OWNER, version))
            held = replace(held, payers=tuple(sorted((*held.payers, since), key=_since)))
        elif isinstance(body, account_events.BillingDayChanged):
            day = (body.effective_on.toordinal(), body.billing_day, (OWNER, version))
            held = replace(held, days=tuple(sorted((*held.days, day), key=_since)))
    return held


@lru_cache
def _opened(payer: UUID, billing_day: int) -> BilledTo:
    return BilledTo(((0, payer, None),), ((0, billing_day, None),))


def _payer(payer: UUID | None, account: UUID) -> UUID:
    return OWNER if payer in (None, account) else payer


def _since(change: tuple[int, object, object]) -> int:
    return change[0]


def _holding(changes: Sequence[tuple[int, T, Ref | None]], ordinal: int) -> tuple[T, Ref | None]:
    if len(changes) == 1:
        return changes[0][1:]
    _, value, ref = next(change for change in reversed(changes) if change[0] <= ordinal)
    return value, ref


def _effective(body: Event) -> int:
    if isinstance(body, license_events.LicenseStarted):
        return body.start_on.toordinal()
    assert isinstance(body, license_events.LicenseChanged)
    return body.effective_on.toordinal()


def _discounts(facts: Iterable[Located]) -> tuple[Discount, ...]:
    granted: dict[str, Discount] = {}
    for _, body in facts:
        if isinstance(body, license_events.DiscountGranted):
            start = body.from_on.toordinal()
            granted[body.discount] = Discount(
                body.discount, body.component, body.percent, body.amount, start, OPEN_END, body.periods
            )
        elif isinstance(body, license_events.DiscountWithdrawn) and body.discount in granted:
            ended = msgspec.structs.replace(granted[body.discount], end=body.on.toordinal())
            granted[body.discount] = ended
    return tuple(granted.values())


def _origins(version: PackageVersion, before: dict[Cadence, int], start: int, begin: int) -> dict[Cadence, int]:
    """Where each cadence's count of periods starts: a cadence that goes on keeps its grid, a new one begins here."""
    restart = version.proration.grid_on_change != "continue"
    new = start if before and restart else begin
    return {component.cadence: before.get(component.cadence, new) for component in version.components}


def _place(piece: Terms) -> tuple[Stream, int]:
    return piece.stream, piece.start


def _joined(pieces: Iterable[Terms]) -> list[Terms]:
    joined: list[Terms] = []
    for piece in sorted(pieces, key=_place):
        last = joined[-1] if joined else None
        if last and last.end == piece.start and last.same(piece):
            reasons = tuple(dict.fromkeys((*last.reasons, *piece.reasons)))
            joined[-1] = msgspec.structs.replace(last, end=piece.end, last=piece.last, reasons=reasons)
        else:
            joined.append(piece)
    return joined
