"""Imports of counts that are killed, or that happen at the same moment."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.builders import OBSERVATIONS, READINGS, take_in, write_csv
from tests.count_shop import IMPORT, month_of, state, stored

ROOT = Path(__file__).resolve().parents[2]


def importing(dsn, path, *options):
    arguments = [sys.executable, "-c", IMPORT, dsn, path, *options]
    return subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def ten_thousand(path):
    rows = (
        f"{('acme', 'rival')[n % 2]}-1,users,{date(2025, 1, 1) + timedelta(n % 90)},{n},r{n}" for n in range(10_000)
    )
    return write_csv(path, READINGS, rows)


@pytest.mark.parametrize("moment", ["pause", "before-commit"])
def test_a_killed_import_leaves_nothing_and_repeating_it_equals_one_run(shop, dsn, tmp_path, moment):
    path, before = ten_thousand(tmp_path / "counts.csv"), state(dsn)
    with importing(dsn, path, moment) as killed:
        assert killed.stdout.readline() == b"half\n"
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    assert state(dsn) == before
    assert take_in(shop, path) == (10_000, 10_000, 0, 2)
    once = state(dsn)
    assert take_in(shop, path).new == 0
    assert state(dsn) == once


def test_a_file_imported_by_two_processes_at_once_is_taken_in_once(shop, dsn, tmp_path):
    path = ten_thousand(tmp_path / "counts.csv")
    with importing(dsn, path) as one, importing(dsn, path) as other:
        said = sorted(process.communicate()[0].split()[1] for process in (one, other))
    assert said == [b"0", b"10000"]
    assert take_in(shop, path).new == 0
    assert sum(len(event.readings) for event in month_of(shop)) == sum(
        n % 2 == 0 and n % 90 < 31 for n in range(10_000)
    )


def test_observations_imported_by_two_processes_at_once_are_taken_in_once(shop, dsn, tmp_path):
    rows = [f"acme-1,users,2025-01-{n % 28 + 1:02}T09:00:00Z,user-{n},r{n}" for n in range(10_000)]
    path = write_csv(tmp_path / "counts.csv", OBSERVATIONS, rows)
    with importing(dsn, path) as one, importing(dsn, path) as other:
        said = sorted(process.communicate()[0].split()[1] for process in (one, other))
    assert said == [b"0", b"10000"]
    assert len(stored(dsn)) == 10_000


def test_two_files_that_say_the_same_in_other_orders_are_taken_in_at_the_same_moment(shop, tmp_path, monkeypatch):
    for size in ("BLOCK", "LARGEST"):
        monkeypatch.setattr(f"adapters.count_files.{size}", 4000)
    rows = [f"acme-1,users,2025-01-10T09:00:00Z,s{n},r{n}" for n in range(8000)]
    orders = {"one.csv": rows, "other.csv": rows[::-1]}
    paths = [write_csv(tmp_path / name, OBSERVATIONS, order) for name, order in orders.items()]
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda path: take_in(shop, path), paths))
    assert sorted(one.new for one in found) == [0, 8000]
    with shop.pool.connection() as connection:
        kept = connection.execute("SELECT sum(cardinality(reports)) FROM observation_parcel").fetchone()
    assert kept == (8000,)


def test_files_that_name_the_same_people_are_taken_in_at_the_same_moment(shop, dsn, tmp_path):
    def path(of: int) -> str:
        rows = [f"acme-1,users,2025-01-10T09:00:00Z,s{n},{of}-{n}" for n in range(3000)]
        return write_csv(tmp_path / f"{of}.csv", OBSERVATIONS, rows)

    with ThreadPoolExecutor(4) as together:
        found = list(together.map(lambda of: take_in(shop, path(of)), range(4)))
    assert [one.new for one in found] == [3000] * 4
    with psycopg.connect(dsn) as connection:
        named = connection.execute("SELECT count(*), count(DISTINCT name) FROM subject").fetchone()
    assert named == (3000, 3000)
