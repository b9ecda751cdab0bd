"""The rhythm of billing: borders computed from an anchor, never from the last border, so that they cannot drift.

31 January → 28 February → 31 March. One class serves every cadence of months (monthly, quarterly, yearly, any n) and
of days (weekly, 30 days). Calendar billing is the same grid with the anchor on the first.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

import msgspec

from domain.period import Span


class Cadence(msgspec.Struct, frozen=True, cache_hash=True, order=True):
    """How often a component is billed: every n months or every n days, exactly one of them.

    Shapes: `days` = 0 for month cadences, `months` = 0 for day cadences.
    """

    months: int = 0
    days: int = 0

    def __str__(self) -> str:
        return f"{self.days}d" if self.days else f"{self.months}m"


MONTHLY = Cadence(months=1)
QUARTERLY = Cadence(months=3)
YEARLY = Cadence(months=12)


@lru_cache(maxsize=65536)
def day_in_month(month: int, cycle_day: int) -> int:
    """The ordinal of a cycle day in a month, clamped to the month's end.

    Shapes: `month` counts from year 0 (year * 12 + month - 1); `cycle_day` 1 to 31.
    """
    year, index = divmod(month, 12)
    return date(year, index + 1, min(cycle_day, monthrange(year, index + 1)[1])).toordinal()


class Grid(msgspec.Struct, frozen=True):
    """The borders b(k) of one component, for every whole k.

    Shapes: `cycle_day` 1 to 31; `origin` is the ordinal that the count of periods starts from: its month for month
    cadences (the cycle day in that month may lie before it), the day itself for day cadences.
    """

    cadence: Cadence
    origin: int
    cycle_day: int

    def border(self, k: int) -> int:
        """The first day of period k."""
        if self.cadence.days:
            return self.origin + k * self.cadence.days
        return day_in_month(month_of(self.origin) + k * self.cadence.months, self.cycle_day)

    def index(self, ordinal: int) -> int:
        """The k of the period that holds a day."""
        if self.cadence.days:
            return (ordinal - self.origin) // self.cadence.days
        k = (month_of(ordinal) - month_of(self.origin)) // self.cadence.months
        return k if self.border(k) <= ordinal else k - 1

    def period(self, ordinal: int) -> Span:
        """The period that holds a day."""
        k = self.index(ordinal)
        return self.border(k), self.border(k + 1)

    def periods(self, start: int, end: int) -> Iterator[Span]:
        """The whole periods that touch [start, end), in order."""
        k = self.index(start)
        border = self.border(k)
        while border < end:
            k += 1
            following = self.border(k)
            yield border, following
            border = following

    def back(self, ordinal: int) -> int:
        """One cadence before a day, on the same day of the month or its last, whatever the cycle day."""
        if self.cadence.days:
            return ordinal - self.cadence.days
        return day_in_month(month_of(ordinal) - self.cadence.months, date.fromordinal(ordinal).day)


@lru_cache(maxsize=65536)
def month_of(ordinal: int) -> int:
    """The month of a day, counted from year 0."""
    found = date.fromordinal(ordinal)
    return found.year * 12 + found.month - 1


def position(ordinal: int, month_days: int) -> int:
    """Where a day stands on the axis that money is divided on.

    Units: days; with `month_days` = 0 as they are, else every month counts as that many days (`fixed 30`).
    """
    if not month_days:
        return ordinal
    found = date.fromordinal(ordinal)
    return month_days * (12 * found.year + found.month - 1) + found.day


def axis(start: int, end: int, month_days: int) -> int:
    """The `month_days` by which the days of a base are divided.

    Where months count 30 days, a 31st stands where the next month begins. A base that is nothing but a 31st would have
    no length, though it has a price: it is divided by days as they are.
    """
    return month_days if month_days and position(start, month_days) < position(end, month_days) else 0
