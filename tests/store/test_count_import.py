"""Files of counts: what is refused, what is taken in once, and what a killed import leaves behind: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from adapters.bootstrap import Tally
from adapters.count_files import read_rows
from domain.errors import BadFile
from domain.events.counted_users import Reading
from domain.identity import Kind
from jobs.import_counts import import_counts
from tests.builders import OBSERVATIONS, READINGS, take_in, write_csv
from tests.count_shop import IMPORT, month_of, observation, observe, reading, state, stocked, stored

ROOT = Path(__file__).resolve().parents[2]
FEBRUARY = date(2025, 2, 1)


@pytest.fixture(scope="module")
def untouched(server: str) -> Iterator[tuple[Tally, dict[str, object]]]:
    """A shop that only bad files are offered to, and its state."""
    name = f"t{uuid4().hex}"
    dsn = psycopg.conninfo.make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with Tally(dsn) as tally:
        yield stocked(tally), state(dsn)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


TOMORROW = (datetime.now(UTC) + timedelta(days=2)).date()
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

REFUSED = [
    # an empty file
    ("", 1, "", "empty"),
    # another encoding
    (reading().encode("utf-16"), 1, "", "encoding"),
    (observation(subject="Müller").encode("latin-1"), 2, "", "encoding"),
    # cells that hide something
    (observation(subject="an\0n"), 2, "subject", "control"),
    (observation(subject="\tann"), 2, "subject", "control"),
    (observation(subject='"an\rn"'), 2, "subject", "control"),
    (observation(subject=" ann"), 2, "subject", "space"),
    (observation(subject="Mu\u0308ller"), 2, "subject", "unicode"),
    (observation(subject=""), 2, "subject", "empty"),
    (reading(report=""), 2, "report_id", "empty"),
    # a quote that swallows the rest
    (reading() + "acme-1,users,2025-01-11,6,r2\n" + 'acme-1,"users,2025-01-11,6,r3\n' + "x,y\n" * 5, 4, "", "syntax"),
    (reading(license='ac"me'), 2, "license", "unknown_license"),
    (reading(license='"acme"x'), 2, "", "syntax"),
    # too long: a text, a field, a line
    (observation(subject="a" * 1001), 2, "subject", "too_long"),
    (observation(subject="a" * 140_000), 2, "", "syntax"),
    (observation(subject="a" * 3_000_000), 2, "", "too_long"),
    # the header
    ("license,counter,day,quantity\nacme-1,users,2025-01-10,5\n", 1, "report_id", "missing_column"),
    ("license,counter,day,quantity,report_id,note\n", 1, "note", "unknown_column"),
    ("license,counter,day,quantity,report_id,day\n", 1, "day", "duplicate_column"),
    (READINGS.upper() + "\n", 1, "license", "missing_column"),
    (READINGS + "\nacme-1,users,2025-01-10,5\n", 2, "", "width"),
    (READINGS + "\nacme-1,users,2025-01-10,5,r1,\n", 2, "", "width"),
    # what is not a count
    *(
        (reading(quantity), 2, "quantity", "quantity")
        for quantity in (
            "-1", "1.5", "1e5", '"1,000"', '"1,2"', '"1.000,00"', "٣", "１２", "1_000", " 12 ",
            "+5", "05", "NaN", "inf", "", "1" + "0" * 30, "1000000000001", "0x10", '"1\n2"',
        )
    ),
    # what is not a day
    *(
        (reading(day=day), 2, "day", "day")
        for day in (
            "2025-02-29", "0001-01-01", "9999-01-01", "1999-12-31", "20250110", "2025-W02-5", "10/01/2025",
            "２０２５-01-10",
        )
    ),
    # what is not an instant: without zone, a zone by name (at an hour that is twice, or never), not in the calendar
    *(
        (observation(at), 2, "observed_at", "instant")
        for at in (
            "2025-01-10T09:00:00", "2026-10-25 02:30 Europe/Berlin", "2026-03-29 02:30", "2025-02-29T09:00:00Z",
            "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2025-01-10", "2025-01-10T24:00:00Z", "1736500000",
            "2025-01-10T09:00:60Z", "2025-01-10T09:00:00+25:00", "2025-01-10T09:00:00z",
        )
    ),
    # still to come, beyond what a clock may be wrong
    (reading(day=TOMORROW.isoformat()), 2, "day", "future"),
    (observation(SOON), 2, "observed_at", "future"),
    # licenses that are not there
    (reading(license="nobody-1"), 2, "license", "unknown_license"),
    # one report id, two contents
    (reading() + "acme-1,users,2025-01-10,5,r1\nacme-1,users,2025-01-10,6,r1\n", 2, "report_id", "report_id"),
    (observation() + "acme-1,users,2025-01-10T09:00:00Z,bob,r1\n", 2, "report_id", "report_id"),
]  # fmt: skip


NAMES = [f"{n}-{field or 'file'}-{code}" for n, (_, _, field, code) in enumerate(REFUSED)]


@pytest.mark.parametrize(("content", "line", "field", "code"), REFUSED, ids=NAMES)
def test_a_bad_file_is_refused_by_file_line_and_field_and_changes_nothing(
    untouched, tmp_path, content, line, field, code
):
    shop, before = untouched
    path = tmp_path / "counts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadFile) as refused:
        take_in(shop, str(path))
    fault = refused.value.faults[0]
    assert (fault.file, fault.line, fault.field, fault.code) == (str(path), line, field, code)
    assert state(shop.dsn) == before


TAKEN = [
    # nothing but a header
    (READINGS + "\n", 0),
    # a byte order mark
    ("\ufeff" + reading(), 1),
    # columns in another order, other line ends, an empty line, no line end at the end
    ("report_id,quantity,day,counter,license\r\nr1,5,2025-01-10,users,acme-1", 1),
    (reading() + "\n\nacme-1,users,2025-01-11,6,r2\n", 2),
    # zero is a count, and so is the most
    (reading("0"), 1),
    (reading("1000000000000"), 1),
    # the same report twice
    (reading() + "acme-1,users,2025-01-10,5,r1\n", 1),
    # a quoted line break inside a field would be a control character, a quoted comma is fine
    (observation(subject='"Müller, Ann"'), 1),
    # formulas are text
    (observation(subject='"=HYPERLINK(""http://x"")"'), 1),
    (observation(subject="+cmd|' /C calc'!A0"), 1),
    (observation(subject="@SUM(A1)"), 1),
    # before the license started, and for a month long closed: late counts are normal
    (observation("2019-02-14T17:09:29+01:00"), 1),
    (reading(day="2019-02-14"), 1),
    # a long report id
    (reading(report="r" * 1000), 1),
]


@pytest.mark.parametrize(("content", "new"), TAKEN, ids=range(len(TAKEN)))
def test_a_good_file_is_taken_in_once_and_changes_nothing_the_second_time(shop, dsn, tmp_path, content, new):
    path = tmp_path / "counts.csv"
    path.write_bytes(content.encode())
    assert take_in(shop, str(path)).new == new
    once = state(dsn)
    again = take_in(shop, str(path))
    assert (again.new, again.repeated) == (0, again.rows)
    assert state(dsn) == once


def test_readings_become_one_event_for_each_license_counter_and_month_in_file_order(shop, tmp_path):
    rows = ["acme-1,users,2025-01-31,7,c", "rival-1,users,2025-01-10,1,a", "acme-1,users,2025-02-01,8,d",
            "acme-1,users,2025-01-10,5,a", "acme-1,users,2025-01-10,6,b"]  # fmt: skip
    done = take_in(shop, write_csv(tmp_path / "counts.csv", READINGS, rows))
    assert done == (5, 5, 0, 2)
    (january,) = month_of(shop)
    assert (january.source, january.month) == ("counts.csv", date(2025, 1, 1))
    assert january.readings == (
        Reading(date(2025, 1, 31), 7, "c"), Reading(date(2025, 1, 10), 5, "a"), Reading(date(2025, 1, 10), 6, "b"),
    )  # fmt: skip
    assert len(month_of(shop, month=FEBRUARY)) == len(month_of(shop, "rival-1")) == 1


def test_a_correction_is_another_report_and_another_event(shop, tmp_path):
    take_in(shop, write_csv(tmp_path / "a.csv", READINGS, ["acme-1,users,2025-01-10,5,r1"]))
    mixed = ["acme-1,users,2025-01-10,5,r1", "acme-1,users,2025-01-10,9,r2"]
    assert take_in(shop, write_csv(tmp_path / "b.csv", READINGS, mixed))[1:3] == (1, 1)
    assert [[one.quantity for one in event.readings] for event in month_of(shop)] == [[5], [9]]


def test_a_report_that_says_something_else_is_refused_naming_both_lines(shop, tmp_path):
    rows = ["acme-1,users,2025-01-10,5,r1", "acme-1,users,2025-01-11,6,r2", "acme-1,users,2025-01-10,5,r1",
            "acme-1,users,2025-01-10,4,r1"]  # fmt: skip
    with pytest.raises(BadFile, match="line 2: line 5 says something else"):
        take_in(shop, write_csv(tmp_path / "counts.csv", READINGS, rows))


def test_a_report_that_says_something_else_than_an_earlier_file_is_refused(shop, dsn, tmp_path):
    take_in(shop, write_csv(tmp_path / "a.csv", READINGS, ["acme-1,users,2025-01-10,5,r1"]))
    before = state(dsn)
    rows = ["acme-1,users,2025-01-11,6,r2", "acme-1,users,2025-01-10,4,r1"]
    with pytest.raises(BadFile, match=r"b.csv:3: report_id: report r1 .* imported before with other content"):
        take_in(shop, write_csv(tmp_path / "b.csv", READINGS, rows))
    assert state(dsn) == before


@pytest.mark.parametrize("told", ["2025-01-10T09:00:00Z,bob", "2025-03-10T09:00:00Z,ann"])
def test_an_observation_whose_report_said_something_else_before_is_refused(shop, dsn, tmp_path, told):
    observe(shop, tmp_path / "a.csv", "2025-01-10T09:00:00Z,ann,r1")
    before = state(dsn)
    with pytest.raises(BadFile, match=r"b.csv:3: report_id: report r1 .* imported before with other content"):
        observe(shop, tmp_path / "b.csv", "2025-01-11T09:00:00Z,ann,r2", f"{told},r1")
    assert state(dsn) == before


def test_reports_of_a_long_file_are_compared_across_all_of_it(shop, dsn, tmp_path):
    rows = [f"2025-01-10T09:00:00Z,user-{n},r{n}" for n in range(20_000)]
    before = state(dsn)
    with pytest.raises(BadFile, match=r"report r5 on line 7: line 20002 says something else"):
        observe(shop, tmp_path / "a.csv", *rows, "2025-01-10T09:00:00Z,somebody,r5")
    assert state(dsn) == before
    observe(shop, tmp_path / "b.csv", *rows, rows[5])
    assert stored(dsn) == sorted((f"r{n}", datetime(2025, 1, 10, 9, tzinfo=UTC)) for n in range(20_000))


def test_an_instant_before_the_epoch_of_the_database_is_kept_and_closed(shop, dsn, tmp_path):
    observe(shop, tmp_path / "a.csv", "2000-01-01T12:00:00Z,ann,r1", "2000-01-01T00:00:00.5+14:00,ann,r2")
    first = datetime(1999, 12, 31, 10, 0, 0, 500_000, tzinfo=UTC)
    assert stored(dsn) == [("r1", datetime(2000, 1, 1, 12, tzinfo=UTC)), ("r2", first)]
    with psycopg.connect(dsn) as connection:
        marks = connection.execute("SELECT first_at, dirty_from FROM to_close").fetchall()
    assert marks == [(first, date(1999, 12, 30))]


def test_two_licenses_may_use_the_same_report_id(shop, tmp_path):
    rows = ["acme-1,users,2025-01-10,5,r1", "rival-1,users,2025-01-10,4,r1"]
    assert take_in(shop, write_csv(tmp_path / "counts.csv", READINGS, rows)).new == 2


def test_another_tenants_license_is_as_unknown_as_one_that_is_not_there(shop, tmp_path):
    def resolve(names):
        return shop.billing.resolve(Kind.LICENSE, [name for name in names if name.startswith("acme")])

    path = write_csv(
        tmp_path / "counts.csv", READINGS, ["acme-1,users,2025-01-10,5,r1", "rival-1,users,2025-01-10,4,r"]
    )
    with pytest.raises(BadFile, match="3: license: there is no license rival-1"):
        import_counts(shop.log, resolve, path, read_rows(path))


def test_faults_of_all_kinds_are_told_together_in_file_order(shop, tmp_path):
    rows = ["acme-1,users,2025-01-10,x,r1", "nobody,users,2025-01-10,5,r2", "acme-1,users,2025-13-10,5,r3"]
    with pytest.raises(BadFile) as refused:
        take_in(shop, write_csv(tmp_path / "counts.csv", READINGS, rows))
    assert [(one.line, one.field) for one in refused.value.faults] == [(2, "quantity"), (3, "license"), (4, "day")]


def test_lines_are_those_of_the_file_although_fields_hold_line_breaks(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_bytes(f'{OBSERVATIONS}\r\n\r\nacme-1,users,2025-01-10T09:00Z,"a\r\nb",r1\r\nx\r\n'.encode())
    with pytest.raises(BadFile) as refused:
        list(read_rows(str(path)))
    assert [(fault.line, fault.code) for fault in refused.value.faults] == [(5, "width"), (3, "control")]


def test_a_directory_and_a_missing_file_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(BadFile, match="cannot be read"):
            list(read_rows(str(path)))


def test_a_pipe_and_a_symbolic_link_are_read_like_a_file(tmp_path):
    content = READINGS + "\n" + "".join(f"acme-1,users,2025-01-10,{n},r{n}\n" for n in range(50_000))
    pipe, file, link = tmp_path / "pipe", tmp_path / "file.csv", tmp_path / "link.csv"
    os.mkfifo(pipe)
    file.write_text(content)
    link.symlink_to(file)
    writer = threading.Thread(target=pipe.write_text, args=(content,))
    writer.start()
    assert list(read_rows(str(pipe))) == list(read_rows(str(link)))
    writer.join()


def test_what_comes_through_a_pipe_may_be_known_already(shop, dsn):
    once, more = observation(), observation() + "acme-1,users,2025-01-10T09:00:00Z,bob,r2\n"
    for rows, said in ((once, [b"1", b"1"]), (once, [b"1", b"0"]), (more, [b"2", b"1"])):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT, dsn, "-"], input=rows.encode(), cwd=ROOT, capture_output=True, check=True
        )
        assert done.stdout.split() == said
    assert [report for report, _ in stored(dsn)] == ["r1", "r2"]


def test_standard_input_is_read(shop, dsn, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, dsn, "-"], input=reading().encode(), cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"1", b"1"]


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "growing.csv"
    path.write_text(reading())
    rows = iter(read_rows(str(path)))
    next(rows)
    with path.open("a") as file:
        file.write("acme-1,users,2025-01-11,6,r2\n")
    with pytest.raises(BadFile, match="changed while it was read"):
        list(rows)


def test_reading_needs_no_more_memory_for_a_larger_file(tmp_path):
    def peak_of(rows):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write(OBSERVATIONS + "\n")
            file.writelines(f"acme-1,users,2025-01-10T09:00:00Z,{'s' * 500}{n},r{n}\n" for n in range(rows))
        tracemalloc.start()
        assert sum(len(batch.lines) for batch in read_rows(str(path)).batches) == rows
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_of(90_000) < 1.1 * peak_of(30_000)


def test_parquet_says_the_same_as_csv(shop, tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    days = [date(2025, 1, 10), date(2025, 1, 11)]
    columns = {"license": ["acme-1"] * 2, "counter": ["users"] * 2, "day": days, "quantity": [5, 6]}
    path = tmp_path / "counts.parquet"
    parquet.write_table(arrow.table({**columns, "report_id": ["r1", "r2"]}), path)
    text = write_csv(tmp_path / "c.csv", READINGS, ["acme-1,users,2025-01-10,5,r1", "acme-1,users,2025-01-11,6,r2"])
    assert list(read_rows(str(path))) == list(read_rows(text))
    assert (take_in(shop, str(path)).new, take_in(shop, text).repeated) == (2, 2)


@pytest.mark.parametrize(
    ("quantities", "line", "field", "code"),
    [([1.0, 2.0], 1, "quantity", "type"), ([1, None], 3, "quantity", "quantity"), ([1, -2], 3, "quantity", "quantity")],
)
def test_parquet_is_as_strict_as_csv(tmp_path, quantities, line, field, code):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"license": ["acme-1"] * 2, "counter": ["users"] * 2, "day": [date(2025, 1, 10)] * 2}
    path = tmp_path / "counts.parquet"
    parquet.write_table(arrow.table({**columns, "quantity": quantities, "report_id": ["a", "b"]}), path)
    with pytest.raises(BadFile) as refused:
        list(read_rows(str(path)))
    fault = refused.value.faults[0]
    assert (fault.line, fault.field, fault.code) == (line, field, code)


def test_what_only_calls_itself_parquet_is_refused(tmp_path):
    path = tmp_path / "counts.parquet"
    path.write_text(reading())
    with pytest.raises(BadFile, match="not Parquet"):
        list(read_rows(str(path)))
