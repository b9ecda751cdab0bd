"""What a worker of the protocol of payments does, in a process of its own that can be killed at any of its points.

Each story is what one worker is told to do and, since a successor is told the same, also what recovers it. They run on
a real PostgreSQL and talk to the sandbox, which is another process's and survives them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from adapters.bootstrap import Tally
from adapters.providers.stripe import StripePayments
from domain.account import Account
from domain.application.accounts import AddPaymentMethod, SetCreditRule
from domain.application.payments import BookReceipt, collection, issued, receivables
from domain.application.returns import OpenRefund
from domain.credit_rule import CreditRule
from jobs.collect import Collector
from jobs.dun import Dunner, Wanted
from jobs.payout import Payer
from jobs.refund import Refunder, follow_refunds
from jobs.take_in import Processor, catch_up
from tests.doors import Doors, PoolDoors, Step, at, behind, kill_nine

NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)
FIRST_STEP = date(2025, 2, 18)
PAYDAY = date(2025, 2, 10)
MUCH_LATER = timedelta(minutes=5)
"""What a killed worker had put off is due again by then."""


class Worker(NamedTuple):
    """A worker behind doors. Shapes: `billing`, `pool` and `stripe` count their points."""

    tally: Tally
    billing: Any
    pool: Any
    stripe: Any

    @property
    def collector(self) -> Collector:
        return Collector(self.billing, {"stripe": self.stripe}, lambda: NOW)


Story = Callable[[Worker, UUID], None]


class Play(NamedTuple):
    """A story, what has to be there before it, and how many points it has: another one fails until it is counted."""

    story: Story
    points: int
    before: Story = lambda worker, invoice: None


def give_a_card(worker: Worker, invoice: UUID) -> None:
    """The payer of an invoice may be charged from now on."""
    account = worker.tally.billing.find(Account, issued(worker.tally.billing, invoice).account, "account")
    worker.tally.billing.execute(AddPaymentMethod(account.reference, "stripe", "cus_1", "pm_card_visa"))


def charge(method: str) -> Story:
    """Takes up the live attempt of an invoice, or begins one."""

    def story(worker: Worker, invoice: UUID) -> None:
        held = collection(worker.tally.billing, invoice)
        if held.live:
            worker.collector.carry_on(held.live)
        elif not held.attempts:
            worker.collector.begin(invoice, "stripe", "cus_1", method)

    return story


def give_back(worker: Worker, invoice: UUID) -> None:
    """Gives a part of what paid an invoice back, once."""
    found = issued(worker.tally.billing, invoice)
    money = receivables(worker.tally.billing, found.account, "EUR")
    refunder = Refunder(worker.billing, {"stripe": worker.stripe}, lambda: NOW)
    for standing in money.refunds.values():
        refunder.carry_on(standing)
    if not money.refunds:
        (receipt,) = money.receipts
        refunder.begin(OpenRefund(found.account, "EUR", receipt, NOW, 500))


def hear(worker: Worker, invoice: UUID) -> None:
    """Keeps all that Stripe has to tell, and deals with it."""
    catch_up(worker.stripe, worker.pool, datetime.now(UTC))
    collector = Collector(worker.billing, {"stripe": worker.stripe}, lambda: datetime.now(UTC) + MUCH_LATER)
    Processor(collector, worker.pool, worker.tally.follower().catch_up).process()


def chase(worker: Worker, invoice: UUID) -> None:
    """Takes up what was left behind, and lets an overdue invoice take its first step: a reminder, and a charge."""
    held = collection(worker.tally.billing, invoice)
    if held.live:
        worker.collector.carry_on(held.live)
    Dunner(worker.billing, worker.collector, FIRST_STEP).turn(Wanted(invoice, "", arrived=False))


def owe_credit(worker: Worker, invoice: UUID) -> None:
    """The payer's card paid the invoice, and it has credit: of a credit note, and of money that came by hand."""
    charge("pm_card_visa")(worker, invoice)
    found, billing = issued(worker.tally.billing, invoice), worker.tally.billing
    reference = billing.find(Account, found.account, "account").reference
    billing.execute(SetCreditRule(reference, CreditRule("idle", after=5)))
    for source, amount in (("credit_note", 500), ("manual", 300)):
        name = f"{source}:{found.document}"
        billing.execute(BookReceipt(found.account, "EUR", name, source, amount, NOW.date()))  # type: ignore[arg-type]


def pay_out(worker: Worker, invoice: UUID) -> None:
    """Takes up the refunds that were left behind, and pays out the credit of a payer."""
    follow = worker.tally.follower().catch_up
    follow()
    follow_refunds(Refunder(worker.billing, {"stripe": worker.stripe}, lambda: NOW + MUCH_LATER), worker.pool)
    refunder = Refunder(worker.billing, {"stripe": worker.stripe}, lambda: NOW)
    Payer(refunder, worker.pool, worker.tally.packages, follow).pay_out(PAYDAY)


PLAYS = {
    "a card is charged": Play(charge("pm_card_visa"), 10),
    "a card declines": Play(charge("pm_card_chargeDeclined"), 14),
    "a bank wants its customer": Play(charge("pm_card_authenticationRequired"), 10),
    "a refund": Play(give_back, 6, charge("pm_card_visa")),
    "a dispute is heard of": Play(hear, 58, charge("pm_card_createDispute")),
    "an overdue invoice is chased": Play(chase, 12, give_a_card),
    "credit is paid out": Play(pay_out, 22, owe_credit),
}


def live(dsn: str, url: str, name: str, invoice: UUID, step: int) -> None:
    """Lives a story until its nth point, where the process is killed, or to its end."""
    with Tally(dsn) as tally:
        PLAYS[name].story(behind_doors(tally, url, at(step, kill_nine)), invoice)


def behind_doors(tally: Tally, url: str, step: Step = lambda: None) -> Worker:
    """A worker whose every commit and call is a point."""
    stripe = StripePayments("sk_test_1", url, timeout=5)
    billing = Doors(tally.billing, ("execute",), step)
    return Worker(tally, billing, PoolDoors(tally.pool, step), behind(stripe, step))
