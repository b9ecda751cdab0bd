"""What a worker of the protocol of payments does, in a process of its own that can be killed at any of its points.

Each story is what one worker is told to do and, since a successor is told the same, also what recovers it. They run on
a real PostgreSQL and talk to the sandbox, which is another process's and survives them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from adapters.bootstrap import Tally
from adapters.providers.stripe import StripePayments
from domain.application.payments import collection
from jobs.collect import Collector
from tests.doors import Doors, PoolDoors, Step, at, behind, kill_nine

NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)


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


def charge(method: str) -> Story:
    """Takes up the live attempt of an invoice, or begins one."""

    def story(worker: Worker, invoice: UUID) -> None:
        held = collection(worker.tally.billing, invoice)
        if held.live:
            worker.collector.carry_on(held.live)
        elif not held.attempts:
            worker.collector.begin(invoice, "stripe", "cus_1", method)

    return story


STORIES: dict[str, Story] = {
    "a card is charged": charge("pm_card_visa"),
    "a card declines": charge("pm_card_chargeDeclined"),
}


def live(dsn: str, url: str, story: str, invoice: UUID, step: int) -> None:
    """Lives a story until its nth point, where the process is killed; −1 lives it to its end."""
    with Tally(dsn) as tally:
        STORIES[story](behind_doors(tally, url, at(step, kill_nine)), invoice)


def behind_doors(tally: Tally, url: str, step: Step = lambda: None) -> Worker:
    """A worker whose every commit and call is a point."""
    stripe = StripePayments("sk_test_1", url, timeout=5)
    billing = Doors(tally.billing, ("execute",), step)
    return Worker(tally, billing, PoolDoors(tally.pool, step), behind(stripe, step))
