"""`tally counts`: taking counts in, and asking what anybody would be counted at."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import typer

from adapters.bootstrap import Tally
from adapters.cli.opened import opened
from adapters.cli.printing import progress, show, table_of
from adapters.cli.session import OptionalDay, today
from adapters.count_files import read_rows, size_of
from domain.application.accounts import check_zone
from domain.application.licensing import license_named
from domain.counted_users import day_counts, unpack_counts
from domain.counting import DayCounts, Named, named, window_start
from domain.errors import Invalid, NotFound
from domain.events.license import LicenseChanged, LicenseStarted
from domain.identity import Kind, bucket_of
from domain.license import License as LicenseFacts
from domain.package_version import Counting
from jobs import measure_counts
from jobs.close_counts import close_counts
from jobs.count_rows import Row
from jobs.import_counts import import_counts
from jobs.measure_counts import Measured, month_span
from jobs.observed import observations

app = typer.Typer()

MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])\Z", re.ASCII)
WINDOW = re.compile(r"([1-9][0-9]{0,3})d\Z", re.ASCII)
MEASURES = ("peak", "last", "average", "distinct", "snapshot", "sum")

License = Annotated[str, typer.Option("--license", help="the license's reference")]
Counter = Annotated[str, typer.Option("--counter", help="the counter's name")]
Month = Annotated[str, typer.Option("--month", help="a calendar month, such as 2025-06")]
WindowText = Annotated[str, typer.Option("--window", help="month, 7d, 30d, 90d, any Nd: what a day looks back over")]
Threshold = Annotated[int, typer.Option("--threshold-days", min=1, help="seen on at least so many days of the window")]
Zone = Annotated[str, typer.Option("--zone", help="IANA zone of the days (default: the account's, UTC for a file)")]
File = Annotated[str, typer.Option("--file", help="straight from a file, without importing it; - is standard input")]


@app.command("import")
def import_file(
    file: Annotated[str, typer.Argument(help="CSV or Parquet of readings or observations; - is standard input")],
    close: Annotated[bool, typer.Option(help="count observations at once, through yesterday")] = True,
) -> None:
    """Takes a file in: all of it or nothing; importing it twice changes nothing.

    Readings have the columns license,counter,day,quantity,report_id; raw observations
    license,counter,observed_at,subject,report_id. A correction is another report of the same day.
    """
    with opened() as tally, progress(f"reading {file}", None) as advance:
        seen = [0]

        def told(rows: int, _: int) -> None:
            advance(rows - seen[0])
            seen[0] = rows

        done = import_counts(
            tally.log, lambda names: tally.billing.resolve(Kind.LICENSE, names), file, read_rows(file, told)
        )
        closed = _close(tally, today()) if close else 0
    answer = {**done._asdict(), "closings": closed, "bytes": size_of(file)}
    show(
        answer,
        f"{done.rows} rows read: {done.new} new, {done.repeated} known; {done.licenses} licenses, {closed} closings",
    )


@app.command("close")
def close(through: OptionalDay = None) -> None:
    """Turns raw observations into counts of days, up to the day before."""
    with opened() as tally:
        recorded = _close(tally, through or today())
    show({"closings": recorded}, f"{recorded} closings recorded")


def _close(tally: Tally, through: date) -> int:
    tally.follower().catch_up()
    recorded = close_counts(tally.log, tally.pool, tally.packages, through)
    tally.follower().catch_up()
    return recorded


@app.command("measure")
def measure(
    license: License,
    counter: Counter,
    month: Month,
    window: WindowText = "month",
    measure: Annotated[str, typer.Option(help=", ".join(MEASURES))] = "peak",
    threshold_days: Threshold = 1,
    snapshot_day: Annotated[int, typer.Option(min=1, max=31, help="day of the month, for snapshot")] = 1,
    zone: Zone = "",
    file: File = "",
) -> None:
    """Answers what a license would be counted at in a month, under any definition.

    From what is stored, or with --file straight from a file: nothing need exist.
    """
    counting = _definition(counter, window, measure, threshold_days, snapshot_day)
    number = _month(month)
    if zone:
        check_zone(zone)
    if file:
        rows: Iterable[Row] = read_rows(file)
        found = measure_counts.of_rows(counting, rows, license, zone or "UTC", number)
    else:
        found = _stored(counting, license, zone, number)
    show(_answer(found, counting, license, month), f"{license} {counter} {month}: {_readable(found)}")


def _definition(counter: str, window: str, measure: str, threshold: int, snapshot_day: int) -> Counting:
    if measure not in MEASURES:
        raise Invalid(f"{measure!r} is not a measure: {', '.join(MEASURES)}")
    days = WINDOW.match(window)
    if window != "month" and not days:
        raise Invalid(f"{window!r} is not a window: month, or a number of days such as 30d")
    looks = int(days[1]) if days else "month"
    return Counting(counter, measure, looks, threshold, snapshot_day)  # type: ignore[arg-type]


def _month(text: str) -> int:
    match = MONTH.match(text)
    if not match:
        raise Invalid(f"{text!r} is not a month such as 2025-06")
    return int(match[1]) * 12 + int(match[2]) - 1


def _stored(counting: Counting, reference: str, zone: str, month: int) -> Measured:
    with opened() as tally:
        license = license_named(tally.billing, reference)
        start, end = month_span(month)
        zone = zone or _zone(tally, license.account)
        with tally.pool.connection() as connection:
            early = window_start(counting, start)
            seen = observations(connection, license.id, counting.counter, zone, early, end)
        if seen:
            return measure_counts.of_observations(counting, seen, month)
        counts = _day_counts(tally, license.id)
        if counting.counter not in counts:
            _check_counter(tally, license, end, counting.counter)
        return measure_counts.of_days(counting, counts.get(counting.counter, DayCounts()), month)


OBSERVED = "SELECT 1 FROM observation_parcel WHERE bucket = %s AND license = %s AND counter = %s LIMIT 1"


def _check_counter(tally: Tally, license: LicenseFacts, end: int, counter: str) -> None:
    """A counter without counts is one that the package counts, or that observations were told of. Raises: NotFound."""
    held = license.current(date.fromordinal(end - 1))
    with tally.pool.connection() as connection:
        observed = connection.execute(OBSERVED, [bucket_of(license.id), license.id, counter]).fetchone()
    if not observed and tally.packages(held.package, held.version).counting(counter) is None:
        raise _unknown(tally, license, held, counter)


def _unknown(tally: Tally, license: LicenseFacts, held: LicenseStarted | LicenseChanged, counter: str) -> NotFound:
    known = [one.counter for one in tally.packages(held.package, held.version).countings]
    counts = f"counts {', '.join(known)}" if known else "counts nothing"
    return NotFound(f"{license.reference} has no counter {counter!r}: {held.package} {counts}")


def _zone(tally: Tally, account: Any) -> str:
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        row = connection.execute(
            "SELECT zone FROM account_v2 WHERE bucket = %s AND account = %s", [bucket_of(account), account]
        ).fetchone()
    return row[0] if row else "UTC"


def _day_counts(tally: Tally, license: UUID) -> dict[str, DayCounts]:
    with tally.pool.connection() as connection:
        rows = connection.execute(
            "SELECT stream, facts FROM basis_v2 WHERE bucket = %s AND owner = %s AND kind = %s ORDER BY stream",
            [bucket_of(license), license, int(Kind.COUNTED_USERS)],
        ).fetchall()
    return day_counts((stream, unpack_counts(facts)) for stream, facts in rows)


def _answer(found: Measured, counting: Counting, license: str, month: str) -> dict[str, Any]:
    return {
        "license": license,
        "counter": counting.counter,
        "month": month,
        "value": _number(found),
        "exact": None if found.value is None else str(found.value),
        "sum": found.total,
        "days": found.days,
        "measure": counting.measure,
        "window": counting.window,
        "threshold_days": counting.threshold_days,
        "daily": {date.fromordinal(at).isoformat(): quantity for at, quantity in found.daily.items()},
    }


def _number(found: Measured) -> Any:
    """A count as a JSON number: whole where it is whole, an average to six decimals beside its exact form."""
    if found.value is None or found.value.denominator == 1:
        return found.value if found.value is None else int(found.value)
    return json.loads(f"{round(found.value * 10**6) / 10**6:.6f}")


def _readable(found: Measured) -> str:
    return "no reading" if found.value is None else str(_number(found))


@app.command("names")
def names(
    license: License,
    counter: Counter,
    month: Month,
    window: WindowText = "",
    zone: Zone = "",
    file: File = "",
) -> None:
    """Lists who was counted in a month, what each counts as, and who was excluded and why.

    From what is stored, by the license's own definition; or with --file straight from a file.
    """
    number = _month(month)
    if zone:
        check_zone(zone)
    if file:
        counting = _definition(counter, window or "month", "peak", 1, 1)
        told = measure_counts.names_of_rows(counting, read_rows(file), license, zone or "UTC", number)
    else:
        told = _stored_names(license, counter, window, zone, number)
    if not told:
        show([], f"{license} {counter} {month}: nobody was observed; readings are numbers without names")
        return
    rows = [(one.subject, one.counted_as, one.excluded) for one in told]
    counted = len({one.counted_as for one in told if one.counted_as})
    title = f"{license} {counter} {month}: {counted} counted, {sum(bool(one.excluded) for one in told)} excluded"
    show([one._asdict() for one in told], table_of(title, ["subject", "counted as", "excluded because"], rows))


def _stored_names(reference: str, counter: str, window: str, zone: str, month: int) -> list[Named]:
    with opened() as tally:
        license = license_named(tally.billing, reference)
        start, end = month_span(month)
        held = license.current(date.fromordinal(end - 1))
        counting = tally.packages(held.package, held.version).counting(counter)
        if counting is None:
            raise _unknown(tally, license, held, counter)
        if window:
            counting = _definition(counter, window, "peak", counting.threshold_days, 1)
        local = zone or _zone(tally, license.account)
        with tally.pool.connection() as connection:
            seen = observations(connection, license.id, counter, local, window_start(counting, start), end)
    return named(counting, seen)
