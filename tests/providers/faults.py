"""Invoices are collected and refunded through a network that fails half of the time; the sandbox's books are the judge.

`make provider-faults CALLS=20000` plays a longer one. Workers are killed between calls, keys expire, customers pay on
pages, debits come back, hints come in any order: nobody is charged twice, and no refund is given twice.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import requests

from adapters.bootstrap import Tally
from adapters.embedded import Embedded
from adapters.sandbox.server import Fault, Sandbox
from domain.application.payments import collection, issued, receivables
from domain.application.returns import OpenRefund
from domain.collection import Attempt
from domain.errors import Conflict, Invalid, Unavailable
from jobs.collect import Collector
from jobs.news import Reader
from jobs.refund import Refunder
from tests.providers.stripe_world import BACK, DAY, FAULTS, NOW, press, sandbox_now, stripe_at, told
from tests.store.test_collect import invoices

METHODS = ("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_success_de",
           "pm_failed_de", "pm_card_refundFail", "pm_card_pendingRefund")  # fmt: skip


HINTS = 100
"""How many events are taken in at the end: reading each of them is a call or two."""


class Rough:
    """A business whose provider is reached by a bad network. Shapes: `calls` is how many requests were made."""

    def __init__(self, tally: Tally, sandbox: Sandbox, seed: int) -> None:
        self.tally, self.sandbox, self.chance = tally, sandbox, random.Random(seed)
        self.calls, self.rough = 0, True
        providers = {"stripe": stripe_at(sandbox)}
        self.collector = Collector(tally.billing, providers, self.now)
        self.refunder = Refunder(tally.billing, providers, self.now)
        sandbox.fault = self.fault

    def now(self) -> datetime:
        """The sandbox's time is ours."""
        return NOW + timedelta(seconds=self.sandbox.clock.ahead)

    def fault(self) -> Fault:
        """What the network does to a request."""
        self.calls += 1
        return self.chance.choice(FAULTS) if self.rough and self.chance.random() < 0.5 else ""

    def step(self, invoice: UUID) -> None:
        """Something is done about an invoice, by whoever."""
        doing: Callable[[UUID], object] = self.chance.choice(
            (self.collect, self.collect, self.offer, self.customer, self.refund, self.time, self.refund)
        )
        try:
            doing(invoice)
        except (Conflict, Invalid, Unavailable, requests.RequestException):
            return

    def collect(self, invoice: UUID) -> None:
        """A worker takes an invoice up, or begins."""
        live = collection(self.tally.billing, invoice).live
        if live is None:
            self.collector.begin(invoice, "stripe", f"cus_{invoice.int % 10**6}", self.chance.choice(METHODS))
        elif self.chance.random() < 0.1:
            self.collector.stop(live)
        else:
            self.collector.carry_on(live)

    def offer(self, invoice: UUID) -> None:
        """The customer is sent to a page."""
        self.collector.offer(invoice, "stripe", BACK)

    def customer(self, invoice: UUID) -> None:
        """The customer approves what waits, or pays on the page."""
        live = collection(self.tally.billing, invoice).live
        if live and live.object and not live.url:
            live = self.collector.authenticate(live)
        if live and live.url:
            press(live.url, self.chance.choice(("pay", "decline", "authenticate")), self.chance.choice(METHODS))

    def refund(self, invoice: UUID) -> None:
        """A part of what came in goes back, or what is under way is asked about."""
        found = issued(self.tally.billing, invoice)
        money = receivables(self.tally.billing, found.account, found.currency)
        for standing in money.refunds.values():
            if standing.state in ("open", "pending"):
                self.refunder.carry_on(standing)
        for name, receipt in money.receipts.items():
            if receipt.kept > 1:
                part = self.chance.randint(1, receipt.kept)
                self.refunder.begin(OpenRefund(found.account, found.currency, name, self.now(), part))

    def time(self, _: UUID) -> None:
        """Now and then so much time passes that keys are forgotten, or debits are settled."""
        if self.chance.random() < 0.02:
            self.sandbox.clock.advance(self.chance.choice((25 * 3600, 6 * DAY)))

    def rest(self, invoice: UUID) -> None:
        """The network is good again: everything under way comes to its end."""
        for _ in range(3):
            live = collection(self.tally.billing, invoice).live
            if live:
                self._end(live)
            self._follow(invoice)
            self.sandbox.clock.advance(15 * DAY)

    def _end(self, live: Attempt) -> None:
        seen = self.collector.carry_on(live)
        if seen.live:
            self.collector.stop(seen)

    def _follow(self, invoice: UUID) -> None:
        found = issued(self.tally.billing, invoice)
        for standing in receivables(self.tally.billing, found.account, found.currency).refunds.values():
            if standing.state != "failed":
                self.refunder.carry_on(standing)

    def take_in(self) -> Counter[str]:
        """Everything that the provider tells, in any order and some of it twice; what became of it."""
        self.tally.follower().catch_up()
        reader = Reader(self.collector, self.tally.pool, "stripe")
        hints = told(self.sandbox)
        hints = self.chance.sample(hints, min(len(hints), HINTS)) + self.chance.sample(hints, min(len(hints), 20))
        provider = stripe_at(self.sandbox)
        return Counter(reader.take_in(news)[0] for hint in hints for news in provider.news(hint))

    def judge(self, invoice: UUID) -> None:
        """Our books and the provider's say the same, and nothing moved twice."""
        books, found = self.sandbox.stripe.books, issued(self.tally.billing, invoice)
        money = receivables(self.tally.billing, found.account, found.currency)
        taken = sum(receipt.booked.amount for receipt in money.receipts.values())
        assert collection(self.tally.billing, invoice).live is None
        assert books.captured[str(invoice)] == taken, "what was taken is booked"
        assert taken in (0, found.gross), "and it was taken once"
        for refund, standing in money.refunds.items():
            given = 0 if standing.state == "failed" else standing.opened.amount
            assert standing.state in ("succeeded", "failed"), standing
            assert books.returned[str(refund)] == given, "a refund is given once"


def play(tally: Tally, sandbox: Sandbox, seed: int, number: int, calls: int) -> Rough:
    """Plays until so many calls were made, comes to rest, and judges. Shapes: `number` of invoices."""
    business, owed = Rough(tally, sandbox, seed), invoices(tally, number)
    while business.calls < calls:
        business.step(business.chance.choice(owed))
    business.rough = False
    sandbox.clock.advance(2 * DAY)
    for invoice in owed:
        business.rest(invoice)
    sandbox.clock.advance(40 * DAY)
    sandbox.tick()
    verdicts = business.take_in()
    for invoice in owed:
        business.judge(invoice)
    assert set(verdicts) <= {"done"}, verdicts
    return business


def main(calls: int) -> None:
    """A long one, on a PostgreSQL of its own."""
    with tempfile.TemporaryDirectory(prefix="tally-faults-") as folder:
        Path(folder).chmod(0o755)
        embedded = Embedded(Path(folder), durable=False)
        try:
            with Tally(embedded.start()) as tally, sandbox_now() as sandbox:
                began = datetime.now(UTC)
                business = play(tally, sandbox, calls, max(4, calls // 40), calls)
                books = sandbox.stripe.books
                refunds = len(books.objects["refund"])
                print(f"{business.calls} calls, half of them failing, in {(datetime.now(UTC) - began).seconds} s: "
                      f"{len(books.intents)} payments made, {sum(map(bool, books.captured.values()))} invoices paid, "
                      f"{refunds} refunds; none twice")  # fmt: skip
        finally:
            embedded.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
