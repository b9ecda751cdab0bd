"""Bank files against real invoices: each transfer is booked once, pays what it names, or waits for a person."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from domain.errors import Conflict, Invalid, NotFound, Refusal
from domain.statement import Statement, Transfer
from jobs import bank
from jobs.verify import verify
from tests.builders import declared_package, open_account, publish, start

FEBRUARY, DAY = date(2025, 2, 1), date(2025, 2, 3)
ACCOUNT = "DE02120300000000202051"


@pytest.fixture
def business(tally: Tally) -> Tally:
    """Three accounts that pay for themselves, each owing 23.80 EUR: INV-000001 to INV-000003."""
    publish(tally, declared_package())
    for name in ("acme", "bolt", "cask"):
        open_account(tally, name)
        start(tally, f"{name}-license", name, "declared", FEBRUARY, quantities={"seats": 10})
    run_billing(tally, FEBRUARY, FEBRUARY)
    return tally


def told(tally: Tally, *transfers: tuple[int, str], opening: int = 0, number: str = "1") -> bank.Imported:
    found = tuple(
        Transfer(DAY, amount, text, "Jane", "", f"{number}-{n}") for n, (amount, text) in enumerate(transfers)
    )
    closing = opening + sum(amount for amount, _ in transfers)
    statement = Statement(ACCOUNT, number, "EUR", opening, closing, DAY, found)
    imported = bank.import_statements(tally.pool, [statement], new_account=True)
    settle(tally)
    return imported


def settle(tally: Tally) -> None:
    tally.follower().catch_up()
    bank.settle_transfers(tally.billing, tally.pool)
    tally.follower().catch_up()
    assert [f"{check.name}: {check.found}" for check in verify(tally.pool) if check.found] == []


def left(tally: Tally) -> list[int]:
    with tally.pool.connection() as connection:
        return [n for (n,) in connection.execute("SELECT left_open FROM receivable_v1 ORDER BY number").fetchall()]


def credit(tally: Tally) -> int:
    with tally.pool.connection() as connection:
        return int(connection.execute("SELECT coalesce(sum(credit), 0) FROM receipt_v1").fetchone()[0])  # type: ignore[index]


def waiting(tally: Tally) -> list[bank.Waiting]:
    return bank.listed(tally.pool, "suspense")


def test_a_transfer_that_names_an_invoice_settles_it_and_a_second_import_changes_nothing(business):
    first = told(business, (2380, "INV-000001"))
    again = told(business, (2380, "INV-000001"))
    assert (first.new, first.known, again.new, again.known) == (1, 0, 0, 1)
    assert (left(business), credit(business)) == ([0, 2380, 2380], 0)


@pytest.mark.parametrize(
    ("transfers", "open_after", "credit_after", "in_suspense"),
    [
        ([(2379, "INV-000001")], [1, 2380, 2380], 0, 0),
        ([(2381, "inv 1")], [0, 2380, 2380], 1, 0),
        ([(1000, "INV-000001"), (1380, "INV-000001")], [0, 2380, 2380], 0, 0),
        ([(2380, "INV-000001"), (2380, "INV-000001")], [0, 2380, 2380], 2380, 0),
        ([(4760, "INV-000001 INV-000002")], [2380, 2380, 2380], 0, 1),
        ([(2380, "thanks")], [2380, 2380, 2380], 0, 1),
        ([(2380, "INV-000009")], [2380, 2380, 2380], 0, 1),
        ([(-2380, "INV-000001")], [2380, 2380, 2380], 0, 1),
        ([(2380, "STRIPE PAYOUT INV-000001")], [2380, 2380, 2380], 0, 1),
        ([(2380, "INV-000001 =cmd|' /C calc'!A0 <script> ‮ 😀")], [0, 2380, 2380], 0, 0),
    ],
)
def test_what_a_transfer_pays_is_certain_or_left_to_a_person(
    business, transfers, open_after, credit_after, in_suspense
):
    told(business, *transfers)
    assert (left(business), credit(business), len(waiting(business))) == (open_after, credit_after, in_suspense)


def test_a_person_allocates_what_waits_once_and_the_rest_is_credit(business):
    told(business, (5000, "for the two of us"))
    (one,) = waiting(business)
    assert bank.suggestions(business.pool, one) == []
    with pytest.raises(Conflict, match="several accounts"):
        bank.allocate_transfer(business.billing, business.pool, one.transfer, ["INV-000001", "INV-000002"])
    with pytest.raises(NotFound, match="INV-000077"):
        bank.allocate_transfer(business.billing, business.pool, one.transfer, ["INV-000077"])
    bank.allocate_transfer(business.billing, business.pool, one.transfer, ["INV-000002"])
    settle(business)
    assert (left(business), credit(business), waiting(business)) == ([2380, 0, 2380], 2620, [])
    with pytest.raises(Conflict, match="is settled"):
        bank.allocate_transfer(business.billing, business.pool, one.transfer, ["INV-000001"])


def test_a_direct_debit_that_comes_back_opens_the_invoice_again(business):
    told(business, (2380, "INV-000001"))
    told(business, (-2380, "RETURN AC04"), opening=2380, number="2")
    with business.pool.connection() as connection:
        (receipt,) = connection.execute("SELECT receipt FROM receipt_v1").fetchone()
    (one,) = waiting(business)
    with pytest.raises(Invalid):
        bank.allocate_transfer(business.billing, business.pool, one.transfer, ["INV-000001"])
    bank.return_transfer(business.billing, business.pool, one.transfer, receipt)
    settle(business)
    assert (left(business), credit(business)) == ([2380, 2380, 2380], 0)


def test_a_transfer_out_takes_back_one_receipt_however_many_say_so_at_once(business):
    told(business, (2380, "INV-000001"), (2380, "INV-000002"))
    told(business, (-2380, "RETURN AC04"), opening=4760, number="2")
    (one,) = waiting(business)
    with business.pool.connection() as connection:
        receipts = [name for (name,) in connection.execute("SELECT receipt FROM receipt_v1").fetchall()]

    def say(receipt: str) -> bool:
        try:
            bank.return_transfer(business.billing, business.pool, one.transfer, receipt)
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(2) as people:
        assert sum(people.map(say, receipts)) == 1
    settle(business)
    assert sorted(left(business)) == [0, 2380, 2380]


def test_a_transfer_that_two_people_allocate_at_once_is_booked_once_and_one_of_them_is_told(business):
    told(business, (2380, "thanks"))
    (one,) = waiting(business)

    def say(number: str) -> bool:
        try:
            bank.allocate_transfer(business.billing, business.pool, one.transfer, [number])
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(3) as people:
        assert sum(people.map(say, ["INV-000001", "INV-000002", "INV-000001"])) == 1
    settle(business)
    assert sorted(left(business)) == [0, 2380, 2380]


def test_a_statement_of_a_foreign_account_is_refused_and_a_gap_is_told(business):
    unknown = Statement("DE89370400440532013000", "1", "EUR", 0, 0, DAY, ())
    with pytest.raises(Conflict, match="--new-account"):
        bank.import_statements(business.pool, [unknown])
    told(business, (100, "a"))
    later = Statement(ACCOUNT, "3", "EUR", 777, 777, date(2025, 2, 9), ())
    assert "does not open where" in bank.import_statements(business.pool, [later]).alarms[0]
    with pytest.raises(Conflict, match="USD"):
        bank.import_statements(business.pool, [Statement(ACCOUNT, "4", "USD", 0, 0, DAY, ())])


def _settle_and_die(dsn: str, at: int) -> None:
    """Settles transfers, and is killed before or after one of its steps: booked but not marked, or neither."""
    steps = iter(range(100))

    def step(doing):  # type: ignore[no-untyped-def]
        def stepped(*words, **more):  # type: ignore[no-untyped-def]
            if next(steps) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = doing(*words, **more)
            if next(steps) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return stepped

    bank._book, bank._mark = step(bank._book), step(bank._mark)
    with Tally(dsn) as tally:
        bank.settle_transfers(tally.billing, tally.pool)


@pytest.mark.parametrize("at", range(9))
def test_killed_between_any_two_steps_each_transfer_is_still_booked_once(business, dsn, at):
    transfers = ((2380, "INV-000001"), (2380, "INV-000002"))
    found = tuple(Transfer(DAY, amount, text, "", "", f"r{n}") for n, (amount, text) in enumerate(transfers))
    bank.import_statements(business.pool, [Statement(ACCOUNT, "1", "EUR", 0, 4760, DAY, found)], new_account=True)
    business.follower().catch_up()
    process = multiprocessing.get_context("fork").Process(target=_settle_and_die, args=(dsn, at))
    process.start()
    process.join()
    assert process.exitcode == (-signal.SIGKILL if at < 8 else 0)
    settle(business)
    assert (left(business), credit(business), bank.listed(business.pool, "new")) == ([0, 0, 2380], 0, [])


def test_what_a_person_allocates_while_transfers_are_settled_stays_settled(business):
    transfers = (Transfer(DAY, 2380, "thanks", "Jane", "", "t1"), Transfer(DAY, 2380, "thanks", "Jane", "", "t2"))
    statement = Statement(ACCOUNT, "1", "EUR", 0, 4760, DAY, transfers)
    bank.import_statements(business.pool, [statement], new_account=True)
    business.follower().catch_up()
    names = [one.transfer for one in bank.listed(business.pool, "new")]

    def meanwhile(done: int) -> None:
        if open_now := [one for one in bank.listed(business.pool, "new") if one.transfer == names[-1]]:
            bank.allocate_transfer(business.billing, business.pool, open_now[0].transfer, ["INV-000001"])

    counts = bank.settle_transfers(business.billing, business.pool, meanwhile)
    assert counts == {"suspense": 1, "settled": 1}
    settle(business)
    assert [one.transfer for one in waiting(business)] == [names[0]]
