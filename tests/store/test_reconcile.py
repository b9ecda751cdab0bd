"""Our books and a provider's agree to the cent, and what differs is named, whichever side lacks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest

from adapters.bootstrap import Tally
from domain.application.payments import BookReceipt, issued
from domain.application.returns import GiveBack
from domain.news import Movement
from domain.statement import Statement, Transfer
from jobs.bank import allocate_transfer, import_statements, settle_transfers
from jobs.reconcile import IS_PAYOUT, reconcile
from tests.simulated_provider import Simulated
from tests.store.test_payments import an_invoice

SINCE, UNTIL = datetime(2025, 1, 10, tzinfo=UTC), datetime(2025, 2, 20, tzinfo=UTC)
FEBRUARY = date(2025, 2, 1)


class Books(Simulated):
    """A provider that shows its books."""

    def __init__(self, *lines: Movement) -> None:
        super().__init__()
        self.lines = lines

    def movements(self, since: datetime, until: datetime) -> Iterator[Movement]:
        return (line for line in self.lines if since <= line.at < until)


def line(kind: str, amount: int, payment: str = "ch_1", name: str = "t", payout: str = "", fee: int = 0) -> Movement:
    return Movement(name, kind, datetime(2025, 2, 1, tzinfo=UTC), amount, fee, "EUR", payment, payout)


def differences(tally: Tally, *lines: Movement) -> list[tuple[str, str, int | None, int | None]]:
    tally.follower().catch_up()
    return [one[:4] for one in reconcile(Books(*lines), tally.pool, SINCE, UNTIL).differences]


@pytest.fixture
def booked(tally: Tally) -> Tally:
    """A payment of 23.80 EUR in our books."""
    invoice = an_invoice(tally)
    account = issued(tally.billing, invoice).account
    tally.billing.execute(BookReceipt(account, "EUR", "stripe:ch_1", "stripe", 2380, FEBRUARY, invoices=(invoice,)))
    tally.billing.execute(GiveBack(account, "EUR", "stripe:ch_1", "re_1", "refund", 380, FEBRUARY))
    return tally


def test_books_that_agree_say_nothing(booked):
    assert differences(booked, line("payment", 2380), line("refund", -380)) == []
    failed = (line("refund", -500), line("refund_failed", 500), line("dispute", -2000), line("dispute_won", 2000))
    assert differences(booked, line("payment", 2380), line("refund", -380), *failed) == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], ("missing payment", "ch_1", 2380, None)),
        ([line("payment", 2380)], ("returned", "ch_1", 2000, 2380)),
        ([line("payment", 2381)], ("amount", "ch_1", 2380, 2381)),
        (
            [line("payment", 2380), line("refund", -380), line("payment", 5, "ch_2")],
            ("missing receipt", "ch_2", None, 5),
        ),
    ],
)
def test_whatever_differs_is_named_with_both_sides(booked, lines, found):
    assert differences(booked, *lines) == [found]


def test_a_payout_is_the_sum_of_its_lines_and_a_line_of_the_bank_that_nobody_allocates(booked):
    taken = (line("payment", 2380, payout="po_1", fee=60), line("refund", -380, payout="po_1"))
    payout = line("payout", -1940, "", "po_1")
    assert differences(booked, *taken, payout) == [("not at the bank", "po_1", None, 1940)]
    transfer = Transfer(FEBRUARY, 1940, "STRIPE X1Y2", "Stripe Payments", reference="b1")
    import_statements(booked.pool, [Statement("DE1", "1", "EUR", 0, 1940, FEBRUARY, (transfer,))], new_account=True)
    settle_transfers(booked.billing, booked.pool)
    assert differences(booked, *taken, payout) == []
    assert differences(booked, *taken, payout) == [], "a second time it is known"
    with booked.pool.connection() as connection:
        ((name, state),) = connection.execute("SELECT transfer, state FROM bank_transfer").fetchall()
    assert state == "payout"
    with pytest.raises(Exception, match="is payout"):
        allocate_transfer(booked.billing, booked.pool, name, ["INV-000001"])
    wrong = line("payout", -1941, "", "t2", "po_1")
    assert ("payout", "po_1", 1940, 1941) in differences(booked, *taken, wrong)


class Meanwhile:
    """Connections on which something happens just before a transfer is marked as a payout, once."""

    def __init__(self, inner: Any, happens: Callable[[], None]) -> None:
        self._inner, self._happens, self._done = inner, happens, False

    @contextmanager
    def connection(self) -> Iterator[Meanwhile]:
        with self._inner.connection() as self._connection:
            yield self

    def execute(self, statement: Any, values: Any) -> Any:
        if statement == IS_PAYOUT and not self._done:
            self._done = True
            self._happens()
        return self._connection.execute(statement, values)


def test_a_transfer_that_is_allocated_while_payouts_are_looked_for_is_not_taken_for_one(booked):
    payout = (line("payment", 2380, payout="po_1"), line("refund", -380, payout="po_1"), line("payout", -2000, "", "p"))
    transfer = Transfer(FEBRUARY, 2000, "Stripe would not do", "Acme", reference="b1")
    import_statements(booked.pool, [Statement("DE1", "1", "EUR", 0, 2000, FEBRUARY, (transfer,))], new_account=True)
    settle_transfers(booked.billing, booked.pool)
    booked.follower().catch_up()
    with booked.pool.connection() as connection:
        ((name,),) = connection.execute("SELECT transfer FROM bank_transfer").fetchall()
    pool: Any = Meanwhile(booked.pool, lambda: allocate_transfer(booked.billing, booked.pool, name, ["INV-000001"]))
    found = reconcile(Books(*payout), pool, SINCE, UNTIL)
    assert (found.at_bank, [one.what for one in found.differences][-1]) == (0, "not at the bank")
    with booked.pool.connection() as connection:
        assert connection.execute("SELECT state FROM bank_transfer").fetchall() == [("settled",)]


def test_a_transfer_that_was_booked_and_not_yet_marked_is_no_payout(booked):
    """As a worker leaves it that is killed between the two."""
    transfer = Transfer(FEBRUARY, 2000, "Stripe would not do", "Acme", reference="b1")
    import_statements(booked.pool, [Statement("DE1", "1", "EUR", 0, 2000, FEBRUARY, (transfer,))], new_account=True)
    settle_transfers(booked.billing, booked.pool)
    booked.follower().catch_up()
    with booked.pool.connection() as connection:
        ((name,),) = connection.execute("SELECT transfer FROM bank_transfer").fetchall()
        ((account,),) = connection.execute("SELECT DISTINCT account FROM receipt_v1").fetchall()
    booked.billing.execute(BookReceipt(account, "EUR", f"bank:{name}", "bank", 2000, FEBRUARY))
    booked.follower().catch_up()
    assert reconcile(Books(line("payout", -2000, "", "p")), booked.pool, SINCE, UNTIL).at_bank == 0
