"""Where one license stands: its history, who pays, its counts, the lines issued for it, and the names that it goes by.

What is owed and billed is worked out without names, so that it can be shared; a standing puts them on, last of all.
Source: ADR-0020, ADR-0038.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import msgspec

from domain.charge import Charge, uncounted
from domain.counting import DayCounts
from domain.coverage import Coverage, Gist
from domain.events.documents import Line, Ref
from domain.history import LICENSE, OWNER, History
from domain.terms import BilledTo, Stream, refs_of


class Standing(msgspec.Struct, frozen=True):
    """All that is known of one license."""

    history: History
    account: BilledTo
    counts: Mapping[str, DayCounts]
    lines: Sequence[tuple[Ref, Stream, Gist | Line]]

    def counted(self, counter: str) -> DayCounts:
        """What is known of a counter."""
        return self.counts.get(counter) or uncounted(counter)

    def coverage(self) -> Coverage:
        """The lines as they stand, without names."""
        return Coverage(self._nameless_lines() if self.lines else ())

    def _nameless_lines(self) -> Iterator[tuple[Ref, Stream, Gist | Line]]:
        """Lines that come one after the other are mostly of one stream."""
        for stream, lines in groupby(self.lines, itemgetter(1)):
            nameless = self._nameless(stream)
            for ref, _, line in lines:
                yield ref, nameless, line

    def _nameless(self, stream: Stream) -> Stream:
        _, component, payer, currency = stream
        return Stream(LICENSE, component, OWNER if payer == self.history.account else payer, currency)

    def payer(self, stream: Stream) -> UUID:
        """Who pays a stream."""
        return self.history.account if stream.payer is OWNER else stream.payer

    def reasons(self, charge: Charge) -> tuple[Ref, ...]:
        """The events that a charge comes from, by name."""
        counted = [
            ref
            for counter, start, end in charge.counted
            for first, last, ref in self.counted(counter).reasons
            if first < end and last >= start
        ]
        return (*refs_of(self.history, charge.reasons), *counted)  # type: ignore[arg-type]
