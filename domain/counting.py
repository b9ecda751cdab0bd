"""Counted users: from who was seen on which day to the quantity that is billed, by a dated definition.

Observations are (local day, subject). A day's count is the number of different subjects seen on enough days of the
window that ends on it. *No reading is not zero*: a period without any has no quantity, and is not billed.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import msgspec

from domain.errors import Invalid
from domain.grid import day_in_month, month_of
from domain.identity import digest
from domain.package_version import Counting
from domain.period import OPEN_END, Span, Touching, intersection

Observation = tuple[int, str]
"""A subject seen on a day: (ordinal of the local day, subject)."""


DaysInRow = tuple[int, Sequence[int | None]]
"""Quantities of days in a row: the first day, and a quantity for each or None."""


class Days(Mapping[int, int]):
    """Quantities by day as they were recorded: runs of days in a row, of which a later one supersedes an earlier one.

    It costs nothing to make and finds the days of a period by slices; the runs mostly come month after month.
    """

    __slots__ = ("_runs", "_touching")

    def __init__(self, runs: Sequence[DaysInRow]) -> None:
        self._runs = runs
        self._touching: Touching | None = None

    def _among(self, start: int, end: int) -> Sequence[DaysInRow]:
        """The runs that may have days of a period."""
        if len(self._runs) < 2:
            return self._runs
        if self._touching is None:
            firsts, ends = zip(*[(first, first + len(found)) for first, found in self._runs], strict=True)
            self._touching = Touching(firsts, ends)
        return self._runs[self._touching.among(start, end)]

    def between(self, start: int, end: int) -> Sequence[int]:
        """The quantities of the days [start, end) that have one, in order."""
        touching = self._among(start, end)
        if len(touching) != 1:
            return list(self.during(start, end).values())
        first, quantities = touching[0]
        inside = quantities[max(start - first, 0) : max(end - first, 0)]
        return [one for one in inside if one is not None] if None in inside else inside  # type: ignore[return-value]

    def during(self, start: int, end: int) -> dict[int, int]:
        """The days [start, end) that have a quantity, in order, with it."""
        days = _laid(self._among(start, end))
        return {day: days[day] for day in range(start, end) if day in days}

    def items(self) -> ItemsView[int, int]:
        return _laid(self._runs).items()

    def __getitem__(self, day: int) -> int:
        return _laid(self._among(day, day + 1))[day]

    def __iter__(self) -> Iterator[int]:
        return iter(_laid(self._runs))

    def __len__(self) -> int:
        return len(_laid(self._runs))


def _laid(runs: Iterable[DaysInRow]) -> dict[int, int]:
    """Runs laid over each other."""
    days: dict[int, int] = {}
    for first, quantities in runs:
        days.update((day, one) for day, one in enumerate(quantities, first) if one is not None)
    return days


class DayCounts(msgspec.Struct, frozen=True):
    """What is known of one counter of one license.

    Shapes: `days` ordinal → quantity, days without a reading are absent; `distinct` for the spans that it was closed
    for; `reasons` the events it comes from, as (first day, last day, event).
    """

    days: Mapping[int, int] = {}
    distinct: Mapping[Span, int] = {}
    reasons: tuple[tuple[int, int, tuple[object, int]], ...] = ()


class Named(NamedTuple):
    """One subject as observed: what it was counted as, or why it was not."""

    subject: str
    counted_as: str
    excluded: str


def definition_digest(counting: Counting) -> str:
    """Names a definition by its content, so that a count says which rules it was made by."""
    return digest(msgspec.json.encode(counting), size=8).hex()


class Rules:
    """The folds and exclusions of a definition, ready to be asked often.

    Raises: Invalid when folds run in a circle on some day, or fold a domain into a subject.
    """

    def __init__(self, counting: Counting) -> None:
        self._folds: dict[str, list[tuple[Span, str]]] = defaultdict(list)
        self._exclusions: dict[str, list[tuple[Span, str]]] = defaultdict(list)
        for fold in counting.folds:
            if fold.alias.startswith("@") != fold.main.startswith("@"):
                raise Invalid(f"folding {fold.alias} into {fold.main} mixes a domain and a subject")
            self._folds[fold.alias].append((_days(fold.start, fold.end), fold.main))
        for exclusion in counting.exclusions:
            days = _days(exclusion.start, exclusion.end)
            self._exclusions[exclusion.subject.removeprefix("*")].append((days, exclusion.reason))
        self.empty = not self._folds and not self._exclusions
        for alias in self._folds:
            self._refuse_circle(alias, alias, (0, OPEN_END), ())

    def _refuse_circle(self, alias: str, at: str, days: Span, passed: tuple[str, ...]) -> None:
        """Follows every chain that holds on one and the same day."""
        for span, main in self._steps(at):
            both = intersection(days, span)
            if both is None:
                continue
            if main == alias or main in passed:
                raise Invalid(f"folding {alias} runs in a circle")
            self._refuse_circle(alias, main, both, (*passed, main))

    def _steps(self, subject: str) -> Iterator[tuple[Span, str]]:
        """What a subject may be folded into, and when: its own fold goes before that of its domain."""
        yield from self._folds.get(subject, ())
        domain = _domain(subject)
        if domain and domain != subject:
            for days, main in self._folds.get(domain, ()):
                yield days, subject.removesuffix(domain) + main

    def apply(self, ordinal: int, subject: str) -> Named:
        """What a subject observed on a day counts as: folded first, then perhaps excluded."""
        main = self._folded(ordinal, subject)
        for name in (main, _domain(main)):
            for (start, end), reason in self._exclusions.get(name, ()):
                if start <= ordinal < end:
                    return Named(subject, "", reason)
        return Named(subject, main, "")

    def _folded(self, ordinal: int, subject: str) -> str:
        while True:
            main = self._fold_once(ordinal, subject)
            if main == subject:
                return subject
            subject = main

    def _fold_once(self, ordinal: int, subject: str) -> str:
        for (start, end), main in self._steps(subject):
            if start <= ordinal < end:
                return main
        return subject


def _days(start: date | None, end: date | None) -> Span:
    return (start.toordinal() if start else 0, end.toordinal() if end else OPEN_END)


def _domain(subject: str) -> str:
    _, at, domain = subject.rpartition("@")
    return at + domain if at else ""


def counted(counting: Counting, observations: Iterable[Observation]) -> Iterable[Observation]:
    """The observations that count, each under the subject that it counts as."""
    rules = Rules(counting)
    if rules.empty:
        return observations
    mains = ((ordinal, rules.apply(ordinal, subject).counted_as) for ordinal, subject in observations)
    return ((ordinal, main) for ordinal, main in mains if main)


def window_start(counting: Counting, ordinal: int) -> int:
    """The first day that the count of a day looks at."""
    if counting.window == "month":
        return date.fromordinal(ordinal).replace(day=1).toordinal()
    return ordinal - counting.window + 1


def window_end(counting: Counting, ordinal: int) -> int:
    """The first day whose count no longer looks at a day."""
    return day_in_month(month_of(ordinal) + 1, 1) if counting.window == "month" else ordinal + counting.window


class Seen:
    """Who was seen on which days, each under the subject that it counts as, and so who is counted when.

    Shapes: observations in any order, repeated ones are one; those outside every window do not matter.
    """

    def __init__(self, counting: Counting, observations: Iterable[Observation]) -> None:
        found: dict[str, set[int]] = defaultdict(set)
        for ordinal, subject in counted(counting, observations):
            found[subject].add(ordinal)
        self._enough = counting.threshold_days
        self._days = {subject: sorted(days) for subject, days in found.items()}
        until = {ordinal: window_end(counting, ordinal) for ordinal in set().union(*found.values())}
        self._spans = {subject: list(_counted_spans(days, until, self._enough)) for subject, days in self._days.items()}

    def daily_counts(self, start: int, end: int) -> list[int]:
        """The count of every day of [start, end): different subjects seen on enough days of the day's window."""
        steps = [0] * (end - start + 1)
        for spans in self._spans.values():
            for first, last in spans:
                if first < end and last > start:
                    steps[max(first - start, 0)] += 1
                    steps[min(last, end) - start] -= 1
        return list(accumulate(steps[:-1]))

    def distinct(self, start: int, end: int) -> set[str]:
        """The subjects seen on at least `threshold_days` days of [start, end)."""
        return {
            subject
            for subject, days in self._days.items()
            if bisect_left(days, end) - bisect_left(days, start) >= self._enough
        }

    def counted(self, start: int, end: int) -> set[str]:
        """Who is in the count of at least one day of [start, end)."""
        return {
            subject
            for subject, spans in self._spans.items()
            if any(first < end and last > start for first, last in spans)
        }


def _counted_spans(days: Sequence[int], until: Mapping[int, int], enough: int) -> Iterator[Span]:
    """When a subject seen on ascending days is counted: from a day that is enough while a window holds enough.

    Shapes: `until` says of a day when the first window begins that no longer holds it.
    """
    begin = end = 0
    for latest, earliest in zip(days[enough - 1 :], days, strict=False):
        left = until[earliest]
        if latest >= left:
            continue
        if latest > end:
            if end:
                yield begin, end
            begin = latest
        end = left
    if end:
        yield begin, end


def named(counting: Counting, observations: Iterable[Observation]) -> list[Named]:
    """Every subject observed, once for each answer: what it was counted as, or why it was not.

    Shapes: observations from the first day of the first window to the last day asked about; a subject that no window
    saw on enough days was not counted, and is told so.
    """
    seen = sorted(set(observations))
    if not seen:
        return []
    rules, told = Rules(counting), dict[Named, None]()
    enough = Seen(counting, seen).counted(seen[0][0], seen[-1][0] + 1) if counting.threshold_days > 1 else None
    for ordinal, subject in seen:
        one = rules.apply(ordinal, subject)
        if one.counted_as and enough is not None and one.counted_as not in enough:
            one = Named(subject, "", f"seen on fewer than {counting.threshold_days} days")
        told[one] = None
    return list(told)


def deciding_day(counting: Counting, counts: DayCounts, start: int, end: int) -> int | None:
    """The day of a period whose count was billed: the first of the peak, the last read, the snapshot's.

    Shapes: None for measures that all days make together, and where nothing was read.
    """
    read = [ordinal for ordinal in range(start, end) if ordinal in counts.days]
    if not read:
        return None
    if counting.measure == "peak":
        return max(read, key=lambda ordinal: (counts.days[ordinal], -ordinal))
    if counting.measure == "last":
        return read[-1]
    return _snapshot_day(counting.snapshot_day, counts.days, start, end) if counting.measure == "snapshot" else None


def measure(counting: Counting, counts: DayCounts, start: int, end: int) -> Fraction | None:
    """The quantity of a period under the definition's measure, or None where nothing was read.

    Units: users (an average may be a fraction). `sum` adds the readings; `average` divides it by the days read.
    """
    return measures(counting, counts, [(start, end)])[0]


def measures(counting: Counting, counts: DayCounts, periods: Sequence[Span]) -> Sequence[Fraction | None]:
    """The quantities of many periods, each by itself."""
    if counting.measure == "distinct":
        wholes = (counts.distinct.get(period) for period in periods)
        return [None if whole is None else Fraction(whole) for whole in wholes]
    if counting.measure == "snapshot":
        return [_snapshot(counting.snapshot_day, counts, *period) for period in periods]
    quantity, days = _OF_READINGS[counting.measure], counts.days
    return [quantity(read) if (read := _between(days, *period)) else None for period in periods]


def _between(days: Mapping[int, int], start: int, end: int) -> Sequence[int]:
    """The quantities of the days [start, end) that have one, in order."""
    if isinstance(days, Days):
        return days.between(start, end)
    return [days[ordinal] for ordinal in range(start, end) if ordinal in days]


@lru_cache(maxsize=4096)
def units(number: int) -> Fraction:
    """A whole quantity; the same few come again and again."""
    return Fraction(number)


_OF_READINGS: Mapping[str, Callable[[Sequence[int]], Fraction]] = {
    "peak": lambda readings: units(max(readings)),
    "average": lambda readings: Fraction(sum(readings), len(readings)),
    "sum": lambda readings: Fraction(sum(readings)),
    "last": lambda readings: Fraction(readings[-1]),
    "declared": lambda readings: Fraction(readings[-1]),
}


def levels(counts: DayCounts, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The days of a period on which something was read, and what: it holds until the next."""
    days = _during(counts.days, start, end)
    return ((ordinal, days[ordinal]) for ordinal in range(start, end) if ordinal in days)


def _during(days: Mapping[int, int], start: int, end: int) -> Mapping[int, int]:
    """The days of a period, perhaps among others: runs are laid over each other once, not for each day."""
    return days.during(start, end) if isinstance(days, Days) else days


def _snapshot(day_of_month: int, counts: DayCounts, start: int, end: int) -> Fraction | None:
    days = _during(counts.days, start, end)
    on = _snapshot_day(day_of_month, days, start, end)
    return None if on is None else Fraction(days[on])


def _snapshot_day(day_of_month: int, days: Mapping[int, int], start: int, end: int) -> int | None:
    return next((ordinal for ordinal in _snapshot_days(day_of_month, start, end) if ordinal in days), None)


@lru_cache(maxsize=4096)
def _snapshot_days(day_of_month: int, start: int, end: int) -> Sequence[int]:
    """The days of a period that are this day of a month, or its last where it has fewer."""
    days = map(date.fromordinal, range(start, end))
    return [on.toordinal() for on in days if on.day == min(day_of_month, monthrange(on.year, on.month)[1])]
