"""The rows of money: many events at once come to what they come to one by one."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest

from domain.events import Event, collection, encode, receivables
from projections.projection import Entry
from projections.receivables import Receivables

DAY, NOON = date(2025, 1, 1), datetime(2025, 1, 1, 12, tzinfo=UTC)


def booked(account: UUID, receipt: str) -> Event:
    return receivables.ReceiptBooked(
        account=account, currency="EUR", receipt=receipt, source="bank", amount=100, received_on=DAY
    )


def began(account: UUID, invoice: UUID, attempt: UUID) -> Event:
    return collection.AttemptOpened(
        attempt=attempt, invoice=invoice, document="I", account=account, reference="a", provider="stripe",
        customer="", method="", amount=5, currency="EUR", opened_at=NOON,
    )  # fmt: skip


def told_of_money(choose: random.Random) -> list[Event]:
    """Some receipts, invoices and attempts, and what may be told of them, in any order once they are there."""
    account, invoices, attempts = uuid4(), [uuid4(), uuid4()], [uuid4(), uuid4()]
    opened = [
        *(booked(account, receipt) for receipt in "rs"),
        *(began(account, invoices[0], attempt) for attempt in attempts),
    ]
    later = []
    for _ in range(choose.randint(1, 30)):
        receipt, invoice, attempt = choose.choice("rs"), choose.choice(invoices), choose.choice(attempts)
        amount, word = choose.randint(1, 50), choose.choice(["", "x", "y"])
        moved = {"receipt": receipt, "amount": amount, "on": DAY}
        later.append(choose.choice([
            receivables.Allocated(**moved, invoice=invoice, left=choose.choice([0, amount])),
            receivables.Deallocated(**moved, invoice=invoice, left=amount),
            receivables.MoneyReturned(**moved, return_id=word, kind="refund"),
            receivables.ReturnUndone(**moved, return_id=word),
            receivables.PaidInstead(**moved, instead_of=choose.choice("rs"), invoice=invoice),
            collection.ObjectBound(attempt=attempt, object=word, url=word),
            collection.OutcomeLearned(attempt=attempt, state="pending", payment=word, code=word, url=word),
        ]))  # fmt: skip
    return opened + later


@pytest.mark.parametrize("seed", range(12))
def test_events_of_money_come_to_the_same_rows_all_at_once_and_one_by_one(tally, seed):
    entries = [
        Entry(7, position, uuid4(), 1, event.stored_as, encode(event))
        for position, event in enumerate(told_of_money(random.Random(seed)), start=1)
    ]
    found = []
    for parts in ([entries], [[entry] for entry in entries]):
        with tally.pool.connection() as connection, connection.transaction(force_rollback=True):
            cursor = connection.cursor()
            for part in parts:
                Receivables().apply(cursor, part)
            found.append([sorted(cursor.execute(f"SELECT * FROM {t}".encode()), key=str) for t in Receivables.tables])
    assert found[0] == found[1]
    assert len(found[0][1]) == 2
