"""Covers the days of streams: the database refuses to cover a day of one twice, whoever asks. Source: ADR-0020."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any
from uuid import UUID

from domain.billing import Issue
from domain.events.documents import Line
from domain.identity import bucket_of
from domain.ports import Append
from jobs.fields import Fields, dates, sent, smallints, uuids, words

COVER = (
    "SELECT cover(%b::smallint[], %b::uuid[], %b::text[], %b::uuid[], %b::text[], %b::text[], %b::date[], %b::date[])"
)
UNCOVER = COVER.replace("cover(", "uncover(")
ANY_DAY = (date(2000, 1, 1), date(2000, 1, 2))
"""What an occurrence of an atomic charge covers: it has no days to share."""

Covering = tuple[int, UUID, str, UUID, str, str, date, date]
"""Some days of a stream: bucket, license, component, payer, currency, occurrence, start, end."""
COVERING_TYPES: tuple[tuple[str, Callable[[Iterable[Any]], Fields]], ...] = (
    ("int2", smallints), ("uuid", uuids), ("text", words), ("uuid", uuids), ("text", words), ("text", words),
    ("date", dates), ("date", dates),
)  # fmt: skip


def cover(append: Append, issues: Iterable[Issue]) -> None:
    """Writes which days the documents take back, then which they cover."""
    rounds = _rounds(issues)
    for kind, statement in (("reversal", UNCOVER), ("charge", COVER)):
        for each_once in rounds.get(kind, {}).values():
            columns = zip(COVERING_TYPES, zip(*each_once, strict=True), strict=True)
            append.query(statement, [sent(of, pack(column)) for (of, pack), column in columns])


def _rounds(issues: Iterable[Issue]) -> dict[str, dict[int, list[Covering]]]:
    """What lines cover, by their kind, sorted out so that each stream comes once in a round: mostly one is enough.

    A stream has one payer and one currency, so that two documents never share one.
    """
    rounds: dict[str, dict[int, list[Covering]]] = {}
    for one in issues:
        payer, currency, lines = one.payer.id, one.currency, one.draft.lines
        seen: dict[tuple[str, int, str, str], int] = {}
        for line in lines:
            number = 0
            if len(lines) > 1:
                stream = (line.kind, line.license.int, line.component, line.occurrence)
                seen[stream] = number = seen.get(stream, -1) + 1
            rounds.setdefault(line.kind, {}).setdefault(number, []).append(_covering(line, payer, currency))
    return rounds


def _covering(line: Line, payer: UUID, currency: str) -> Covering:
    start, end = ANY_DAY if line.occurrence else (line.start, line.end)
    return bucket_of(line.license), line.license, line.component, payer, currency, line.occurrence, start, end
