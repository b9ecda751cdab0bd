"""What is billed: the lines issued so far, folded into the days still covered and what is left of each line.

A reversal is the mirror of a charge: it takes days back and remembers what it gave for them, so that days which come
back come back at that. Adjustments change money, never days. Most lines stay as they are for ever, so that only what is
asked of every line is read of it. Source: ADR-0009, ADR-0041.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from typing import Literal

import msgspec

from domain.charge import key, part
from domain.errors import IntegrityError
from domain.events.documents import Line, Ref
from domain.money import share
from domain.period import Span, subtract, union
from domain.terms import Stream


class Gist(msgspec.Struct, gc=False):
    """What is asked of every line; the rest is read when it is taken back.

    Shapes: the fields of a `Line`; `body` is the whole line as it is stored.
    """

    number: int
    kind: Literal["charge", "reversal", "adjustment"]
    component: str
    start: date
    end: date
    amount: int
    tax: int
    price: str
    base_start: date
    base_end: date
    quantity: str = "1"
    month_days: int = 0
    occurrence: str = ""
    reversible: bool = True
    link: Ref | None = None
    rule: str = ""
    body: bytes = b""


_GIST, _LINE = msgspec.json.Decoder(Gist), msgspec.json.Decoder(Line)


def gist(body: bytes) -> Gist:
    """The gist of a line as it is stored."""
    found = _GIST.decode(body)
    found.body = body
    return found


class Billed(msgspec.Struct, eq=False):
    """A line as it stands: the days that it still covers (a reversal: still takes back), and what is left of it.

    Units: `left` and `tax_left` in minor units, with the sign of the line.
    """

    ref: Ref
    line: Gist | Line
    stream: Stream
    start: int
    end: int
    spans: list[Span]
    left: int
    tax_left: int

    @property
    def whole(self) -> Line:
        """The line with all that was printed."""
        return self.line if isinstance(self.line, Line) else _LINE.decode(self.line.body)

    @property
    def base(self) -> Span:
        """The days that its price is for."""
        return self.line.base_start.toordinal(), self.line.base_end.toordinal()

    @property
    def key(self) -> str:
        """What makes its days the same as owed ones."""
        return key(self.line.price, self.line.quantity, self.line.rule)

    @property
    def price(self) -> Fraction:
        """The exact price of its whole base."""
        return Fraction(self.line.price)

    def amount_of(self, days: Span) -> int:
        """What is to be taken back for some of its days: their share of its own price, at most what is left of it."""
        if self.line.occurrence:
            return self.left
        due = part(self.price, *self.base, self.line.month_days, *days)
        return _capped(due if self.line.kind == "charge" else -due, self.left)

    def tax_of(self, days: Span) -> int:
        """The line's tax on some of its days, shared over its own days, at most what is left of it."""
        if self.line.occurrence or self.start == self.end:
            return self.tax_left
        whole = self.end - self.start
        return _capped(share(Fraction(self.line.tax), days[0] - self.start, days[1] - self.start, whole), self.tax_left)

    def take(self, days: Span, amount: int, tax: int) -> None:
        """Books that another line took some of its days and some of its money."""
        self.spans = subtract(self.spans, [days])
        self.left += amount
        self.tax_left += tax


def _capped(amount: int, left: int) -> int:
    """An amount on the side of zero that `left` is on, and no further from zero than it."""
    return max(min(amount, left), 0) if left >= 0 else min(max(amount, left), 0)


def _length(spans: Iterable[Span]) -> int:
    return sum(end - start for start, end in spans)


def _billed(ref: Ref, line: Gist | Line, stream: Stream) -> Billed:
    """A line that nothing was done to yet."""
    start, end = line.start.toordinal(), line.end.toordinal()
    return Billed(ref, line, stream, start, end, [(start, end)], line.amount, line.tax)


class Coverage:
    """All lines of one license as they stand.

    Shapes: `charges` and `reversals` by their reference, in the order in which they were issued.
    """

    def __init__(self, lines: Iterable[tuple[Ref, Stream, Gist | Line]] = ()) -> None:
        self.charges: dict[Ref, Billed] = {}
        self.reversals: dict[Ref, Billed] = {}
        for ref, stream, line in lines:
            self.add(ref, stream, line)

    def __bool__(self) -> bool:
        """Whether anything was ever billed."""
        return bool(self.charges)

    def add(self, ref: Ref, stream: Stream, line: Gist | Line) -> None:
        """Takes one issued line in.

        Raises: IntegrityError when it names a line that was never issued.
        """
        billed = _billed(ref, line, stream)
        if line.kind == "charge":
            self.charges[ref] = billed
            if line.link:
                self._linked(self.reversals, line).take((billed.start, billed.end), line.amount, line.tax)
        elif line.kind == "reversal":
            self.reversals[ref] = billed
            self._linked(self.charges, line).take((billed.start, billed.end), line.amount, line.tax)
        else:
            self._linked(self.charges, line).take((0, 0), line.amount, line.tax)

    def _linked(self, among: dict[Ref, Billed], line: Gist | Line) -> Billed:
        try:
            return among[line.link]  # type: ignore[index]
        except KeyError:
            raise IntegrityError(f"line {line.number} names a line that is not there: {line.link}") from None

    def live(self) -> list[Billed]:
        """The charges that still cover days."""
        return [billed for billed in self.charges.values() if billed.spans] if self.charges else []

    def given_back(self) -> list[Billed]:
        """The reversals whose days have not come back, the latest first."""
        return [billed for billed in reversed(self.reversals.values()) if billed.spans]

    def covered_twice(self) -> list[Stream]:
        """The streams of which a day is covered by two lines: there must be none."""
        held: dict[Stream, list[Span]] = defaultdict(list)
        for live in self.live():
            if not live.line.occurrence:
                held[live.stream].extend(live.spans)
        return [stream for stream, days in held.items() if _length(days) != _length(union(days))]

    def taken_too_far(self) -> list[Billed]:
        """The lines that more was taken back of than they were: there must be none."""
        lines = (*self.charges.values(), *self.reversals.values())
        return [line for line in lines if line.left * (1 if line.line.amount > 0 else -1) < 0]

    def horizon(self) -> int:
        """The first day that nothing covers any more."""
        return max([billed.spans[-1][1] for billed in self.live()], default=0) if self.charges else 0
