"""Where a number comes from: a line of a document down to its events, rule, price version and counted names."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from domain.charge import is_by_day, part
from domain.counted_users import counts_of, day_counts
from domain.counting import Named, deciding_day, named, window_start
from domain.errors import NotFound
from domain.events import decode
from domain.events.counted_users import CountEvent, CountsClosed
from domain.events.documents import InvoiceIssued, Line, Ref
from domain.grid import axis, position
from domain.identity import bucket_of
from domain.money import LONGEST, exponent, rounded, scale, written
from domain.price import in_words
from domain.terms import Packages
from jobs.observed import observations


def document(connection: psycopg.Connection, number: str) -> tuple[UUID, InvoiceIssued]:
    """An issued document by its number. Raises: NotFound."""
    row = connection.execute("SELECT bucket, document FROM document_v1 WHERE number = %s", [number]).fetchone()
    if row is None:
        raise NotFound(f"there is no document {number}")
    _, event = _event(connection, (row[1], 1))
    assert isinstance(event, InvoiceIssued)
    return row[1], event


def explain(connection: psycopg.Connection, packages: Packages, issued: InvoiceIssued, line: Line) -> dict[str, Any]:
    """Everything behind one line.

    Shapes: JSON-ready; `computation` says how the amount follows from the price, `events` what was recorded and when,
    `counted` and `excluded` who was behind a count of observations.
    """
    version = packages(line.package, line.version)
    component = version.component(line.component.partition("/")[2].partition("~")[0])
    price = component.prices[issued.currency] if component else None
    counted, excluded = _names(connection, packages, line)
    return {
        "document": issued.document,
        "line": line.number,
        "text": line.text,
        "kind": line.kind,
        "service": {"from": line.start, "until": line.end},
        "amount": written(line.amount, issued.currency),
        "tax": written(line.tax, issued.currency),
        "currency": issued.currency,
        "quantity": line.quantity,
        "rule": line.rule,
        "price": {
            "package": line.package,
            "version": line.version,
            "effective_on": version.effective_on,
            "model": msgspec.to_builtins(price, enc_hook=str),
            "in_words": in_words(price) if price else "",
            "of_the_period": exactly(line.price, issued.currency),
            "period": {"from": line.base_start, "until": line.base_end},
        },
        "computation": computation(line, issued.currency, component is not None and is_by_day(component)),
        "undoes": _linked(connection, line.link),
        "events": [_told(connection, ref) for ref in line.reasons],
        "counted": counted,
        "excluded": excluded,
        "computed_at": {"run": issued.run, "cut": issued.cut, "bucket": bucket_of(issued.account)},
    }


def computation(line: Line, currency: str, by_day: bool) -> str:
    """How the amount of a line follows from its price, in words."""
    price = Fraction(line.price)
    full = f"{written(rounded(price.numerator, price.denominator), currency)} for the period"
    if line.occurrence:
        return f"{full}, each unit for the days that it was there" if by_day else f"{full}, charged whole"
    month_days = axis(line.base_start.toordinal(), line.base_end.toordinal(), line.month_days)
    zero = position(line.base_start.toordinal(), month_days)
    start, end, whole = (position(on.toordinal(), month_days) - zero for on in (line.start, line.end, line.base_end))
    days = f"{end - start} of {whole} days"
    share = part(price, line.base_start.toordinal(), line.base_end.toordinal(), line.month_days,
                 line.start.toordinal(), line.end.toordinal())  # fmt: skip
    if abs(line.amount) != abs(share):
        return f"{full}, {days} are {written(share, currency)}, at most what is left of the line it undoes"
    if (start, end) == (0, whole):
        return f"{full}, all {whole} days"
    return f"{full}, {days}, rounded at the borders of day {start} and day {end}"


def exactly(price: str, currency: str) -> str:
    """A full price in major units: with the decimals of its currency, or more where it is finer than that.

    Shapes: `p/q` for a price that no decimal ends, as of an average over 31 days. Units: `price` in minor units, exact.
    """
    exact = Fraction(price) / scale(currency)
    decimals = next((n for n in range(exponent(currency), LONGEST) if not 10**n % exact.denominator), None)
    if decimals is None:
        return str(exact)
    whole, part = divmod(abs(exact.numerator) * 10**decimals // exact.denominator, 10**decimals)
    sign = "-" if exact < 0 else ""
    return f"{sign}{whole}.{part:0{decimals}d}" if decimals else f"{sign}{whole}"


def _linked(connection: psycopg.Connection, link: Ref | None) -> str | None:
    if link is None:
        return None
    _, event = _event(connection, (link[0], 1))
    assert isinstance(event, InvoiceIssued)
    return f"{event.document} line {link[1]}"


def _event(connection: psycopg.Connection, ref: Ref) -> tuple[Any, Any]:
    row = connection.execute(
        "SELECT recorded_at, topic, state FROM event WHERE bucket = %s AND stream = %s AND version = %s",
        [bucket_of(ref[0]), ref[0], ref[1]],
    ).fetchone()
    if row is None:
        raise NotFound(f"event {ref[0]} version {ref[1]} is not in the log")
    return row[0], decode(row[1], row[2])


def _told(connection: psycopg.Connection, ref: Ref) -> dict[str, Any]:
    recorded_at, event = _event(connection, ref)
    body = msgspec.to_builtins(event, enc_hook=str)
    return {
        "event": event.TOPIC,
        "stream": str(ref[0]),
        "version": ref[1],
        "recorded_at": recorded_at.isoformat(),
        "body": body,
    }


def _names(connection: psycopg.Connection, packages: Packages, line: Line) -> tuple[list[str], list[dict[str, str]]]:
    """Who was counted for the line's period, as long as their names are kept; who was not, and why."""
    told = list(_observed(connection, packages, line))
    counted = sorted({one.counted_as for one in told if one.counted_as})
    return counted, [{"subject": one.subject, "reason": one.excluded} for one in told if one.excluded]


def _observed(connection: psycopg.Connection, packages: Packages, line: Line) -> Iterator[Named]:
    """The names behind each counter of a line: those of the day that decided, or of all days where none did."""
    facts = [(ref, _event(connection, ref)[1]) for ref in line.reasons]
    counted = [(ref, body) for ref, body in facts if isinstance(body, CountEvent)]
    zones = {body.counter: body.zone for _, body in counted if isinstance(body, CountsClosed)}
    counts = day_counts((stream, [counts_of(version, body)]) for (stream, version), body in counted)
    start, end = line.base_start.toordinal(), line.base_end.toordinal()
    for counter, zone in zones.items():
        counting = packages(line.package, line.version).counting(counter)
        if counting is None:
            continue
        decided = deciding_day(counting, counts[counter], start, end)
        first, last = (start, end) if decided is None else (decided, decided + 1)
        early = window_start(counting, first)
        yield from named(counting, observations(connection, line.license, counter, zone, early, last))
