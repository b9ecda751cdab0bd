"""A real record of counted users: 28,954 observations of people committing to five public projects."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.catalog_file import read_catalog
from adapters.count_files import read_rows
from domain.application.catalog import PublishVersions
from domain.package_version import Counting, PackageVersion
from domain.price import amount
from jobs.count_rows import Row
from jobs.explain import document, explain
from jobs.measure_counts import of_rows
from jobs.verify import verify
from tests.builders import OBSERVATIONS, open_account, start, take_in

PROJECTS = ("httpx", "lago-api", "ledger", "polar", "procrastinate")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MEASURES = (("month", "distinct", "distinct_in_month"), (90, "peak", "trailing_90_days_peak"))
MEASURES += ((90, "last", "trailing_90_days_last_day"),)


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    path = Path(__file__).resolve().parents[3] / "shared" / "data" / "active_developers.csv"
    if not path.exists():
        pytest.skip("the reference data (../shared) is not here")
    found: dict[str, list[Row]] = {}
    for row in read_rows(str(path)):
        found.setdefault(row.license, []).append(row)
    return found


@pytest.fixture
def answers(shared: Path) -> dict[str, dict[str, int]]:
    return json.loads((shared / "data" / "active_developers.answers.json").read_text())


def test_every_answer_of_the_record_is_reproduced_straight_from_the_file(rows, answers):
    assert len(answers) == 30
    for name, answer in answers.items():
        license, _, month = name.partition("/")
        number = int(month[:4]) * 12 + int(month[5:]) - 1
        for window, measure, key in MEASURES:
            counting = Counting("active_developers", measure, window)
            assert of_rows(counting, rows[license], license, "UTC", number).value == answer[key], (name, key)
        average = of_rows(Counting("active_developers", "average", 90), rows[license], license, "UTC", number)
        assert (average.total, average.days) == (answer["trailing_90_days_sum"], answer["days"]), name
        assert average.value == Fraction(answer["trailing_90_days_sum"], answer["days"])


def licensed(tally: Tally) -> PackageVersion:
    version = read_catalog(EXAMPLES / "developers.yaml")[0]
    published = PackageVersion(**{**{f: getattr(version, f) for f in version.__struct_fields__}, "version": 1})
    tally.billing.execute(PublishVersions(versions=(published,)))
    for name in PROJECTS:
        open_account(tally, name, tax_percent=Decimal(0))
        start(tally, name, name, "developers", date(2025, 1, 1))
    return published


def bill_year(tally: Tally) -> None:
    for month in range(2, 14):
        through = date(2025 + month // 13, (month - 1) % 12 + 1, 1)
        run_billing(tally, through, through)


def billed_by_month(tally: Tally) -> dict[tuple[str, date], int]:
    """Net per license and service month, over all documents."""
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        lines = connection.execute("SELECT license, body FROM billed_line ORDER BY generation, line").fetchall()
    names = {id: name for name, id in tally.billing.resolve(3, PROJECTS).items()}
    total: dict[tuple[str, date], int] = {}
    for license, body in lines:
        line = json.loads(body)
        key = (names[license], date.fromisoformat(line["start"]))
        total[key] = total.get(key, 0) + line["amount"]
    return total


def written(path: Path, rows: Sequence[dict[str, str]]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, OBSERVATIONS.split(","))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_five_projects_are_billed_for_each_month_and_held_back_months_come_out_as_corrections(
    tally, shared, rows, tmp_path
):
    source = shared / "data" / "active_developers.csv"
    version = licensed(tally)
    with source.open(newline="") as file:
        observed = list(csv.DictReader(file))
    late = [row for row in observed if row["observed_at"][:7] in ("2025-03", "2025-04")]
    punctual = [row for row in observed if row["observed_at"][:7] not in ("2025-03", "2025-04")]

    take_in(tally, written(tmp_path / "punctual.csv", punctual))
    bill_year(tally)
    before = billed_by_month(tally)
    take_in(tally, written(tmp_path / "late.csv", late))
    run_billing(tally, date(2026, 1, 1), date(2026, 1, 2))
    corrected = billed_by_month(tally)

    price, counting = version.components[0].prices["EUR"], version.countings[0]
    for (license, month), billed in corrected.items():
        peak = of_rows(counting, rows[license], license, "UTC", month.year * 12 + month.month - 1).value
        assert billed == amount(price, peak, "EUR"), (license, month)
    changed = {key for key in corrected if corrected[key] != before.get(key)}
    assert changed
    assert {month.month for _, month in changed} <= {3, 4, 5, 6, 7}
    assert len(corrected) == 60
    assert [check.found for check in verify(tally.pool) if check.found] == []


def test_every_billed_count_opens_to_exactly_as_many_names(tally, shared):
    licensed(tally)
    take_in(tally, str(shared / "data" / "active_developers.csv"))
    run_billing(tally, date(2025, 7, 1), date(2025, 7, 1))
    tally.follower().catch_up()
    opened = 0
    with tally.pool.connection() as connection:
        for (number,) in connection.execute("SELECT number FROM document_v1").fetchall():
            _, issued = document(connection, number)
            for line in issued.lines:
                told = explain(connection, tally.packages, issued, line)
                assert len(told["counted"]) == int(told["quantity"])
                opened += 1
    assert opened == 30


def test_on_time_and_held_back_imports_bill_the_same_sum(tally, shared):
    licensed(tally)
    take_in(tally, str(shared / "data" / "active_developers.csv"))
    bill_year(tally)
    whole = billed_by_month(tally)
    assert len(whole) == 60
    run_billing(tally, date(2026, 1, 1), date(2026, 1, 1))
    assert billed_by_month(tally) == whole
