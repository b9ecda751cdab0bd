"""How fast the invoices of a run are collected from cards, beside the sandbox's own speed.

The floor makes the same calls with the same SDK against the same sandbox, a payment made and confirmed for each
invoice, as many at once, and keeps no books of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.providers.stripe import StripePayments
from bench.figure import Figure
from bench.ground import Ground, apart, checkpoint
from bench.population import FEBRUARY, account_id, fill, stored
from domain.events.account import PaymentMethodAdded
from domain.payment import Order
from jobs.collect import Collector
from jobs.collect_open import AT_ONCE, collect_open

INVOICES = 10_000
ASKED = 2_000
STRIPE_BASE = re.compile(r"TALLY_STRIPE_BASE=(\S+)")
SANDBOX = [sys.executable, "-u", "-c", "from adapters.cli.main import main; main(['sandbox', '--port', '0'])"]


def figures(ground: Ground) -> list[Figure]:
    """10,000 invoices charged by Stripe's SDK against the sandbox, beside its bare calls."""
    with ground.database("collect") as dsn:
        apart(_billed, dsn)
        with sandbox() as url:
            value = INVOICES / apart(_collected, dsn, url)
        with sandbox() as url:
            floor = ASKED / apart(_asked, url)
    return [Figure.beside("collect_10k_vs_sandbox", value, "invoices/s", floor)]


@contextmanager
def sandbox() -> Iterator[str]:
    """`tally sandbox` as its own process, and where it listens."""
    with subprocess.Popen(SANDBOX, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        found = next(filter(None, map(STRIPE_BASE.search, running.stdout)))
        try:
            yield found[1]
        finally:
            running.kill()


def _billed(dsn: str) -> None:
    """A month's invoices, and a card for each of their payers."""
    fill(dsn, INVOICES)
    with Tally(dsn) as tally:
        run_billing(tally, FEBRUARY, FEBRUARY)
        cards = (
            PaymentMethodAdded(provider="stripe", customer=f"cus_{n}", token="pm_card_visa") for n in range(INVOICES)
        )
        tally.log.insert_events([stored(account_id(n), card, 2) for n, card in enumerate(cards)])
        tally.follower().catch_up()
        checkpoint(dsn)


def _card(n: int) -> PaymentMethodAdded:
    return PaymentMethodAdded(provider="stripe", customer=f"cus_{n}", token="pm_card_visa")


def _collected(dsn: str, url: str) -> float:
    """Seconds until all invoices are paid."""
    with Tally(dsn) as tally:
        collector = Collector(tally.billing, {"stripe": StripePayments("sk_test_bench", url)})
        begun = time.perf_counter()
        counts = collect_open(collector, tally.pool)
        seconds = time.perf_counter() - begun
    assert counts == {"succeeded": INVOICES}, counts
    return seconds


def _asked(url: str) -> float:
    """Seconds of the bare calls for some payments."""
    stripe = StripePayments("sk_test_bench", url)
    with ThreadPoolExecutor(AT_ONCE) as workers:
        begun = time.perf_counter()
        states = list(workers.map(lambda n: _pay(stripe, n), range(ASKED)))
        seconds = time.perf_counter() - begun
    assert set(states) == {"succeeded"}
    return seconds


def _pay(stripe: StripePayments, n: int) -> str:
    order = Order(uuid4(), uuid4(), f"INV-{n}", f"a{n}", 2380, "EUR", f"cus_{n}", "pm_card_visa")
    return stripe.confirm(order, stripe.create(order).object).state
