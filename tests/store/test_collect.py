"""The protocol of collecting: whatever is lost and wherever it is killed, nobody is charged twice or for nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from domain.application.accounts import AddPaymentMethod
from domain.application.payments import BookReceipt, collection, issued, receivables
from domain.collection import Attempt
from domain.errors import Conflict, Invalid
from domain.payment import Reply
from jobs.collect import Collector
from jobs.collect_open import collect_open
from jobs.verify import verify
from tests.builders import declared_package, open_account, publish, start
from tests.doors import Doors, Killed, at, behind, killed
from tests.simulated_provider import Fault, Simulated

FEBRUARY = date(2025, 2, 1)
NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)


def invoices(tally: Tally, count: int) -> list[UUID]:
    """Invoices of accounts of their own, each over 23.80 EUR."""
    publish(tally, declared_package())
    for number in range(count):
        open_account(tally, f"a{number}")
        start(tally, f"l{number}", f"a{number}", "declared", FEBRUARY, quantities={"seats": 10})
    run_billing(tally, FEBRUARY, FEBRUARY)
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        return [one for (one,) in connection.execute("SELECT invoice FROM receivable_v1 ORDER BY number").fetchall()]


def collector(tally: Tally, provider: Any, step: Callable[[], None] = lambda: None) -> Collector:
    billing: Any = Doors(tally.billing, ("execute",), step)
    return Collector(billing, {"stripe": behind(provider, step)}, lambda: NOW)


def work(collecting: Collector, tally: Tally, invoice: UUID, method: str) -> Attempt:
    """What any worker does with an invoice: takes up what is live, else begins."""
    live = collection(tally.billing, invoice).live
    return collecting.carry_on(live) if live else collecting.begin(invoice, "stripe", "cus", method)


def at_rest(tally: Tally, provider: Simulated, invoice: UUID) -> None:
    """The books agree with the provider's, and nothing is under way."""
    found = issued(tally.billing, invoice)
    money = receivables(tally.billing, found.account, found.currency)
    attempts = collection(tally.billing, invoice)
    taken = [attempt for attempt in attempts.attempts.values() if attempt.state == "succeeded"]
    assert attempts.live is None
    assert len(taken) == provider.captures[invoice] <= 1
    assert money.open_amount(invoice, found.gross) == (0 if taken else found.gross)
    assert money.credit == 0


def killed_at(step: int) -> Callable[[], None]:
    return at(step, killed)


@pytest.mark.parametrize(("method", "steps"), [("visa", 10), ("declines", 14)])
def test_killed_before_or_after_every_call_and_commit_it_is_taken_up_where_it_was(tally, method, steps):
    for step, invoice in enumerate(invoices(tally, steps + 1)):
        provider = Simulated()
        if step < steps:
            with pytest.raises(Killed):
                work(collector(tally, provider, killed_at(step)), tally, invoice, method)
        else:  # there are no more steps than these: a new one fails here until it is counted
            work(collector(tally, provider, killed_at(step)), tally, invoice, method)
        ended = collection(tally.billing, invoice)
        if ended.live or not ended.attempts:
            work(collector(tally, provider), tally, invoice, method)
        at_rest(tally, provider, invoice)
        assert provider.captures[invoice] == (method == "visa")
        states = [(attempt.state, attempt.code) for attempt in collection(tally.billing, invoice).attempts.values()]
        assert states == [("succeeded", "")] if method == "visa" else [("cancelled", "insufficient_funds")]
    assert [check.name for check in verify(tally.pool) if check.found] == []


def test_whatever_answers_and_workers_are_lost_nobody_is_charged_twice(tally):
    for seed, invoice in enumerate(invoices(tally, 60)):
        chance = random.Random(seed)
        faults: tuple[Fault, ...] = ("", "", "before", "after")
        provider = Simulated(lambda chance=chance, faults=faults: chance.choice(faults))
        method = chance.choice(["visa", "visa", "declines"])
        for _ in range(6):
            if provider.captures[invoice] and not collection(tally.billing, invoice).live:
                break
            try:
                work(collector(tally, provider, killed_at(chance.randrange(20))), tally, invoice, method)
            except Killed:
                continue
        provider.fault = lambda: ""
        if _is_owed(tally, invoice):
            work(collector(tally, provider), tally, invoice, method)
        at_rest(tally, provider, invoice)
    tally.follower().catch_up()
    assert [check.name for check in verify(tally.pool) if check.found] == []


def _is_owed(tally: Tally, invoice: UUID) -> bool:
    found = issued(tally.billing, invoice)
    return receivables(tally.billing, found.account, found.currency).open_amount(invoice, found.gross) > 0


def test_workers_who_take_up_the_same_attempt_at_once_charge_once(tally):
    (invoice,) = invoices(tally, 1)
    provider = Simulated()
    with pytest.raises(Killed):
        work(collector(tally, provider, killed_at(4)), tally, invoice, "visa")
    attempt = collection(tally.billing, invoice).live
    with ThreadPoolExecutor(6) as workers:
        ends = list(workers.map(lambda _: collector(tally, provider).carry_on(attempt).state, range(6)))
    assert set(ends) == {"succeeded"}
    at_rest(tally, provider, invoice)


def test_an_invoice_that_was_paid_meanwhile_is_not_charged(tally):
    (invoice,) = invoices(tally, 1)
    provider = Simulated()
    with pytest.raises(Killed):
        work(collector(tally, provider, killed_at(6)), tally, invoice, "visa")
    found = issued(tally.billing, invoice)
    tally.billing.execute(BookReceipt(found.account, "EUR", "bank:1", "bank", 2380, FEBRUARY, invoices=(invoice,)))
    assert work(collector(tally, provider), tally, invoice, "visa").state == "cancelled"
    assert provider.captures[invoice] == 0
    with pytest.raises(Invalid, match="owed nothing"):
        work(collector(tally, provider), tally, invoice, "visa")


def test_money_that_does_not_fit_one_invoice_does_not_stop_the_others(tally):
    first, second = invoices(tally, 2)
    for number in range(2):
        tally.billing.execute(AddPaymentMethod(f"a{number}", "stripe", "cus", "visa"))
    provider = Simulated()
    asked = provider._answer

    def too_much(object_id: str) -> Reply:
        answer = asked(object_id)
        wrong = answer.state == "succeeded" and provider.orders[object_id].invoice == first
        return msgspec.structs.replace(answer, amount=9999) if wrong else answer

    provider._answer = too_much  # type: ignore[method-assign]
    collecting = collector(tally, provider)
    assert collect_open(collecting, tally.pool) == {"does not fit": 1, "succeeded": 1}
    assert collection(tally.billing, first).live is not None
    at_rest(tally, provider, second)


@pytest.mark.parametrize("answer", ["made", "lost", "not there"])
def test_stopping_an_attempt_whose_object_is_not_known_looks_for_it_first(tally, answer):
    (invoice,) = invoices(tally, 1)
    provider = Simulated()
    with pytest.raises(Killed):
        work(collector(tally, provider, killed_at(2 if answer == "not there" else 3)), tally, invoice, "visa")
    attempt = collection(tally.billing, invoice).live
    assert attempt is not None
    assert not attempt.object
    if answer == "lost":
        provider.fault = lambda: "before"
    stopped = collector(tally, provider).stop(attempt)
    assert stopped.state == ("unknown" if answer == "lost" else "cancelled")
    assert set(provider.states.values()) == {"made": {"cancelled"}, "lost": {"open"}, "not there": set()}[answer]


def test_an_attempt_is_not_taken_for_over_by_who_looked_for_its_object_before_it_was_made(tally):
    """One finds no object and is slow to say so; meanwhile another makes it, looks at the books and moves the money."""
    (invoice,), provider, slow = invoices(tally, 1), Simulated(), Simulated()
    with pytest.raises(Killed):
        work(collector(tally, provider, killed_at(2)), tally, invoice, "visa")
    attempt = collection(tally.billing, invoice).live
    assert attempt is not None

    def find(order: Any) -> None:
        with pytest.raises(Killed):  # where the other stands just before he moves the money
            collector(tally, provider, killed_at(6)).carry_on(attempt)

    slow.find = find  # type: ignore[method-assign]
    collector(tally, slow).stop(attempt)
    with pytest.raises(Conflict, match="live attempt"):
        collector(tally, provider).begin(invoice, "stripe", "cus", "visa")
    provider.confirm(attempt.order(), attempt.opened.attempt.hex)
    assert work(collector(tally, provider), tally, invoice, "visa").state == "succeeded"
    at_rest(tally, provider, invoice)
