"""What the opponent does to a business: catalogs, accounts, licenses and runs, as commands.

The same words go to both worlds; what is reported is in `opponent_counts`, what money does in `opponent_money`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

from tests.scenario.opponent_counts import Counts
from tests.scenario.opponent_money import Money
from tests.scenario.opponent_world import Step, Words

ZONES = (
    "UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns",
    "Europe/Berlin", "Australia/Lord_Howe",
)  # fmt: skip
BEGINS = (date(2024, 1, 1), date(2023, 12, 31), date(2024, 2, 29), date(2024, 3, 30), date(2024, 10, 26))
BILLING_DAYS = (1, 15, 28, 29, 30, 31)
CATALOG = """
catalog: 1
packages:
  small:
    name: Small
    effective_on: %(on)s
    rank: 1
    trial: 20 days
    credit: {pay_out: when idle, after: 20 days, over: {EUR: "5.00"}}
    dunning:
      steps:
        - {name: reminder, after: 3 days, remind: reminder}
        - {name: filter off, after: 10 days, effect: filter off, pauses_billing: %(pauses)s}
        - {name: gone, after: 25 days, effect: removed, restores: configuration, ends: with the period}
    counters: {users: {measure: peak}, devices: {measure: peak, window: 7 days}}
    components:
      base: {name: Base, bill: in advance, price: {EUR: {flat: "%(base)s"}, JPY: {flat: "1900"}}}
      users:
        name: Users
        bill: in arrears
        quantity: {counted: users}
        price: {EUR: {graduated: [{up_to: 10, unit: "2.01"}, {unit: "1.49"}]}, JPY: {per_unit: "200"}}
      devices:
        name: Devices
        bill: in arrears
        quantity: {counted: devices}
        price: {EUR: {per_unit: "0.333"}, JPY: {per_unit: "7"}}
    changes: {downgrade: now, cancel: now}
  large:
    name: Large
    effective_on: %(on)s
    rank: 2
    components:
      seats:
        name: Seats
        every: 3 months
        quantity: {declared: true}
        price: {EUR: {volume: [{up_to: 5, unit: "9.99"}, {unit: "7.77"}]}, JPY: {per_unit: "900"}}
      setup: {name: Setup, charge: once, price: {EUR: {flat: "49.00"}, JPY: {flat: "5000"}}}
    changes: {downgrade: at renewal, cancel: at period end}
"""


class Business:
    """A random business, told as commands; what it knows is only what it said."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance, self.folder = random.Random(seed), folder
        self.money, self.counts = Money(self.chance, folder), Counts(self.chance, folder)
        self.accounts: list[str] = []
        self.licenses: list[str] = []
        self.today = self.chance.choice(BEGINS)
        self.sold_on = date(2013, 1, 1)
        self.said = 0

    def steps(self, count: int) -> Iterator[Step]:
        """So many steps, after a catalog and some customers."""
        for kind in [self._catalog, *[self._open] * 3, *[self._start] * 3]:
            yield (kind(),)
        kinds = (
            (self._open, 1), (self._start, 3), (self._change, 4), (self._withdraw, 1), (self._suspend, 2),
            (self._resume, 2), (self._cancel, 2), (self._uncancel, 1), (self._reactivate, 1), (self._commit, 1),
            (self._discount, 1), (self._end_discount, 1), (self._account, 3), (self._count, 4), (self._observe, 2),
            (self._again, 1), (self._bill, 7), (self._catalog, 1), (self._money, 20),
        )  # fmt: skip
        weights = [weight for _, weight in kinds]
        for _ in range(count):
            self.today += timedelta(days=self.chance.choice((0, 0, 1, 3, 3, 9, 17, 31)))
            step = (self.chance.choices([kind for kind, _ in kinds], weights)[0](),)
            beside = isinstance(step[0], list) and step[0][0] == "bill" and self.chance.random() < 0.3
            yield (*step, self._catalog()) if beside else step
        self.today += timedelta(days=100)
        yield (self._bill(),)
        for last in self.money.last(self.today):
            yield (last,)

    def _money(self) -> Step:
        return self.money.step(self.today, self.accounts)

    def _id(self) -> Words:
        self.said += 1
        return ["--id", str(UUID(int=self.chance.getrandbits(128), version=4))]

    def _day(self, before: int = 60, after: int = 40) -> str:
        return str(self.today + timedelta(days=self.chance.randint(-before, after)))

    def _license(self) -> str:
        return self.chance.choice(self.licenses or ["nobody"])

    def _catalog(self) -> Words:
        """Another price, sold from a day on that may be long past: what was sold before keeps its own."""
        path = self.folder / f"catalog{self.said}.yaml"
        pauses = self.chance.choice(("true", "false"))
        base = f"{self.chance.randint(100, 3000) / 100:.2f}"
        path.write_text(CATALOG % {"on": self.sold_on, "pauses": pauses, "base": base})
        self.sold_on = max(self.sold_on + timedelta(days=1), self.today - timedelta(days=self.chance.randint(0, 400)))
        return ["catalog", "apply", str(path), "--yes", *self._id()]

    def _open(self) -> Words:
        name = f"a{len(self.accounts)}"
        words = ["accounts", "open", name, "--name", name, "--currency", self.chance.choice(("EUR", "EUR", "JPY"))]
        words += ["--billing-day", str(self.chance.choice(BILLING_DAYS)), "--zone", self.chance.choice(ZONES)]
        words += ["--tax-percent", self.chance.choice(("0", "19", "7.7"))]
        if self.accounts and self.chance.random() < 0.6:
            parent = self.chance.choice(self.accounts)
            words += ["--parent", parent, *(["--payer", parent] if self.chance.random() < 0.3 else [])]
        self.accounts.append(name)
        return [*words, *self._id()]

    def _account(self) -> Words:
        """Another billing day, tax or payer, from a day that may be long past or to come."""
        words = ["accounts", "change", self.chance.choice(self.accounts), "--on", self._day(90, 60)]
        kinds = (
            ["--billing-day", str(self.chance.choice(BILLING_DAYS))],
            ["--tax-percent", self.chance.choice(("0", "7", "19", "8.1"))],
            ["--payer", self.chance.choice(("self", *self.accounts))],
        )
        return [*words, *self.chance.choice(kinds), *self._id()]

    def _start(self) -> Words:
        name = f"l{len(self.licenses)}"
        self.licenses.append(name)
        package = self.chance.choice(("small", "large"))
        words = ["licenses", "start", name, "--account", self.chance.choice(self.accounts), "--package", package]
        words += ["--on", self._day(self.chance.choice((400, 400, 3700)), 20)]
        words += ["--type", self.chance.choice(("production", "production", "production", "trial", "nfr"))]
        return [*words, *self._seats(package), *self._id()]

    def _seats(self, package: str) -> Words:
        return ["-q", f"seats={self.chance.randint(0, 12)}"] if package == "large" else []

    def _change(self) -> Words:
        package = self.chance.choice(("small", "large"))
        words = ["licenses", "change", self._license(), "--package", package, "--on", self._day()]
        words += ["--when", self.chance.choice(("policy", "now", "renewal", self._day()))]
        words += ["--type", "production"] if self.chance.random() < 0.3 else []
        return [*words, *self._seats(package), *self._id()]

    def _withdraw(self) -> Words:
        change = f"c{self.chance.randint(1, 3)}"
        return ["licenses", "withdraw-change", self._license(), change, "--on", self._day(), *self._id()]

    def _suspend(self) -> Words:
        reason = self.chance.choice(("manual", "unpaid", "fair_use"))
        return ["licenses", "suspend", self._license(), "--reason", reason, "--on", self._day(), *self._id()]

    def _resume(self) -> Words:
        reason = self.chance.choice(("manual", "unpaid", "fair_use"))
        return ["licenses", "resume", self._license(), "--reason", reason, "--on", self._day(20, 60), *self._id()]

    def _cancel(self) -> Words:
        words = ["licenses", "cancel", self._license(), "--on", self._day(120)]
        return [*words, *(["--end-on", self._day(200)] if self.chance.random() < 0.5 else []), *self._id()]

    def _uncancel(self) -> Words:
        return ["licenses", "uncancel", self._license(), "--on", self._day(), *self._id()]

    def _reactivate(self) -> Words:
        return ["licenses", "reactivate", self._license(), "--on", self._day(5, 60), *self._id()]

    def _commit(self) -> Words:
        words = ["licenses", "commit", self._license(), "--component", self.chance.choice(("users", "seats"))]
        return [*words, "--quantity", str(self.chance.randint(0, 20)), "--on", self._day(), *self._id()]

    def _discount(self) -> Words:
        words = ["licenses", "discount", self._license(), "--name", f"d{self.chance.randint(1, 3)}"]
        words += ["--on", self._day()]
        kind = self.chance.choice((["--percent", "12.5"], ["--percent", "100"], ["--amount", "3"]))
        return [*words, *kind, "--periods", str(self.chance.randint(0, 3)), *self._id()]

    def _end_discount(self) -> Words:
        name = f"d{self.chance.randint(1, 3)}"
        return ["licenses", "end-discount", self._license(), name, "--on", self._day(), *self._id()]

    def _count(self) -> Words:
        return self.counts.readings(self._license(), self.today)

    def _observe(self) -> Words:
        return self.counts.observations(self._license(), self.today)

    def _again(self) -> Words:
        return self.counts.again() if self.counts.files else self._count()

    def _bill(self) -> Words:
        """Mostly through today; now and then through a day long past, or of one account and those below."""
        through = self.today - timedelta(days=self.chance.choice((0, 0, 0, 45)))
        words = ["bill", "--through", str(through), "--issued-on", str(self.today)]
        words += ["--workers", str(self.chance.choice((1, 1, 2)))]
        return [*words, *(["--account", self.chance.choice(self.accounts)] if self.chance.random() < 0.2 else [])]
