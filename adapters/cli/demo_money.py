"""The second half of `tally demo`: what was billed is collected, chased, given back and disputed, as it happens.

A sandbox of the providers and `tally serve` run beside it on loopback, as a user of both would have them. The sandbox
delivers webhooks twice and out of order. Everything else is the real command with its real output.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import requests

from adapters.bootstrap import open_tally
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox
from adapters.settings import settings
from domain.errors import Unavailable

Story = Iterator[tuple[str, list[list[str]]]]
SERVE = "import sys; from adapters.cli.main import main; sys.exit(main(sys.argv[1:]))"
CUSTOMERS = (
    ("harbor", "paypal", "payer-good"),
    ("gallery", "stripe", "pm_card_chargeDeclinedInsufficientFunds"),
    ("market", "stripe", "pm_card_createDispute"),
)
"""Three who come in April: one pays by PayPal, one has no money on its card, one disputes what it paid."""
COPIES = ((0.0, 1.2), (0.6,), (0.0, 0.3))
"""When copies of each webhook arrive, in turn: twice, behind the next one, twice. Units: seconds."""
INVOICE = """SELECT i.number FROM receivable_v1 i JOIN account_v2 a USING (bucket, account)
WHERE a.reference = %s ORDER BY i.number DESC LIMIT 1"""
RECEIPT = """SELECT r.receipt FROM receipt_v1 r JOIN account_v2 a USING (bucket, account)
WHERE a.reference = %s ORDER BY r.receipt LIMIT 1"""
UNHEARD = "SELECT count(*)::text FROM webhook_inbox WHERE state IN ('new', 'parked')"
PATIENCE = 60.0


def customers() -> list[list[str]]:
    """The commands by which the three are opened, and billed with March's last run."""
    commands = []
    for name, *_ in CUSTOMERS:
        opened = ["accounts", "open", name, "--name", name.title(), "--tax-percent", "19", "--zone", "Europe/Berlin"]
        own = ["--account", name, "--package", "incoming-filter", "--on", "2025-04-01"]
        commands += [opened, ["licenses", "start", name, *own]]
    return [*commands, ["bill", "--through", "2025-04-01", "--issued-on", "2025-04-01"]]


def collected(home: Path) -> Story:
    """What happens to the money, with both providers running."""
    with _providers(home) as running:
        charged = [["accounts", "pay-by", name, provider, "cus_1", token] for name, provider, token in CUSTOMERS]
        own = [["accounts", "pay-by", name, "stripe", "cus_2", "pm_card_visa"] for name in ("northwind", "compilers")]
        yield (
            "What is left is charged, by Stripe's SDK and by PayPal's",
            [*own, *charged, ["payments", "collect"], ["payments", "attempts"]],
        )
        _wait_until_heard(running, home)
        yield "Their webhooks came twice and out of order, and had one effect", [["webhooks", "list", "--limit", "12"]]
        yield from _chased(home)
        yield from _gone_back(running, home)
        yield "Our books and the providers' agree to the cent", [["reconcile"], ["payments", "open"]]


def _chased(home: Path) -> Story:
    number = _told(home, INVOICE, "gallery")
    yield (
        "One card had no money: the invoice is chased, and its license is stopped",
        [
            *(["dunning", "run", "--on", day] for day in ("2025-04-18", "2025-04-22", "2025-04-29", "2025-05-06")),
            ["limits", "gallery", "--on", "2025-05-06"],
        ],
    )
    yield (
        "Another card pays, and the license serves again",
        [
            ["accounts", "pay-by", "gallery", "stripe", "cus_1", "pm_card_visa"],
            ["payments", "retry", number],
            ["limits", "gallery", "--on", "2025-05-06"],
            ["dunning", "show", number],
        ],
    )


def _gone_back(running: Sandbox, home: Path) -> Story:
    refund = ["payments", "refund", _told(home, RECEIPT, "harbor"), "--amount", "5.00", "--why", "a favor"]
    yield "A part of a payment is given back; another one is disputed by its bank", [refund]
    _wait_until_heard(running, home)
    yield (
        "Nobody is charged again for what went back, unless a person says so",
        [["payments", "disputes"], ["payments", "holds"], ["payments", "list"]],
    )


@contextmanager
def _providers(home: Path) -> Iterator[Sandbox]:
    """The sandbox, `tally serve`, and the environment that a user of both sets."""
    before = dict(os.environ)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Sandbox(clock=Clock(time.time)) as running:
        os.environ.update(_environment(running, f"http://127.0.0.1:{port}"))
        try:
            with _served(home, port):
                yield running
        finally:
            os.environ.clear()
            os.environ.update(before)


def _environment(running: Sandbox, own: str) -> dict[str, str]:
    """What `tally sandbox` would print, and both webhooks set up."""
    copies = cycle(COPIES)
    running.courier.delays = lambda: next(copies)
    running.paypal.events.url = f"{own}/webhooks/paypal"
    hook = running.stripe.hooks.create({"url": f"{own}/webhooks/stripe"}).body
    assert isinstance(hook, dict)
    return {
        "TALLY_STRIPE_KEY": "sk_test_sandbox", "TALLY_STRIPE_BASE": running.url,
        "TALLY_STRIPE_WEBHOOK_SECRET": str(hook["secret"]), "TALLY_PAYPAL_CLIENT": "sandbox",
        "TALLY_PAYPAL_SECRET": "sandbox", "TALLY_PAYPAL_BASE": f"{running.url}/paypal",
        "TALLY_PAYPAL_WEBHOOK_ID": running.paypal.events.signer.webhook_id, "TALLY_PUBLIC_URL": own,
        "TALLY_LINK_SECRET": secrets.token_hex(32),
    }  # fmt: skip


@contextmanager
def _served(home: Path, port: int) -> Iterator[None]:
    """`tally serve` as a process of its own. Raises: Unavailable when it does not come up."""
    words = [sys.executable, "-c", SERVE, "serve", "--port", str(port), "--home", str(home)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            end = time.monotonic() + PATIENCE
            while not _answers(port):
                if running.poll() is not None or time.monotonic() > end:
                    raise Unavailable("tally serve did not come up")
                time.sleep(0.1)
            yield
        finally:
            running.terminate()


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok
    except requests.RequestException:
        return False


def _wait_until_heard(running: Sandbox, home: Path) -> None:
    """Until every webhook was delivered, and what it is about was taken in. Raises: Unavailable after a minute."""
    end = time.monotonic() + PATIENCE
    while running.tick() or running.courier.waiting or _told(home, UNHEARD) != "0":
        if time.monotonic() > end:
            raise Unavailable("webhooks were not taken in")
        time.sleep(0.1)


def _told(home: Path, statement: str, *values: str) -> str:
    with open_tally(settings(home)) as tally:
        tally.follower().catch_up()
        with tally.pool.connection() as connection:
            row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    return str(row[0])
