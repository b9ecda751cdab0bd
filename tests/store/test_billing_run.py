"""The run: the same books however often, by however many, and wherever it is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import date
from decimal import Decimal

import msgspec
import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.catalog_file.read import catalog_of
from domain.application.licensing import ChangeLicense, StartLicense
from domain.document import Draft
from domain.errors import TallyError
from domain.identity import Kind
from domain.package_version import Proration
from domain.price import Flat
from jobs import basis, bill, chunk, issue
from jobs.explain import document, explain
from jobs.preview import preview
from jobs.rate import Run, why_parked
from jobs.verify import verify
from tests.builders import (
    READINGS,
    books,
    component,
    counted_package,
    cover_again,
    declared_package,
    open_account,
    package,
    publish,
    start,
    take_in,
    write_csv,
)

FEBRUARY, MARCH = date(2025, 2, 1), date(2025, 3, 1)


def found(tally: Tally) -> list[str]:
    return [f"{check.name}: {check.found}" for check in verify(tally.pool) if check.found]


def a_business(tally: Tally, resellers: int = 12, customers: int = 5) -> None:
    """Resellers in buckets of their own, each paying for customers with declared seats."""
    publish(tally, declared_package("small", "1.99", rank=1), declared_package("large", "2.49", rank=2))
    for reseller in range(resellers):
        open_account(tally, f"r{reseller}")
        for customer in range(customers):
            name = f"r{reseller}c{customer}"
            open_account(tally, name, parent=f"r{reseller}", payer=f"r{reseller}" if customer % 2 else "")
            start(tally, name, name, "small", date(2025, 1, 1 + customer), quantities={"seats": 3 + customer})


def run_once(dsn: str, through: date) -> None:
    with Tally(dsn) as tally:
        run_billing(tally, through, through)


def test_a_second_run_and_runs_at_once_issue_nothing_twice(tally, dsn):
    a_business(tally)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=run_once, args=(dsn, FEBRUARY)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    once = books(tally)
    run_billing(tally, FEBRUARY, FEBRUARY)
    assert books(tally) == once
    assert len(once) == 12 + 12 * 3
    assert found(tally) == []


CRASH_POINTS = [
    (module, name, after)
    for module, name in (
        (basis, "read"), (issue, "_take_generation"), (issue, "_line_rows"), (issue, "cover"), (issue, "_numbers"),
        (issue, "_event"), (chunk, "_report"),
    )
    for after in (False, True)
]  # fmt: skip


def killed_worker(dsn: str, run: Run, module, name: str, after: bool) -> None:
    """A worker that is killed before or after a step of its first chunk."""
    whole = getattr(module, name)

    def step(*arguments, **words):
        if after:
            whole(*arguments, **words)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, step)
    with Tally(dsn) as tally:
        bill.work(tally.log, tally.pool, tally.packages, run)


def totals(tally: Tally) -> list[tuple]:
    """The books without their numbers, which depend on who came first."""
    return sorted(row[1:] for row in books(tally))


def test_a_run_killed_at_every_step_and_repeated_gives_the_same_books(tally, dsn, monkeypatch):
    monkeypatch.setattr(bill, "LICENSES_PER_CHUNK", 5)
    a_business(tally)
    tally.follower().catch_up()
    context = multiprocessing.get_context("fork")
    with tally.pool.connection() as connection:
        run = bill.open_run(connection, FEBRUARY, FEBRUARY)
    for module, name, after in CRASH_POINTS:
        process = context.Process(target=killed_worker, args=(dsn, run, module, name, after))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert books(tally) == [], "nothing of a chunk that was killed is kept"
    assert run_billing(tally, FEBRUARY, FEBRUARY).run == run.run
    killed = totals(tally)
    assert found(tally) == []
    numbers = sorted(row[0] for row in books(tally))
    assert numbers == [f"INV-{n:06d}" for n in range(1, len(numbers) + 1)]
    run_billing(tally, FEBRUARY, FEBRUARY)
    assert totals(tally) == killed
    assert len(killed) == 12 + 12 * 3


def test_a_run_that_was_overtaken_after_it_read_reads_again_and_refuses_nobody(tally, monkeypatch):
    a_business(tally, resellers=2)
    read, overtaken = basis.read, []

    def slow_read(pool, buckets):
        snapshot = read(pool, buckets)
        if not overtaken:
            overtaken.append(True)
            run_billing(tally, FEBRUARY, MARCH)
        return snapshot

    monkeypatch.setattr(basis, "read", slow_read)
    run = run_billing(tally, MARCH, MARCH)
    with tally.pool.connection() as connection:
        assert bill.exceptions(connection, run.run) == []
    months = [through for _, _, _, through, *_ in books(tally)]
    assert months.count(FEBRUARY) == months.count(MARCH) == len(months) // 2 > 0
    assert found(tally) == []


def test_whoever_comes_while_the_last_chunk_is_worked_on_waits_for_it(tally, dsn):
    a_business(tally, resellers=2)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        run = bill.open_run(connection, FEBRUARY, FEBRUARY)
    other = multiprocessing.get_context("fork").Process(target=run_once, args=(dsn, FEBRUARY))
    with tally.log.append() as append:
        assert append.query(bill.CLAIM, [run.run])
        other.start()
        other.join(2)
        assert other.is_alive(), "it waits for the chunk that is worked on"
    other.join(30)
    assert other.exitcode == 0
    assert len(books(tally)) == 2 + 2 * 3


def test_one_run_over_several_processes_bills_everyone_once(tally, monkeypatch):
    a_business(tally)
    seen: list[int] = []
    run_billing(tally, FEBRUARY, FEBRUARY, workers=2, progress=seen.append)
    assert len(books(tally)) == 12 + 12 * 3
    assert sum(seen) == 60
    assert found(tally) == []


def test_a_run_that_fails_before_it_is_there_ends_the_processes_that_wait_for_it(tally, monkeypatch):
    waiting = []

    def fails(*_) -> None:
        waiting.extend(multiprocessing.active_children())
        raise TallyError("counts cannot be closed")

    monkeypatch.setattr("adapters.billing_workers.close_counts", fails)
    with pytest.raises(TallyError, match="counts cannot be closed"):
        run_billing(tally, FEBRUARY, FEBRUARY, workers=2)
    assert [process.exitcode for process in waiting] == [0]


def test_a_preview_is_the_run_to_the_byte(tally):
    a_business(tally, resellers=3)
    tally.billing.execute(ChangeLicense(license="r1c1", today=date(2025, 1, 15), package="large"))
    tally.follower().catch_up()
    issues, missing, failed = preview(tally.pool, tally.packages, Run("preview", FEBRUARY, FEBRUARY))
    run_billing(tally, FEBRUARY, FEBRUARY)
    with tally.pool.connection() as connection:
        issued = [document(connection, row[0])[1] for row in books(tally)]
    assert (missing, failed) == ([], [])
    drafts = {(one.payer.id, one.draft.lines): one.draft for one in issues}
    assert len(issued) == len(drafts)
    for event in issued:
        assert drafts[event.account, event.lines] == Draft(event.lines, event.taxes, event.net, event.tax)


def test_one_faulty_account_is_reported_and_never_stops_the_others(tally):
    publish(tally, declared_package())
    for name in ("good", "bad", "fine"):
        open_account(tally, name)
        start(tally, name, name, "declared", quantities={"seats": 2})
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        connection.execute(
            "UPDATE basis_v2 SET facts = replace(encode(facts, 'escape'), 'EUR', 'XXX')::bytea "
            "WHERE kind = 3 AND stream = %s",
            [tally.billing.resolve(Kind.LICENSE, ["bad"])["bad"]],
        )
    run = run_billing(tally, FEBRUARY, FEBRUARY)
    with tally.pool.connection() as connection:
        exceptions, report = bill.exceptions(connection, run.run), bill.report(connection, run.run)
    assert [(account, outcome) for account, outcome, _ in exceptions] == [("bad", "failed")]
    assert (report["billed"], report["failed"]) == (2, 1)
    assert len(books(tally)) == 2


def test_a_day_that_is_covered_already_is_refused_by_the_database_and_reported(tally):
    publish(tally, declared_package())
    for name in ("good", "bad"):
        open_account(tally, name)
        start(tally, name, name, "declared", quantities={"seats": 2})
    run_billing(tally, FEBRUARY, FEBRUARY)
    with tally.log.append() as append:
        cover_again(append, tally.billing.resolve(3, ["bad"])["bad"], date(2025, 3, 10), date(2025, 3, 12))
    run = run_billing(tally, MARCH, MARCH)
    with tally.pool.connection() as connection:
        exceptions = bill.exceptions(connection, run.run)
    assert [(account, outcome) for account, outcome, _ in exceptions] == [("bad", "failed")]
    assert "coverage" in exceptions[0][2]
    assert len(books(tally)) == 3


def parked(tally: Tally, on: date) -> list[tuple[str, str]]:
    """Whose licenses a preview says will wait, and for what."""
    missing = preview(tally.pool, tally.packages, Run("preview", on, on)).missing
    names = tally.log.references(Kind.ACCOUNT, {account for account, _ in missing})
    return [(names[account], why_parked(lack)) for account, lack in missing]


def test_no_reading_is_parked_and_billed_when_it_comes(tally, tmp_path):
    publish(tally, counted_package())
    open_account(tally, "group")
    open_account(tally, "acme", parent="group", payer="group")
    start(tally, "l1", "acme", "counted")
    run = run_billing(tally, FEBRUARY, FEBRUARY)
    with tally.pool.connection() as connection:
        assert bill.exceptions(connection, run.run) == [
            ("acme", "parked", "counted/users: no reading of users from 2025-01-01 to 2025-01-31")
        ]
        report = bill.report(connection, run.run)
    assert (report["parked"], report["nothing"], report["failed"]) == (1, 1, 0)
    assert books(tally) == []
    assert parked(tally, FEBRUARY) == [("acme", "counted/users: no reading of users from 2025-01-01 to 2025-01-31")]
    take_in(tally, write_csv(tmp_path / "c.csv", READINGS, ["l1,users,2025-01-07,0,a", "l1,users,2025-01-09,12,b"]))
    run_billing(tally, FEBRUARY, FEBRUARY)
    assert [row[4] for row in books(tally)] == [1100]
    take_in(tally, write_csv(tmp_path / "d.csv", READINGS, ["l1,users,2025-01-09,14,c"]))
    run_billing(tally, FEBRUARY, FEBRUARY)
    assert [row[4] for row in books(tally)] == [1100, 100]
    assert found(tally) == []


CALLS = b"""
catalog: 1
packages:
  api:
    name: API
    effective_on: 2019-01-01
    counters: {calls: {measure: sum}}
    components:
      calls: {name: Calls, charge: usage, every: year, bill: as used, quantity: {counted: calls},
              price: {EUR: {allowance: {included: 100, unit: "0.10"}}}}
"""


def test_overage_of_a_years_allowance_is_billed_every_month_and_corrected_when_late(tally, tmp_path):
    publish(tally, *[msgspec.structs.replace(one, version=1) for one in catalog_of(CALLS, "calls.yaml")])
    open_account(tally, "acme")
    start(tally, "l1", "acme", "api")
    for month, told in ((2, ["2025-01-07,90"]), (3, ["2025-02-07,60"]), (4, []), (5, ["2025-04-02,7", "2025-01-08,3"])):
        take_in(
            tally,
            write_csv(
                tmp_path / f"{month}.csv", READINGS, [f"l1,calls,{one},r{month}.{n}" for n, one in enumerate(told)]
            ),
        )
        run_billing(tally, date(2025, month, 1), date(2025, month, 1))
    assert [row[4] for row in books(tally)] == [0, 500, 100]
    assert parked(tally, date(2025, 5, 1)) == []
    assert found(tally) == []


def test_a_catalog_change_leaves_what_licenses_have(tally):
    publish(tally, package("p", component(price=None)))
    open_account(tally, "acme")
    start(tally, "l1", "acme", "p")
    run_billing(tally, FEBRUARY, FEBRUARY)
    dearer = package("p", component(price=Flat(Decimal(99))))
    publish(tally, msgspec.structs.replace(dearer, version=2, effective_on=date(2025, 2, 10)))
    run_billing(tally, MARCH, MARCH)
    assert [row[4] for row in books(tally)] == [6000, 3000]
    tally.billing.execute(ChangeLicense(license="l1", today=MARCH, package="p"))
    run_billing(tally, date(2025, 4, 1), date(2025, 4, 1))
    assert books(tally)[-1][4] == 6900 + 9900


def test_ten_years_are_billed_at_once_as_month_by_month(tally):
    publish(tally, declared_package())
    for name in ("once", "monthly"):
        open_account(tally, name)
        tally.billing.execute(
            StartLicense(
                reference=name, account=name, package="declared", start_on=date(2019, 1, 31), quantities={"seats": 7}
            )
        )
    monthly = tally.billing.resolve(2, ["monthly"])["monthly"]
    for year in range(2019, 2021):
        for month in range(1, 13):
            run_billing(tally, date(year, month, 28), date(year, month, 28), [monthly])
    run_billing(tally, date(2020, 12, 28), date(2020, 12, 28))
    with tally.pool.connection() as connection:
        rows = connection.execute(
            "SELECT license, count(*), sum((convert_from(body, 'UTF8')::json->>'amount')::int) "
            "FROM billed_line GROUP BY license"
        ).fetchall()
    assert len({(count, total) for _, count, total in rows}) == 1


def test_who_begins_on_a_thirty_first_that_is_charged_in_full_is_billed_and_told_why(tally):
    """Months of thirty days have no such day, and its full price was divided by nothing."""
    publish(tally, package("filter", proration=Proration(month_days=30, leading="full")))
    open_account(tally, "acme")
    start(tally, "l1", "acme", "filter", date(2025, 1, 31))
    run_billing(tally, FEBRUARY, FEBRUARY)
    with tally.pool.connection() as connection:
        _, issued = document(connection, "INV-000001")
        told = [explain(connection, tally.packages, issued, line)["computation"] for line in issued.lines]
    assert told == ["30.00 for the period, all 1 days", "30.00 for the period, all 30 days"]
    assert found(tally) == []


@pytest.mark.parametrize("corrected", [5, 40])
def test_an_as_of_document_never_changes(tally, tmp_path, corrected):
    publish(tally, counted_package())
    open_account(tally, "acme")
    start(tally, "l1", "acme", "counted")
    take_in(tally, write_csv(tmp_path / "c.csv", READINGS, ["l1,users,2025-01-07,20,a"]))
    run_billing(tally, FEBRUARY, FEBRUARY)
    with tally.pool.connection() as connection:
        before = document(connection, "INV-000001")
    take_in(tally, write_csv(tmp_path / "d.csv", READINGS, [f"l1,users,2025-01-07,{corrected},b"]))
    run_billing(tally, FEBRUARY, FEBRUARY)
    with tally.pool.connection() as connection:
        assert document(connection, "INV-000001") == before
    second = "credit_note" if corrected < 20 else "invoice"
    assert sorted(row[1] for row in books(tally)) == sorted(["invoice", second])
    assert found(tally) == []
