"""Days in a row: half-open intervals [start, end) of local dates, and the few set operations that billing needs.

Shapes: a `Span` is a pair of ordinals (days since 0001-01-01, as `date.toordinal`); a list of spans is sorted and
disjoint. Ordinals rather than dates because a run makes millions of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import accumulate

Span = tuple[int, int]

OPEN_END = date.max.toordinal()
"""The end of what has no end yet."""


def span(start: date, end: date | None) -> Span:
    """The days from `start` to the day before `end`; no end is open."""
    return start.toordinal(), OPEN_END if end is None else end.toordinal()


def intersection(one: Span, other: Span) -> Span | None:
    """The days that are in both, or None."""
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None


def union(spans: Iterable[Span]) -> list[Span]:
    """The days that are in any of them, sorted, neighbours joined, empty spans gone."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def subtract(spans: Sequence[Span], away: Sequence[Span]) -> list[Span]:
    """The days of `spans` that are not in `away`.

    Shapes: both sorted and disjoint; neighbouring spans stay apart, so that every piece keeps its origin.
    """
    if not away:
        return list(spans)
    left: list[Span] = []
    for start, end in spans:
        for gone_start, gone_end in away:
            if gone_end <= start or gone_start >= end:
                continue
            if gone_start > start:
                left.append((start, gone_start))
            start = max(start, gone_end)
        if start < end:
            left.append((start, end))
    return left


def common(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """The days that are in both, sorted, pieces kept apart."""
    found = [intersection(one, other) for one in spans for other in others]
    return sorted(piece for piece in found if piece)


class Touching:
    """Finds which of many spans can touch some days: by two searches, where they mostly come one after the other.

    Up to a span all others have ended, from one on all have yet to begin; what lies between may touch.
    """

    __slots__ = ("_begun", "_ended")

    def __init__(self, starts: Sequence[int], ends: Sequence[int]) -> None:
        self._ended = list(accumulate(ends, max))
        self._begun = list(accumulate(reversed(starts), min))[::-1]

    def among(self, start: int, end: int) -> slice:
        """Where those stand that may touch [start, end); all others do not."""
        return slice(bisect_right(self._ended, start), bisect_left(self._begun, end))


def day(ordinal: int) -> date:
    """The date of an ordinal."""
    return date.fromordinal(ordinal)
