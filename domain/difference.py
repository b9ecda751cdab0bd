"""The one mechanism of billing: what is owed less what is billed, as lines to be issued.

First bill, renewal, upgrade, downgrade, cancellation, pause, late or corrected counts and price errors all come out of
this file. New lines come from what is *due*, reversals stand against what is *owed at all*. Source: ADR-0009.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from domain.charge import ONCE, Charge, Rating
from domain.coverage import Billed, Coverage
from domain.package_version import Proration
from domain.period import Span, common, intersection, subtract, union
from domain.terms import Stream


class NewLine(msgspec.Struct, frozen=True, eq=False):
    """A line to be issued: a charge, a reinstatement (a charge that names the reversal it undoes), or a reversal.

    Shapes: `stream` with LICENSE and OWNER in place of names, as it is in what was owed and billed.
    Units: `amount` in minor units; `tax` is None where it is still to be computed on the document.
    """

    kind: Literal["charge", "reversal"]
    stream: Stream
    start: int
    end: int
    amount: int
    tax: int | None
    charge: Charge | None
    link: Billed | None


class Difference(NamedTuple):
    """What has to be issued now, and the reversals that are known but not yet effective."""

    lines: tuple[NewLine, ...]
    coming: tuple[NewLine, ...]


class _Making(NamedTuple):
    """A difference while it is made."""

    lines: list[NewLine]
    coming: list[NewLine]


def difference(owed: Sequence[Charge], billed: Coverage, target: int) -> Difference:
    """What to issue so that everything due is covered once, and nothing that is not owed stays covered.

    Shapes: the charges and lines of one license; `target` is the run's date. A second call with the new lines taken
    in gives nothing: this is the first property test. What is taken back is booked on `billed` as it goes.
    """
    return _difference(owed, billed, target) if billed else _from_nothing(tuple(owed), target)


@lru_cache(maxsize=4096)
def _from_nothing(owed: tuple[Charge, ...], target: int) -> Difference:
    """The first lines of all licenses that owe the same."""
    return _difference(owed, Coverage(), target)


def _difference(owed: Sequence[Charge], billed: Coverage, target: int) -> Difference:
    found = _Making([], [])
    all_given_back = billed.given_back()
    for charges, lines in _by_stream(owed, billed):
        policy = charges[-1].rating.package.proration if charges else UNKNOWN
        given_back = all_given_back and _of(all_given_back, (charges or lines)[0].stream)
        case = _Case(charges, lines, given_back, target, policy, _MATCH[policy.match_on], owed)
        (_atomic if _is_atomic(charges, lines) else _divisible)(found, case)
    return Difference(tuple(found.lines), tuple(found.coming))


def _of(given_back: Sequence[Billed], stream: Stream) -> Sequence[Billed]:
    return [taken for taken in given_back if taken.stream == stream]


def _by_stream(owed: Iterable[Charge], billed: Coverage) -> Iterable[tuple[list[Charge], list[Billed]]]:
    """What is owed and what is billed of each stream of the one license.

    The number of an identifier is found faster than itself, and what comes in a row is mostly of one stream.
    """
    streams: dict[tuple[str, int, str], tuple[list[Charge], list[Billed]]] = {}
    of_stream = attrgetter("stream")
    for (_, component, payer, currency), charges in groupby(owed, of_stream):
        streams.setdefault((component, payer.int, currency), ([], []))[0].extend(charges)
    for (_, component, payer, currency), lines in groupby(billed.live(), of_stream):
        streams.setdefault((component, payer.int, currency), ([], []))[1].extend(lines)
    return streams.values()


def _is_atomic(charges: Sequence[Charge], lines: Sequence[Billed]) -> bool:
    return any([one.rating.occurrence for one in charges]) or any([line.line.occurrence for line in lines])


UNKNOWN = Proration()
"""The policy where nothing is owed any more, and so no package says one."""

Key = tuple[str, int, int]


class _Match(NamedTuple):
    """What makes an owed day and a billed day the same: the key, and the period too where the package says so."""

    by_period: bool

    def owed(self, rating: Rating) -> Key:
        return (rating.key, rating.base_start, rating.base_end) if self.by_period else (rating.key, 0, 0)

    def billed(self, billed: Billed) -> Key:
        return (billed.key, *billed.base) if self.by_period else (billed.key, 0, 0)


_MATCH = {"days": _Match(by_period=False), "period": _Match(by_period=True)}


class _Case(NamedTuple):
    """One stream of the license: what is owed and billed of it, and the rules by which these are compared.

    Shapes: `owed` is all that is owed of the license.
    """

    charges: Sequence[Charge]
    lines: Sequence[Billed]
    given_back: Sequence[Billed]
    target: int
    policy: Proration
    match: _Match
    owed: Sequence[Charge]

    def is_now(self, day: int) -> bool:
        """Whether what is not owed from a day on is given back by this run."""
        return self.policy.reverse_on == "known" or day <= self.target


def _divisible(found: _Making, case: _Case) -> None:
    kept = _kept(found, case) if case.lines else []
    whole = set(kept)
    for charge in case.charges:
        days = (charge.rating.start, charge.rating.end)
        if charge.rating.due and days not in whole:
            found.lines.extend(_charges(charge, subtract([days], kept), case))


def _kept(found: _Making, case: _Case) -> list[Span]:
    """The days that stay billed; the reversals of all others are added to what was found."""
    owed = {(charge.rating.start, charge.rating.end): charge.rating for charge in case.charges}
    kept: list[Span] = []
    other: list[Billed] = []
    for line in case.lines:
        rating = owed.get(line.spans[0]) if len(line.spans) == 1 else None
        if rating is not None and case.match.owed(rating) == case.match.billed(line):
            kept.append(line.spans[0])
        else:
            other.append(line)
    return sorted(kept + _kept_in_part(found, case, other) if other else kept)


def _kept_in_part(found: _Making, case: _Case, lines: Sequence[Billed]) -> list[Span]:
    """The days that stay billed of lines whose own days are not owed as they are."""
    entitled: dict[Key, list[Span]] = defaultdict(list)
    for charge in case.charges:
        entitled[case.match.owed(charge.rating)].append((charge.rating.start, charge.rating.end))
    joined = {key: union(days) for key, days in entitled.items()}
    kept: list[Span] = []
    for line in lines:
        gone = subtract(line.spans, joined.get(case.match.billed(line), [])) if line.line.reversible else []
        for days in gone:
            now = case.is_now(days[0]) or _is_due(days, case.charges)
            (found.lines if now else found.coming).append(_reversal(line, days))
        kept.extend(subtract(line.spans, gone) if gone else line.spans)
    return kept


def _is_due(days: Span, charges: Iterable[Charge]) -> bool:
    """Whether something else falls due for some of the days."""
    return any(one.rating.due and intersection(days, (one.rating.start, one.rating.end)) for one in charges)


def _reversal(line: Billed, days: Span) -> NewLine:
    amount, tax = -line.amount_of(days), -line.tax_of(days)
    line.take(days, amount, tax)
    return NewLine("reversal", line.stream, *days, amount, tax, None, line)


def _charges(charge: Charge, due: Sequence[Span], case: _Case) -> Iterable[NewLine]:
    """The lines for due days: what was taken back for them before comes back, the rest is the price's share."""
    if case.given_back:
        due = yield from _again(charge, due, case)
    for days in due:
        yield _fresh(charge, days)


def _again(charge: Charge, due: Sequence[Span], case: _Case) -> Generator[NewLine, None, Sequence[Span]]:
    """The lines that give again what was taken back; the due days that are left."""
    for taken in case.given_back:
        if case.match.billed(taken) != case.match.owed(charge.rating):
            continue
        for days in common(due, taken.spans):
            amount, tax = -taken.amount_of(days), -taken.tax_of(days)
            taken.take(days, amount, tax)
            yield NewLine("charge", charge.stream, *days, amount, tax, charge, taken)
            due = subtract(due, [days])
    return due


@lru_cache(maxsize=16384)
def _fresh(charge: Charge, days: Span) -> NewLine:
    start, end = days
    return NewLine("charge", charge.stream, start, end, charge.rating.amount(start, end), None, charge, None)


def _atomic(found: _Making, case: _Case) -> None:
    """Charges that days do not divide: matched by occurrence; a different amount reverses the whole and bills anew."""
    owed = {(one.rating.occurrence, one.rating.key): one for one in case.charges}
    held: dict[str, Billed] = {}
    for line in case.lines:
        same = (line.line.occurrence, line.key) in owed
        if same or _keeps(line, case):
            held[line.line.occurrence] = line
            continue
        awaited = any(one.rating.due and one.rating.occurrence == line.line.occurrence for one in case.charges)
        now = case.is_now(line.start) or awaited
        (found.lines if now else found.coming).append(_reversal(line, (line.start, line.end)))
    for charge in owed.values():
        if charge.rating.due and charge.rating.occurrence not in held:
            found.lines.append(_whole(charge, case.given_back))


def _keeps(line: Billed, case: _Case) -> bool:
    """Whether a billed atomic charge stays although another amount is owed now."""
    if not line.line.reversible:
        return True
    if line.line.occurrence == ONCE:
        return False
    now = next((one.rating for one in case.charges if one.rating.occurrence == line.line.occurrence), None)
    if now and now.as_used and now.amount(0, 0) == line.left:
        return True
    rule = (now.package.proration if now else case.policy).usage_correction
    if rule == "reverse_and_rebill" or _is_cut(line, case.owed):
        return False
    return rule == "never" or now is None or now.amount(0, 0) <= line.left


def _is_cut(line: Billed, owed: Iterable[Charge]) -> bool:
    """Whether other terms hold on some of a line's days: what was used on them is not to be billed twice."""
    others = (one.rating for one in owed if _is_other(one, line))
    return any(intersection((line.start, line.end), (one.start, one.end)) for one in others)


def _is_other(charge: Charge, line: Billed) -> bool:
    """Whether a charge is from other terms than a line: another piece, or by another payer or package on its days."""
    if charge.stream == line.stream:
        return charge.rating.occurrence != line.line.occurrence
    return _who_and_what(charge.stream) != _who_and_what(line.stream)


def _who_and_what(stream: Stream) -> tuple[UUID, str]:
    return stream.payer, stream.component.partition("/")[0]


def _whole(charge: Charge, given_back: Sequence[Billed]) -> NewLine:
    rating = charge.rating
    days = (rating.start, rating.end)
    for taken in given_back:
        if (taken.line.occurrence, taken.key) == (rating.occurrence, rating.key):
            amount, tax = -taken.left, -taken.tax_left
            taken.take(days, amount, tax)
            return NewLine("charge", charge.stream, *days, amount, tax, charge, taken)
    return _fresh(charge, days)
