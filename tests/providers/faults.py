"""Invoices are collected and refunded through a network that fails half of the time; providers' books are the judge.

`make provider-faults CALLS=20000` plays a longer one. Workers are killed between calls, keys expire, customers pay on
pages or leave them, debits come back, hints come in any order: nobody is charged twice, and no refund is given twice.
Each invoice may be tried at Stripe and at PayPal in turn, each with books of its own.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import requests

from adapters.bootstrap import Tally
from adapters.embedded import Embedded
from adapters.sandbox.server import Fault, Sandbox
from domain.application.payments import collection, issued, receivables
from domain.application.returns import OpenRefund
from domain.collection import Attempt
from domain.errors import Conflict, Invalid, Unavailable
from domain.news import Hint
from domain.provider import Provider
from jobs.collect import Collector
from jobs.news import Reader
from jobs.refund import Refunder
from tests.providers.conftest import paypal_at
from tests.providers.stripe_world import BACK, DAY, FAULTS, NOW, press, sandbox_now, stripe_at, told
from tests.store.test_collect import invoices

PAYERS = ("payer-good", "payer-good", "payer-declined", "payer-refused", "payer-echeck", "payer-bounces",
          "payer-approves", "payer-slow-refund", "payer-no-refund")  # fmt: skip
METHODS = ("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_success_de",
           "pm_failed_de", "pm_card_refundFail", "pm_card_pendingRefund")  # fmt: skip


HINTS = 100
"""How many events are taken in at the end: reading each of them is a call or two."""


@dataclass
class AtStripe:
    """Stripe behind a sandbox of its own. Shapes: `calls` is how many requests were made."""

    sandbox: Sandbox
    methods = METHODS
    calls: int = 0

    def port(self) -> Provider:
        return stripe_at(self.sandbox)

    def at_page(self, url: str, chance: random.Random) -> None:
        """The customer pays, does not, or approves."""
        press(url, chance.choice(("pay", "decline", "authenticate")), chance.choice(METHODS))

    def hints(self) -> list[Hint]:
        return told(self.sandbox)

    def taken(self, invoice: UUID) -> int:
        """What the invoice's customer really paid."""
        return self.sandbox.stripe.books.captured[str(invoice)]

    def given(self, refund: UUID) -> int:
        """What a refund really gave back."""
        return self.sandbox.stripe.books.returned[str(refund)]

    def told(self) -> str:
        books = self.sandbox.stripe.books
        return (f"{len(books.intents)} payments made, {sum(map(bool, books.captured.values()))} invoices paid, "
                f"{len(books.objects['refund'])} refunds")  # fmt: skip


@dataclass
class AtPayPal:
    """PayPal behind a sandbox of its own. Shapes: as `AtStripe`."""

    sandbox: Sandbox
    methods = PAYERS
    calls: int = 0

    def port(self) -> Provider:
        return paypal_at(self.sandbox)

    def at_page(self, url: str, chance: random.Random) -> None:
        """The customer approves as somebody, or goes away."""
        requests.post(url, data={"payer": chance.choice((*PAYERS, ""))}, timeout=5, allow_redirects=False)

    def hints(self) -> list[Hint]:
        return [
            Hint("paypal", one["id"], one["event_type"], datetime.fromtimestamp(at, UTC), json.dumps(one).encode())
            for at, one in self.sandbox.paypal.events.happened
        ]

    def taken(self, invoice: UUID) -> int:
        """What the invoice's customer really paid, by no more than one capture."""
        books = self.sandbox.paypal.books
        assert books.captures[str(invoice)] <= 1
        return books.captured[str(invoice)]

    def given(self, refund: UUID) -> int:
        """What a refund really gave back."""
        return sum(one["units"] for one in self._refunds() if one["body"]["custom_id"] == str(refund))

    def told(self) -> str:
        books = self.sandbox.paypal.books
        return (f"{len(books.orders)} orders made, {sum(map(bool, books.captured.values()))} invoices paid, "
                f"{len(self._refunds())} refunds")  # fmt: skip

    def _refunds(self) -> list[dict[str, Any]]:
        found = [one for one in self.sandbox.paypal.books.found.values() if one["kind"] == "refund"]
        return [one for one in found if one["body"]["status"] != "FAILED"]


Far = dict[str, AtStripe | AtPayPal]


class Rough:
    """A business whose providers are reached by a bad network. Shapes: `far` the providers by name, of one clock."""

    def __init__(self, tally: Tally, far: Far, seed: int) -> None:
        self.tally, self.far, self.chance, self.rough = tally, far, random.Random(seed), True
        self.clock = far["stripe"].sandbox.clock
        providers = {name: one.port() for name, one in far.items()}
        self.collector = Collector(tally.billing, providers, self.now)
        self.refunder = Refunder(tally.billing, providers, self.now)
        for one in far.values():
            one.sandbox.fault = partial(self.fault, one)

    @property
    def calls(self) -> int:
        """How many requests were made."""
        return sum(one.calls for one in self.far.values())

    def now(self) -> datetime:
        """The sandboxes' time is ours."""
        return NOW + timedelta(seconds=self.clock.ahead)

    def fault(self, of: AtStripe | AtPayPal) -> Fault:
        """What the network does to a request."""
        of.calls += 1
        return self.chance.choice(FAULTS) if self.rough and self.chance.random() < 0.5 else ""

    def provider(self) -> str:
        """The one that was asked less often until now."""
        return min(self.far, key=lambda name: self.far[name].calls)

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
            method = self.chance.choice(self.far[name := self.provider()].methods)
            self.collector.begin(invoice, name, f"cus_{invoice.int % 10**6}", method)
        elif self.chance.random() < 0.1:
            self.collector.stop(live)
        else:
            self.collector.carry_on(live)

    def offer(self, invoice: UUID) -> None:
        """The customer is sent to a page."""
        if self.chance.random() < 0.5:
            self.collector.make_way(invoice)
        self.collector.offer(invoice, self.provider(), BACK)

    def customer(self, invoice: UUID) -> None:
        """The customer approves what waits, or pays on the page."""
        live = collection(self.tally.billing, invoice).live
        if live and live.object and not live.url:
            live = self.collector.authenticate(live)
        if live and live.url:
            self.far[live.opened.provider].at_page(live.url, self.chance)

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
            self.clock.advance(self.chance.choice((25 * 3600, 6 * DAY)))

    def rest(self, invoice: UUID) -> None:
        """The network is good again: everything under way comes to its end."""
        for _ in range(3):
            live = collection(self.tally.billing, invoice).live
            if live:
                self._end(live)
            self._follow(invoice)
            self.clock.advance(15 * DAY)

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
        """Everything that the providers tell, in any order and some of it twice; what became of it."""
        self.tally.follower().catch_up()
        return sum((self._told_by(name) for name in self.far), Counter())

    def _told_by(self, name: str) -> Counter[str]:
        reader, provider = Reader(self.collector, self.tally.pool, name), self.collector.providers[name]
        hints = self.far[name].hints()
        hints = self.chance.sample(hints, min(len(hints), HINTS)) + self.chance.sample(hints, min(len(hints), 20))
        return Counter(reader.take_in(news)[0] for hint in hints for news in provider.news(hint))

    def judge(self, invoice: UUID) -> None:
        """Our books and the providers' say the same, and nothing moved twice."""
        found = issued(self.tally.billing, invoice)
        money = receivables(self.tally.billing, found.account, found.currency)
        taken = sum(receipt.booked.amount for receipt in money.receipts.values())
        assert collection(self.tally.billing, invoice).live is None
        assert sum(one.taken(invoice) for one in self.far.values()) == taken, "what was taken is booked"
        assert taken in (0, found.gross), "and it was taken once"
        for refund, standing in money.refunds.items():
            given = 0 if standing.state == "failed" else standing.opened.amount
            assert standing.state in ("succeeded", "failed"), standing
            at = self.far[standing.opened.provider]
            assert at.given(refund) == given, "a refund is given once"


@contextmanager
def far_away() -> Iterator[Far]:
    """Both providers, each behind a sandbox of its own, with one clock."""
    with sandbox_now() as stripe, Sandbox(clock=stripe.clock) as paypal:
        yield {"stripe": AtStripe(stripe), "paypal": AtPayPal(paypal)}


def play(tally: Tally, far: Far, seed: int, number: int, calls: int) -> Rough:
    """Plays until so many calls were made, comes to rest, and judges. Shapes: `number` of invoices."""
    business, owed = Rough(tally, far, seed), invoices(tally, number)
    while business.calls < calls:
        business.step(business.chance.choice(owed))
    business.rough = False
    business.clock.advance(2 * DAY)
    for invoice in owed:
        business.rest(invoice)
    business.clock.advance(40 * DAY)
    for one in far.values():
        one.sandbox.tick()
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
            with Tally(embedded.start()) as tally, far_away() as far:
                began = datetime.now(UTC)
                business = play(tally, far, calls, max(4, calls // 40), calls)
                took = (datetime.now(UTC) - began).seconds
                print(f"{business.calls} calls, half of them failing, in {took} s; nothing moved twice:")
                for name, one in far.items():
                    print(f"  {name}: {one.calls} calls, {one.told()}")
        finally:
            embedded.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
