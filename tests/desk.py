"""A business whose days pass under dunning, with a provider that keeps its own books."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from domain.application.accounts import AddPaymentMethod
from domain.application.chases import dunning
from domain.application.licensing import license_named
from domain.application.payments import BookReceipt, issued
from jobs.collect import Collector
from jobs.collect_open import collect_open
from jobs.dun import Dunned, dun
from jobs.verify import verify
from tests.builders import declared_package, open_account, publish, start
from tests.doors import Doors, behind
from tests.simulated_provider import Simulated

FEBRUARY = date(2025, 2, 1)
DUE, FIRST, FILTER_OFF, DELIVERY_OFF = (date(2025, m, d) for m, d in ((2, 15), (2, 18), (3, 10), (3, 24)))


@dataclass
class Desk:
    """A business whose days pass, with a provider that keeps its own books."""

    tally: Tally
    provider: Simulated = field(default_factory=Simulated)
    step: Callable[[], None] = lambda: None

    def sell(self, count: int = 1, **more: Any) -> list[UUID]:
        """Accounts a0, a1 … with a license each (l0, l1 …), invoiced over 23.80 EUR and due on 15 February."""
        publish(self.tally, declared_package())
        for number in range(count):
            open_account(self.tally, f"a{number}", **more)
            start(self.tally, f"l{number}", f"a{number}", "declared", FEBRUARY, quantities={"seats": 10})
        run_billing(self.tally, FEBRUARY, FEBRUARY)
        return [one for (one,) in self.ask("SELECT invoice FROM receivable_v1 ORDER BY number")]

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        self.tally.follower().catch_up()
        with self.tally.pool.connection() as connection:
            return connection.execute(statement.encode()).fetchall()

    def collector(self, on: date) -> Collector:
        billing = Doors(self.tally.billing, ("execute",), self.step)
        provider = behind(self.provider, self.step)
        return Collector(billing, {"stripe": provider}, lambda: datetime.combine(on, time(9), UTC))  # type: ignore[arg-type, dict-item]

    def day(self, on: date, collects: bool = True) -> Dunned:
        """What the schedule does on a day after billing."""
        self.tally.follower().catch_up()
        collecting = self.collector(on)
        if collects:
            collect_open(collecting, self.tally.pool)
            self.tally.follower().catch_up()
        return dun(collecting.billing, self.tally.pool, collecting if collects else None, on)

    def days(self, start: date, end: date) -> None:
        for number in range((end - start).days + 1):
            self.day(start + timedelta(days=number))

    def serves(self, license: str, on: date) -> list[str]:
        return license_named(self.tally.billing, license).stopped_by(on)

    def pay(self, invoice: UUID, on: date, name: str = "bank:1") -> None:
        found = issued(self.tally.billing, invoice)
        self.tally.billing.execute(
            BookReceipt(found.account, "EUR", name, "bank", found.gross, on, invoices=(invoice,))
        )

    def stages(self, invoice: UUID) -> list[tuple[str, date]]:
        return [(one.stage, one.on) for one in dunning(self.tally.billing, invoice).stages]

    def verified(self) -> None:
        self.tally.follower().catch_up()
        assert [(check.name, check.found) for check in verify(self.tally.pool) if check.found] == []


def declines(desk: Desk, count: int = 1) -> None:
    for number in range(count):
        desk.tally.billing.execute(AddPaymentMethod(f"a{number}", "stripe", "cus", "declines"))
