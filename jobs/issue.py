"""Issues documents: events, numbers, lines and coverage in one transaction, or nothing.

What can be made without a number is made before anything is locked. Then the order is the design's: heads ascending,
the check that nobody billed these buckets meanwhile, rows that need no number, the series (in buckets above all
others), the events, the register. Source: ADR-0008, ADR-0012, ADR-0037.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from struct import Struct
from typing import NamedTuple, cast
from uuid import UUID

import msgspec

from domain.billing import Issue
from domain.errors import IntegrityError, TallyError
from domain.events import decode
from domain.events.documents import CreditNoteIssued, InvoiceIssued, Line, NumbersTaken
from domain.identity import Kind, bucket_of, make_id, series_bucket
from domain.ports import Append, NewEvent
from jobs.cover import cover
from jobs.fields import field, word
from jobs.register import Entered, enter

LINE_COLUMNS = "billed_line (bucket, license, document, line, generation, payer, currency, body)"

_ENCODER = msgspec.json.Encoder()
_PLACE = Struct(">hihi16si16siiiqi16s")
"""A line's fixed columns, each behind its length, behind the number of columns."""


class Overtaken(TallyError):
    """Somebody else billed these buckets since they were read: read again."""


class Context(NamedTuple):
    """What all documents of a transaction share."""

    run: str
    through: date
    issued_on: date
    cut: Mapping[int, int]
    generation: Mapping[int, int]


class _Made(msgspec.Struct, frozen=True):
    """A document but for its number; its lines as they are stored, in the event and beside it."""

    bucket: int
    document: UUID
    issued: type[InvoiceIssued]
    series: str
    issue: Issue
    bodies: Sequence[bytes]


def issue(append: Append, issues: Sequence[Issue], context: Context) -> int:
    """Issues documents inside an appending transaction; how many.

    Raises: Overtaken when the buckets were billed since the snapshot.
    """
    if not issues:
        return 0
    made = [_made(one, context) for one in issues]
    buckets = Counter([one.bucket for one in made])
    append.lock(buckets)
    _take_generation(append, buckets, context.generation)
    append.packed(LINE_COLUMNS, _line_rows(made, context))
    cover(append, issues)
    numbers = _numbers(append, Counter([one.series for one in made]))
    events = [_event(one, next(numbers[one.series]), context) for one in made]
    first = append.append([(one.document, 1, event) for one, event in zip(made, events, strict=True)])
    enter(append, [Entered(one.bucket, one.document, event) for one, event in zip(made, events, strict=True)], first)
    return len(made)


def _made(one: Issue, context: Context) -> _Made:
    """Names a document by its payer and the generation of billing that makes it, so that it can be made once."""
    payer = one.payer
    bucket = bucket_of(payer.id)
    kind, issued, series = Kind.INVOICE, InvoiceIssued, payer.series
    if one.is_credit:
        kind, issued, series = Kind.CREDIT_NOTE, CreditNoteIssued, payer.credit_series
    document = make_id(kind, bucket, context.issued_on, payer.id, one.currency, context.generation[bucket] + 1)
    return _Made(bucket, document, issued, series, one, [_ENCODER.encode(line) for line in one.draft.lines])


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


def _line_rows(made: Sequence[_Made], context: Context) -> bytes:
    rows: list[bytes] = []
    for one in made:
        generation, currency = context.generation[one.bucket] + 1, word(one.issue.currency)
        of, by = one.document.bytes, one.issue.payer.id.bytes
        for line, body in zip(one.issue.draft.lines, one.bodies, strict=True):
            place = _PLACE.pack(8, 2, one.bucket, 16, line.license.bytes, 16, of, 4, line.number, 8, generation, 16, by)
            rows += (place, currency, field(body))
    return b"".join(rows)


def _numbers(append: Append, wanted: Mapping[str, int]) -> dict[str, Iterator[int]]:
    """Takes a range of each series; the numbers are read under the lock of the series' head, so there are no gaps."""
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


def _event(made: _Made, number: int, context: Context) -> InvoiceIssued:
    """The event to be stored, with its lines encoded already."""
    payer, draft = made.issue.payer, made.issue.draft
    return made.issued(
        document=f"{made.series}-{number:06d}",
        series=made.series,
        account=payer.id,
        party=payer.party,
        currency=made.issue.currency,
        issued_on=context.issued_on,
        due_on=_due_on(context.issued_on, payer.terms_days),
        through=context.through,
        lines=cast("tuple[Line, ...]", tuple([msgspec.Raw(body) for body in made.bodies])),
        taxes=draft.taxes,
        net=draft.net,
        tax=draft.tax,
        gross=draft.gross,
        cut=context.cut.get(made.bucket, 0),
        run=context.run,
        remittance=payer.remittance,
    )


@lru_cache
def _due_on(issued_on: date, terms_days: int) -> date:
    return issued_on + timedelta(days=terms_days)
