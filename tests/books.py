"""The books of one license, kept in memory by the domain's own functions: facts in, runs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import msgspec

from domain.billing import found
from domain.counting import DayCounts
from domain.coverage import Coverage, gist
from domain.difference import Difference
from domain.document import Bill, Draft, draft
from domain.events import account as account_events
from domain.events import license as events
from domain.history import Located, history_of
from domain.owed import charges
from domain.package_version import PackageVersion
from domain.standing import Standing
from domain.terms import Terms, billed_to, stream_of, terms

NAMESPACE = UUID(int=7)
LICENSE, ACCOUNT = uuid5(NAMESPACE, "license"), uuid5(NAMESPACE, "account")
START = date(2024, 1, 10)

Catalog = Mapping[tuple[str, int], PackageVersion]


@dataclass
class Books:
    """One license, its facts so far, and the lines issued for it."""

    packages: Catalog
    billing_day: int = 1
    license_facts: list[Located] = field(default_factory=list)
    account_facts: list[Located] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    lines: list[tuple[Any, Any, Any]] = field(default_factory=list)
    documents: list[Draft] = field(default_factory=list)
    tax: Decimal = Decimal(19)
    start: date = START
    currency: str = "EUR"
    type: events.LicenseType = "production"

    def __post_init__(self) -> None:
        started = events.LicenseStarted(
            reference="l", account=ACCOUNT, package="p", version=1, type=self.type, start_on=self.start,
            currency=self.currency, quantities={"c1": 5, "c2": 2},
        )  # fmt: skip
        opened = account_events.AccountOpened(
            reference="a", party=account_events.Party(name="A"), parent=None, payer=None, currency=self.currency,
            billing_day=self.billing_day, zone="UTC",
        )  # fmt: skip
        self.record("license", started)
        self.record("account", opened)

    def record(self, whose: str, body: Any) -> None:
        """One more fact."""
        held, stream = (self.license_facts, LICENSE) if whose == "license" else (self.account_facts, ACCOUNT)
        held.append(Located((stream, len(held) + 1), body))

    def coverage(self) -> Coverage:
        return Coverage(self.lines)

    def terms(self) -> list[Terms]:
        """The terms that the facts come to."""
        account = billed_to(self.account_facts, ACCOUNT)
        return terms(history_of(self.license_facts), account, lambda name, number: self.packages[name, number])

    def standing(self) -> Standing:
        """All that is known of the license; what was counted, whatever the counter is called."""
        counters = [counting.counter for version in self.packages.values() for counting in version.countings]
        counts = dict.fromkeys(counters, DayCounts(self.counts))
        return Standing(
            history_of(self.license_facts), billed_to(self.account_facts, ACCOUNT), counts, self.lines
        )  # fmt: skip

    def owed(self, target: date, horizon: int = 0) -> Any:
        """Charges and what is missing."""
        return charges(self.terms(), self.standing().counted, target.toordinal(), horizon)

    def difference(self, target: date) -> Difference:
        return found(self.standing(), target, lambda name, number: self.packages[name, number]).difference

    def run(self, target: date) -> list[Any]:
        """Issues what a run would, and gives its lines."""
        standing, lines = self.standing(), self.difference(target).lines
        drafted = draft([Bill(standing, lines)], self.tax)
        document = uuid5(NAMESPACE, f"document {len(self.documents)}")
        self.documents.append(drafted)
        streams = {line.stream.component: stream_of(standing.history, line.stream) for line in lines}
        for line in drafted.lines:
            self.lines.append(((document, line.number), streams[line.component], gist(msgspec.json.encode(line))))
        return list(drafted.lines)

    def money(self, key: Callable[[Any], Any]) -> dict[Any, int]:
        """Net issued by whatever the key says, zeros left out."""
        total: dict[Any, int] = {}
        for _, stream, line in self.lines:
            total[key((stream, line))] = total.get(key((stream, line)), 0) + line.amount
        return {name: amount for name, amount in total.items() if amount}

    def covered_days(self) -> dict[Any, int]:
        """The key that covers each day of each stream. Fails when one is covered twice."""
        days: dict[Any, Any] = {}
        for live in self.coverage().live():
            for start, end in live.spans:
                for day in range(start, end):
                    assert (live.stream, day) not in days, f"{live.stream} is covered twice on {date.fromordinal(day)}"
                    days[live.stream, day] = live.key
        return days
