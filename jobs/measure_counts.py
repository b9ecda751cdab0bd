"""Answers "what would we be counted at?": any definition, from what is stored or straight from a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.counting import (
    DayCounts,
    Named,
    Observation,
    Seen,
    measure,
    named,
    window_start,
)
from domain.errors import NotFound
from domain.grid import day_in_month
from domain.package_version import Counting
from jobs.count_rows import Read, Row


class Measured(NamedTuple):
    """A measured month.

    Shapes: `value` None when nothing was read; `total` and `days` give an average exactly.
    """

    value: Fraction | None
    total: int
    days: int
    daily: dict[int, int]


def month_span(month: int) -> tuple[int, int]:
    """The days of a month, counted from year 0."""
    return day_in_month(month, 1), day_in_month(month + 1, 1)


def of_observations(counting: Counting, seen: Sequence[Observation], month: int) -> Measured:
    """Measures a month of raw observations."""
    start, end = month_span(month)
    who = Seen(counting, seen)
    daily = dict(enumerate(who.daily_counts(start, end), start=start))
    whole = len(who.distinct(start, end))
    return of_days(counting, DayCounts(daily, {(start, end): whole}), month)


def of_days(counting: Counting, counts: DayCounts, month: int) -> Measured:
    """Measures a month of daily quantities."""
    start, end = month_span(month)
    daily = {at: counts.days[at] for at in range(start, end) if at in counts.days}
    return Measured(measure(counting, counts, start, end), sum(daily.values()), len(daily), daily)


def of_rows(counting: Counting, rows: Iterable[Row], license: str, zone: str, month: int) -> Measured:
    """Measures a month straight from a file's rows; nothing need exist.

    Raises: NotFound when the file has nothing of this license and counter.
    """
    readings, seen = _known_by(rows, counting, license, zone, month)
    return of_days(counting, DayCounts(readings), month) if readings else of_observations(counting, seen, month)


def names_of_rows(counting: Counting, rows: Iterable[Row], license: str, zone: str, month: int) -> list[Named]:
    """Everybody observed for a month, straight from a file's rows: what they were counted as, or why not.

    Raises: NotFound when the file has nothing of this license and counter.
    """
    return named(counting, _known_by(rows, counting, license, zone, month)[1])


def _known_by(
    rows: Iterable[Row], counting: Counting, license: str, zone: str, month: int
) -> tuple[dict[int, int], list[Observation]]:
    """A license's readings in a file, the last of each day, and the observations that a month's windows look at."""
    start, end = month_span(month)
    earliest, local = window_start(counting, start), ZoneInfo(zone)
    readings: dict[int, int] = {}
    seen: set[Observation] = set()
    mentioned = False
    for row in rows:
        if row.license != license or row.counter != counting.counter:
            continue
        mentioned = True
        if isinstance(row, Read):
            readings[row.day] = row.quantity
        elif earliest <= (at := row.at.astimezone(local).toordinal()) < end:
            seen.add((at, row.subject))
    if not mentioned:
        raise NotFound(f"the file has nothing of license {license}, counter {counting.counter}")
    return readings, list(seen)
