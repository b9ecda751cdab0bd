"""In whatever order the webhooks of a flow come, also twice, they come to the same books: all orders of up to five.

`make test` plays some orders of each flow, `make webhook-orders` all of them.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from adapters.bootstrap import Tally
from adapters.providers.stripe import StripePayments
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox
from domain.application.payments import BindObject, OpenAttempt, collection, issued, receivables
from domain.news import Hint
from domain.payment import Refund
from jobs.collect import Collector
from jobs.news import Reader
from tests.providers.stripe_world import DAY, told
from tests.store.test_collect import invoices

START = datetime(2025, 2, 1, 9, tzinfo=UTC)
ALL = bool(os.environ.get("ALL_ORDERS"))
SOME = 4


class World(NamedTuple):
    """What a flow is played on."""

    tally: Tally
    sandbox: Sandbox
    stripe: StripePayments


class Flow(NamedTuple):
    """What happens at the provider after an invoice was confirmed by a card, and how its books end.

    Shapes: `kinds` are the events that are told. Units: `left` open on the invoice and `credit`, in minor units.
    """

    card: str
    kinds: tuple[str, ...]
    left: int
    credit: int
    state: str
    then: Callable[[World, str], None] = lambda world, charge: None


def refund_that_fails(world: World, charge: str) -> None:
    world.stripe.refund(Refund(UUID(int=random.Random(charge).getrandbits(128)), charge, 1000, "EUR", "INV"))
    world.sandbox.clock.advance(22 * DAY)
    world.sandbox.tick()


def dispute_that_is_won(world: World, charge: str) -> None:
    for name, dispute in [*world.sandbox.stripe.books.objects["dispute"].items()]:
        if dispute["charge"] == charge:
            world.sandbox.stripe.returns.end(name, "won")


PAID = ("payment_intent.created", "charge.succeeded", "payment_intent.succeeded")
FLOWS = {
    "a payment": Flow("pm_card_visa", PAID, 0, 0, "succeeded"),
    "a decline": Flow(
        "pm_card_chargeDeclined", ("payment_intent.created", "charge.failed", "payment_intent.payment_failed"),
        2380, 0, "cancelled",
    ),
    "a refund that fails later": Flow(
        "pm_card_refundFail",
        ("payment_intent.succeeded", "refund.created", "charge.refunded", "refund.failed", "charge.refund.updated"),
        0, 0, "succeeded", refund_that_fails,
    ),
    "a dispute that is won": Flow(
        "pm_card_createDispute",
        ("payment_intent.succeeded", "charge.dispute.created", "charge.dispute.funds_withdrawn",
         "charge.dispute.funds_reinstated", "charge.dispute.closed"),
        0, 0, "succeeded", dispute_that_is_won,
    ),
}  # fmt: skip


def orders(flow: Flow) -> Iterator[Sequence[str]]:
    """All orders, or the natural one, its reverse and some others."""
    every = list(itertools.permutations(flow.kinds))
    yield from every if ALL else [every[0], every[-1], *random.Random(1).sample(every[1:-1], SOME)]


@pytest.mark.parametrize("name", FLOWS)
def test_all_orders_of_a_flow_come_to_the_same_books(tally, name):
    flow = FLOWS[name]
    ways = list(orders(flow))
    for number, (invoice, order) in enumerate(zip(invoices(tally, len(ways)), ways, strict=True)):
        # Each sandbox is opened some minutes later, so that its ids are its own.
        with Sandbox(clock=Clock(START.timestamp, number * 600.0)) as sandbox:
            world = World(tally, sandbox, StripePayments("sk_test_1", sandbox.url, timeout=5))
            hints = happened(world, flow, invoice)
            hear(world, [one for kind in order for one in hints[kind]])
            hear(world, [one for kind in reversed(order) for one in hints[kind]])
        found = issued(tally.billing, invoice)
        money = receivables(tally.billing, found.account, "EUR")
        (attempt,) = collection(tally.billing, invoice).attempts.values()
        ended = (money.open_amount(invoice, found.gross), money.credit, attempt.state)
        assert ended == (flow.left, flow.credit, flow.state), order


def happened(world: World, flow: Flow, invoice: UUID) -> dict[str, list[Hint]]:
    """Lets a flow happen at the provider while nobody listens: only the attempt and its object are known to us."""
    attempt = world.tally.billing.execute(OpenAttempt(invoice, "stripe", START, "cus_1", flow.card))
    made = world.stripe.create(attempt.order())
    world.tally.billing.execute(BindObject(invoice, attempt.opened.attempt, made.object))
    flow.then(world, world.stripe.confirm(attempt.order(), made.object).payment)
    hints = {kind: [one for one in told(world.sandbox) if one.kind == kind] for kind in flow.kinds}
    assert all(hints.values()), {kind for kind, found in hints.items() if not found}
    return hints


def hear(world: World, hints: Sequence[Hint]) -> None:
    """Each is taken in; what cannot be matched yet comes again behind the others, as the inbox has it."""
    collector = Collector(world.tally.billing, {"stripe": world.stripe}, lambda: START)  # type: ignore[dict-item]
    reader, waiting = Reader(collector, world.tally.pool, "stripe"), list(hints)
    for _ in range(3):
        again: list[Any] = []
        for hint in waiting:
            for news in world.stripe.news(hint):
                world.tally.follower().catch_up()
                if reader.take_in(news)[0] == "unmatched":
                    again.append(hint)
        waiting = again
    assert not waiting
