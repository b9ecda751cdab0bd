"""Issues documents: events, numbers, lines and coverage in one transaction, or nothing.

The order is the design's: heads ascending, then the check that nobody billed these buckets meanwhile, then rows that
need no number, then the series (in buckets above all others), then the events. Source: ADR-0008, ADR-0012.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from struct import Struct
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec

from domain.account import Account
from domain.document import Draft
from domain.errors import IntegrityError, TallyError
from domain.events import decode
from domain.events.documents import CreditNoteIssued, InvoiceIssued, Line, NumbersTaken
from domain.identity import Kind, bucket_of, make_id, series_bucket
from domain.ports import Append, NewEvent
from jobs.fields import Fields, dates, field, sent, smallints, uuids, words

LINE_COLUMNS = "billed_line (bucket, license, document, line, generation, payer, currency, body)"

_ENCODER = msgspec.json.Encoder()
_PLACE = Struct(">hihi16si16siiiqi16s")
"""A line's fixed columns, each behind its length, behind the number of columns."""

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


class Overtaken(TallyError):
    """Somebody else billed these buckets since they were read: read again."""


class Issue(NamedTuple):
    """One document to be issued."""

    payer: Account
    currency: str
    draft: Draft

    @property
    def is_credit(self) -> bool:
        """A document that gives more back than it charges is a credit note."""
        return self.draft.gross < 0

    @property
    def series(self) -> str:
        opened = self.payer
        return opened.credit_series if self.is_credit else opened.series


class Context(NamedTuple):
    """What all documents of a transaction share."""

    run: str
    through: date
    issued_on: date
    cut: Mapping[int, int]
    generation: Mapping[int, int]


class _Placed(NamedTuple):
    """A document with its name and kind, and its lines as they are stored, in the event and beside it."""

    document: UUID
    issue: Issue
    kind: Kind
    bodies: tuple[bytes, ...]


def issue(append: Append, issues: Sequence[Issue], context: Context) -> int:
    """Issues documents inside an appending transaction; how many.

    Raises: Overtaken when the buckets were billed since the snapshot.
    """
    if not issues:
        return 0
    buckets = Counter(bucket_of(one.payer.id) for one in issues)
    append.lock(buckets)
    _take_generation(append, buckets, context.generation)
    placed = [_placed(one, context) for one in issues]
    append.packed(LINE_COLUMNS, _line_rows(placed, context))
    _cover(append, issues)
    series = [one.series for one in issues]
    numbers = _numbers(append, series)
    events = [_event(one, name, next(numbers[name]), context) for one, name in zip(placed, series, strict=True)]
    append.append([(one.document, 1, event) for one, event in zip(placed, events, strict=True)])
    return len(placed)


def make_document_id(one: Issue, kind: Kind, context: Context) -> UUID:
    """Names a document by its payer and the generation of billing that makes it: it can be made once."""
    bucket = bucket_of(one.payer.id)
    return make_id(kind, bucket, context.issued_on, one.payer.id, one.currency, context.generation[bucket] + 1)


def _take_generation(append: Append, buckets: Mapping[int, int], seen: Mapping[int, int]) -> None:
    wanted = sorted(buckets)
    taken = append.query(
        "UPDATE billing_generation g SET generation = g.generation + 1 "
        "FROM unnest(%b::smallint[], %b::bigint[]) AS s(bucket, generation) "
        "WHERE g.bucket = s.bucket AND g.generation = s.generation RETURNING g.bucket",
        [wanted, [seen[bucket] for bucket in wanted]],
    )
    if len(taken) != len(wanted):
        raise Overtaken


def _placed(one: Issue, context: Context) -> _Placed:
    kind = Kind.CREDIT_NOTE if one.is_credit else Kind.INVOICE
    return _Placed(make_document_id(one, kind, context), one, kind, tuple(map(_ENCODER.encode, one.draft.lines)))


def _line_rows(placed: Sequence[_Placed], context: Context) -> bytes:
    rows: list[bytes] = []
    for document, one, _, bodies in placed:
        bucket, of, payer = bucket_of(document), document.bytes, one.payer.id.bytes
        generation, currency = context.generation[bucket] + 1, field(one.currency.encode())
        for line, body in zip(one.draft.lines, bodies, strict=True):
            place = (2, bucket, 16, line.license.bytes, 16, of, 4, line.number, 8, generation, 16, payer)
            rows += (_PLACE.pack(8, *place), currency, field(body))
    return b"".join(rows)


def _cover(append: Append, issues: Sequence[Issue]) -> None:
    """Writes which days are taken back and which are covered now; the database refuses to cover a day twice."""
    rounds = _rounds(issues)
    for kind, statement in (("reversal", UNCOVER), ("charge", COVER)):
        for each_once in rounds.get(kind, {}).values():
            columns = zip(COVERING_TYPES, zip(*each_once, strict=True), strict=True)
            append.query(statement, [sent(of, pack(column)) for (of, pack), column in columns])


def covering(line: Line, payer: UUID, currency: str) -> Covering:
    """The days that a line is about."""
    start, end = ANY_DAY if line.occurrence else (line.start, line.end)
    return bucket_of(line.license), line.license, line.component, payer, currency, line.occurrence, start, end


def _rounds(issues: Iterable[Issue]) -> dict[str, dict[int, list[Covering]]]:
    """What lines cover, by their kind, sorted out so that each stream comes once in a round: mostly one is enough.

    A stream has one payer and one currency, so that two documents never share one.
    """
    rounds: dict[str, dict[int, list[Covering]]] = {}
    for one in issues:
        seen: dict[tuple[str, int, str, str], int] = {}
        payer, lines = one.payer.id, one.draft.lines
        for line in lines:
            number = 0
            if len(lines) > 1:
                stream = (line.kind, line.license.int, line.component, line.occurrence)
                seen[stream] = number = seen.get(stream, -1) + 1
            rounds.setdefault(line.kind, {}).setdefault(number, []).append(covering(line, payer, one.currency))
    return rounds


def _numbers(append: Append, series: Sequence[str]) -> dict[str, Iterator[int]]:
    """Takes a range of each series; the numbers are read under the lock of the series' head, so there are no gaps."""
    wanted = Counter(series)
    by_bucket: dict[int, list[str]] = defaultdict(list)
    for name in sorted(wanted):
        by_bucket[series_bucket(name)].append(name)
    append.lock({bucket: len(names) for bucket, names in by_bucket.items()})
    taken, events = {}, list[NewEvent]()
    for bucket, names in sorted(by_bucket.items()):
        for name in names:
            stream = make_id(Kind.SERIES, bucket, None, name)
            version, last = _last_number(append, stream)
            events.append((stream, version + 1, NumbersTaken(first=last + 1, last=last + wanted[name])))
            taken[name] = iter(range(last + 1, last + wanted[name] + 1))
    append.append(events)
    return taken


def _last_number(append: Append, stream: UUID) -> tuple[int, int]:
    rows = append.query(
        "SELECT version, topic, state FROM event WHERE bucket = %s AND stream = %s ORDER BY version DESC LIMIT 1",
        [bucket_of(stream), stream],
    )
    if not rows:
        return 0, 0
    event = decode(rows[0][1], rows[0][2])
    if not isinstance(event, NumbersTaken):
        raise IntegrityError(f"series {stream} ends with {event}")
    return rows[0][0], event.last


def _event(placed: _Placed, series: str, number: int, context: Context) -> InvoiceIssued:
    """The event to be stored, with its lines encoded already."""
    one = placed.issue
    issued = CreditNoteIssued if placed.kind == Kind.CREDIT_NOTE else InvoiceIssued
    return issued(
        document=f"{series}-{number:06d}",
        series=series,
        account=one.payer.id,
        party=one.payer.party,
        currency=one.currency,
        issued_on=context.issued_on,
        due_on=context.issued_on + timedelta(days=one.payer.terms_days),
        through=context.through,
        lines=cast("tuple[Line, ...]", tuple(map(msgspec.Raw, placed.bodies))),
        taxes=one.draft.taxes,
        net=one.draft.net,
        tax=one.draft.tax,
        gross=one.draft.gross,
        cut=context.cut.get(bucket_of(one.payer.id), 0),
        run=context.run,
        remittance=one.payer.remittance,
    )
