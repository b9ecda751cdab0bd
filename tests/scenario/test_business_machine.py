"""A business played by a machine that looks for trouble: whatever it does, in whatever order, the books hold.

Customers, counts, runs by several workers at once, cards that pay or decline or want their customer, webhooks that come
twice, late, in any order or never, refunds, disputes, bank files, the clock, and workers killed at any of their points.
The provider is the sandbox, asked by the real SDK; the books are a real PostgreSQL's. `make machine` plays longer.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.providers.stripe import StripePayments
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox
from adapters.sandbox.stripe_methods import METHODS
from domain.application.accounts import AddPaymentMethod, SetCreditRule
from domain.application.returns import OpenRefund
from domain.credit_rule import CreditRule
from domain.errors import BadFile, Refusal
from domain.statement import Statement, Transfer
from jobs.bank import import_statements, settle_transfers
from jobs.collect import Collector
from jobs.collect_open import collect_open
from jobs.news import Reader
from jobs.payout import Payer
from jobs.reconcile import reconcile
from jobs.refund import Refunder, follow_refunds
from jobs.settle import settle
from jobs.verify import verify
from tests.builders import READINGS, counted_package, declared_package, open_account, publish, start, take_in, write_csv
from tests.conftest import fresh_database
from tests.doors import Doors, Killed, Step, at, behind, killed
from tests.providers.stripe_world import told

CARDS = (
    "pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", "pm_success_de",
    "pm_failed_de", "pm_disputed_de", "pm_card_createDispute", "pm_card_refundFail", "pm_card_pendingRefund",
)  # fmt: skip
BEGIN = date(2025, 1, 10)
RECEIPTS = (
    "SELECT account, currency, receipt, amount - returned FROM receipt_v1 WHERE source = 'stripe' ORDER BY receipt"
)
OPEN = "SELECT number, account, currency, left_open FROM receivable_v1 WHERE left_open > 0 ORDER BY number"
CHARGED = "SELECT number, count(*) FROM attempt_v1 WHERE state = 'succeeded' GROUP BY number"
COVERED = """SELECT number FROM receivable_v1 WHERE NOT (left_open BETWEEN 0 AND gross)"""
small = st.integers(0, 9)


class Business(RuleBasedStateMachine):
    """What may happen. Shapes: `at_day` is the day that everybody's clock shows."""

    server: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.day, self.customers, self.number = BEGIN, 0, 0
        self.closing = ExitStack()
        dsn = self.closing.enter_context(fresh_database(self.server))
        self.files = Path(self.closing.enter_context(TemporaryDirectory()))
        self.sandbox = self.closing.enter_context(Sandbox(clock=Clock(lambda: self.now().timestamp())))
        self.tally = self.closing.enter_context(Tally(dsn))
        publish(self.tally, declared_package(), counted_package())

    def now(self) -> datetime:
        return datetime.combine(self.day, time(9), UTC)

    def stripe(self, step: Step = lambda: None) -> Any:
        return behind(StripePayments("sk_test_1", self.sandbox.url, timeout=5), step)

    def collector(self, step: Step = lambda: None) -> Collector:
        billing: Any = Doors(self.tally.billing, ("execute",), step)
        return Collector(billing, {"stripe": self.stripe(step)}, self.now)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        self.tally.follower().catch_up()
        with self.tally.pool.connection() as connection:
            return connection.execute(statement.encode()).fetchall()

    @initialize(cards=st.lists(st.sampled_from(CARDS), min_size=3, max_size=5))
    def a_business_that_has_begun(self, cards: list[str]) -> None:
        for card in cards:
            self.a_customer_comes(card, 1)
        self.a_run(1)

    @rule(card=st.sampled_from(CARDS), billing_day=st.sampled_from([1, 15, 31]))
    def a_customer_comes(self, card: str, billing_day: int) -> None:
        name = f"c{self.customers}"
        open_account(self.tally, name, billing_day=billing_day, zone=["UTC", "Pacific/Kiritimati"][self.customers % 2])
        start(self.tally, f"{name}-seats", name, "declared", self.day, quantities={"seats": 5 + self.customers})
        start(self.tally, f"{name}-users", name, "counted", self.day)
        self.tally.billing.execute(AddPaymentMethod(name, "stripe", "cus_1", card))
        self.customers += 1

    @rule(customer=small, quantity=st.integers(0, 40), report=st.integers(0, 5))
    def users_are_counted(self, customer: int, quantity: int, report: int) -> None:
        """Sometimes the same report again, or another count under its name, which is refused."""
        row = f"c{customer}-users,users,{self.day},{quantity},{self.day}-{report}"
        with suppress(BadFile, Refusal):
            take_in(self.tally, write_csv(self.files / "counts.csv", READINGS, [row]))

    @rule(workers=st.integers(1, 3))
    def a_run(self, workers: int) -> None:
        with ThreadPoolExecutor(workers) as several:
            list(several.map(lambda _: run_billing(self.tally, self.day, self.day), range(workers)))

    @rule(days=st.sampled_from([1, 2, 7, 20, 31]))
    def time_passes(self, days: int) -> None:
        self.day += timedelta(days=days)
        self.sandbox.tick()

    @rule(step=st.integers(0, 60))
    def invoices_are_collected(self, step: int) -> None:
        """By a worker that is killed at one of its points, unless it has fewer."""
        self.tally.follower().catch_up()
        with suppress(Killed):
            collect_open(self.collector(at(step, killed)), self.tally.pool, at_once=1)

    @rule(seed=st.integers(0, 99), share=st.sampled_from([0.3, 1.0]))
    def webhooks_come(self, seed: int, share: float) -> None:
        """Some of all that ever happened, some twice, in any order."""
        chance = random.Random(seed)
        hints = [one for one in told(self.sandbox) for _ in range(chance.randint(0, 2)) if chance.random() < share]
        self.hear(hints, chance)

    @rule(number=small, part=st.sampled_from([1, 2]), step=st.integers(0, 12))
    def money_is_given_back(self, number: int, part: int, step: int) -> None:
        receipts = self.rows(RECEIPTS)
        if receipts:
            account, currency, receipt, kept = receipts[number % len(receipts)]
            refunder = Refunder(self.collector(at(step, killed)).billing, {"stripe": self.stripe()}, self.now)
            with suppress(Refusal, Killed):
                refunder.begin(OpenRefund(account, currency, receipt, self.now(), kept // part))

    @rule(number=small, word=st.sampled_from(["won", "lost"]))
    def a_dispute(self, number: int, word: str) -> None:
        books, returns = self.sandbox.stripe.books, self.sandbox.stripe.returns
        charges = [one for one in books.objects["charge"].values() if one["status"] == "succeeded"]
        if charges:
            charge = charges[number % len(charges)]
            with books.lock:
                if charge["disputed"]:
                    for one in [*books.objects["dispute"].values()]:
                        returns.end(one["id"], word)
                elif not charge["amount_refunded"]:
                    returns.dispute(charge, METHODS["pm_card_createDispute"])

    @rule(number=small, off=st.sampled_from([0, 0, -1, 1, 700]), named=st.booleans())
    def the_bank_tells_of_a_transfer(self, number: int, off: int, named: bool) -> None:
        owed = self.rows(OPEN)
        if owed and (amount := owed[number % len(owed)][3] + off) > 0:
            self.number += 1
            text = owed[number % len(owed)][0] if named else "thank you"
            transfer = Transfer(self.day, amount, text, "A Payer", reference=f"b{self.number}")
            statement = Statement("DE1", f"{self.number}", "EUR", 0, amount, self.day, (transfer,))
            for _ in range(2):
                import_statements(self.tally.pool, [statement], new_account=True)
                settle_transfers(self.tally.billing, self.tally.pool)

    @rule()
    def credit_is_drawn(self) -> None:
        settle(self.tally.billing, self.tally.pool, self.day, self.tally.follower().catch_up)

    @rule(step=st.integers(0, 40), after=st.sampled_from([0, 20]))
    def credit_is_paid_out(self, step: int, after: int) -> None:
        """By a worker that is killed at one of its points, unless it has fewer; nothing else is due on that day."""
        self.the_bank_tells_of_a_transfer(step, 700, named=True)
        for number in range(self.customers):
            self.users_are_counted(number, 3, 9)
        self.a_run(1)
        self.invoices_are_collected(60)
        self.credit_is_drawn()
        for number in range(self.customers):
            self.tally.billing.execute(SetCreditRule(f"c{number}", CreditRule("idle", after)))
        before = {row[0]: row[3] for row in self.rows(OPEN)}
        with suppress(Killed):
            self.payer(at(step, killed)).pay_out(self.day)
        assert {row[0]: row[3] for row in self.rows(OPEN)} == before, "nothing is opened by it"

    def payer(self, step: Step = lambda: None) -> Payer:
        refunder = Refunder(self.collector(step).billing, {"stripe": self.stripe(step)}, self.now)
        return Payer(refunder, self.tally.pool, self.tally.packages, self.tally.follower().catch_up)

    @invariant()
    def no_invoice_is_charged_twice_unless_the_first_went_back(self) -> None:
        objects = self.sandbox.stripe.books.objects
        backed = {one["payment_intent"] for kind in ("refund", "dispute") for one in objects[kind].values()}
        paid = [one for one in objects["payment_intent"].values() if one["status"] == "succeeded"]
        kept = Counter(one["metadata"]["invoice"] for one in paid if one["id"] not in backed)
        assert max(kept.values(), default=0) <= 1

    @invariant()
    def no_invoice_is_paid_more_than_it_asks_for(self) -> None:
        assert self.rows(COVERED) == []

    def hear(self, hints: list[Any], chance: random.Random) -> list[tuple[str, str]]:
        chance.shuffle(hints)
        self.tally.follower().catch_up()
        stripe, reader = self.stripe(), Reader(self.collector(), self.tally.pool, "stripe")
        found = []
        for hint in hints:
            for news in stripe.news(hint):
                found.append(reader.take_in(news))
                self.tally.follower().catch_up()
        return found

    def teardown(self) -> None:
        try:
            self.comes_to_rest()
        finally:
            self.closing.close()

    def comes_to_rest(self) -> None:
        """Workers live again, everything is heard, and time passes: then all books agree to the cent."""
        for days in (1, 30, 1):
            self.time_passes(days)
            self.tally.follower().catch_up()
            collect_open(self.collector(), self.tally.pool)
            follow_refunds(Refunder(self.tally.billing, {"stripe": self.stripe()}, self.now), self.tally.pool)
            heard = self.hear(told(self.sandbox), random.Random(0))
        assert [one for one in heard if one[0] in ("quarantined", "unmatched")] == []
        self.credit_is_drawn()
        self.tally.follower().catch_up()
        assert [(check.name, check.found) for check in verify(self.tally.pool) if check.found] == []
        since = datetime.combine(BEGIN, time(), UTC) - timedelta(days=1)
        found = reconcile(self.stripe(), self.tally.pool, since, self.now() + timedelta(days=1))
        assert [one for one in found.differences if one.what != "not at the bank"] == []


def test_whatever_happens_in_whatever_order_the_books_hold(server):
    examples = int(os.environ.get("MACHINE_EXAMPLES", 0))
    quick = settings(max_examples=examples or 4, stateful_step_count=25, deadline=None, derandomize=not examples,
                     suppress_health_check=list(HealthCheck), print_blob=True)  # fmt: skip
    machine: Callable[[], Business] = type("Machine", (Business,), {"server": server})
    run_state_machine_as_test(machine, settings=quick)  # type: ignore[no-untyped-call]
