"""Random histories of one license, steered so that most of them have something to take back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from hypothesis import strategies as st

from domain import price as prices
from domain.charge import charges
from domain.counting import DayCounts
from domain.coverage import Coverage
from domain.difference import Difference, difference
from domain.document import Draft, draft
from domain.events import account as account_events
from domain.events import license as events
from domain.grid import MONTHLY, QUARTERLY, YEARLY, Cadence
from domain.package_version import Component, Counted, Counting, Declared, PackageVersion, Proration
from domain.terms import Located, terms

NAMESPACE = UUID(int=7)
LICENSE, ACCOUNT = uuid5(NAMESPACE, "license"), uuid5(NAMESPACE, "account")
START = date(2024, 1, 10)
TIERS = (
    prices.Tier(3, Decimal("7.31")),
    prices.Tier(8, Decimal("5.05"), Decimal("2.00")),
    prices.Tier(None, Decimal("3.33")),
)
MODELS = (
    prices.Flat(Decimal("29.99")),
    prices.PerUnit(Decimal("4.17")),
    prices.Graduated(TIERS),
    prices.Volume(TIERS),
    prices.Stairstep((prices.Tier(4, flat=Decimal("11.11")), prices.Tier(None, flat=Decimal("33.35")))),
    prices.Block(3, Decimal("9.99"), 1),
    prices.Allowance(2, Decimal("1.27"), Decimal("10.01")),
)
CADENCES = (MONTHLY, MONTHLY, QUARTERLY, YEARLY, Cadence(days=30))

days = st.integers(0, 420).map(lambda n: START + timedelta(days=n))


Catalog = dict[tuple[str, int], PackageVersion]


@st.composite
def components(draw: Any, name: str) -> Component:
    """A component at any price model and rhythm, declared or counted."""
    counted = draw(st.booleans()) and name == "c1"
    return Component(
        id=name,
        name=name,
        prices={"EUR": draw(st.sampled_from(MODELS))},
        quantity=Counted("users") if counted else Declared(),
        cadence=MONTHLY if counted else draw(st.sampled_from(CADENCES)),
        mode="in_arrears" if counted else draw(st.sampled_from(["in_advance", "in_arrears"])),
    )


@st.composite
def packages(
    draw: Any, match_on: str = "days", grid_on_change: str = "restart", month_days: int | None = None
) -> Catalog:
    """Three packages of two components each, with one policy of proration."""
    proration = Proration(
        month_days=draw(st.sampled_from([0, 0, 30])) if month_days is None else month_days,
        match_on=match_on,  # type: ignore[arg-type]
        grid_on_change=grid_on_change,  # type: ignore[arg-type]
    )
    return {
        (name, 1): PackageVersion(
            package=name,
            version=1,
            name=name,
            effective_on=date(2020, 1, 1),
            components=(draw(components("c1")), draw(components("c2"))),
            countings=(Counting("users", "peak"),),
            proration=proration,
        )
        for name in ("p", "q", "r")
    }


quantities = st.fixed_dictionaries({"c1": st.integers(0, 12), "c2": st.integers(0, 12)})


@st.composite
def facts(draw: Any, moving_day: bool = False, discounts: bool = True) -> list[tuple[str, Any]]:
    """What happens to the license (and its account), in the order recorded; effective days are in any order."""
    happened: list[tuple[str, Any]] = []
    changes = draw(st.integers(2, 5))
    for number in range(changes):
        happened.append(("license", _change(draw, f"c{number}")))
        if draw(st.integers(0, 3)) == 0:
            happened.append(("license", events.ChangeWithdrawn(change=f"c{draw(st.integers(0, number))}")))
    if draw(st.booleans()):
        since = draw(days)
        happened.append(("license", events.LicenseSuspended(reason="manual", from_on=since, pauses_billing=True)))
        until = since + timedelta(days=draw(st.integers(0, 60)))
        happened.append(("license", events.LicenseResumed(reason="manual", on=until)))
    if discounts and draw(st.booleans()):
        percent = draw(st.sampled_from([Decimal(10), Decimal("33.3")]))
        happened.append(("license", _discount(draw, "d1", percent, None)))
    if moving_day and draw(st.booleans()):
        moved = account_events.BillingDayChanged(billing_day=draw(st.integers(1, 31)), effective_on=draw(days))
        happened.append(("account", moved))
    if draw(st.booleans()):
        end = draw(days)
        happened.append(("license", events.LicenseCancelled(notice_on=START, end_on=end)))
        if draw(st.booleans()):
            happened.append(("license", events.CancellationWithdrawn(on=START)))
    return happened


def _change(draw: Any, name: str) -> events.LicenseChanged:
    return events.LicenseChanged(
        change=name,
        effective_on=draw(days),
        package=draw(st.sampled_from(["p", "q", "r"])),
        version=1,
        type="production",
        quantities=draw(quantities),
        direction="other",
    )


def _discount(draw: Any, name: str, percent: Decimal | None, amount: Decimal | None) -> events.DiscountGranted:
    return events.DiscountGranted(
        discount=name,
        component="",
        percent=percent,
        amount=amount,
        from_on=draw(days),
        periods=draw(st.integers(0, 3)),
    )


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

    def __post_init__(self) -> None:
        started = events.LicenseStarted(
            reference="l", account=ACCOUNT, package="p", version=1, type="production", start_on=START,
            currency="EUR", quantities={"c1": 5, "c2": 2},
        )  # fmt: skip
        opened = account_events.AccountOpened(
            reference="a", party=account_events.Party(name="A"), parent=None, payer=None, currency="EUR",
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

    def owed(self, target: date, horizon: int = 0) -> Any:
        """Charges and what is missing."""
        counts = DayCounts(self.counts)
        found = terms(self.license_facts, self.account_facts, lambda name, number: self.packages[name, number])
        return charges(found, lambda _: counts, target.toordinal(), horizon)

    def difference(self, target: date) -> Difference:
        billed = self.coverage()
        owed, _ = self.owed(target, billed.horizon())
        return difference(owed, billed, target.toordinal())

    def run(self, target: date) -> list[Any]:
        """Issues what a run would, and gives its lines."""
        found = self.difference(target)
        drafted = draft(found.lines, self.tax)
        document = uuid5(NAMESPACE, f"document {len(self.documents)}")
        self.documents.append(drafted)
        streams = {(line.stream.license, line.stream.component): line.stream for line in found.lines}
        for line in drafted.lines:
            self.lines.append(((document, line.number), streams[line.license, line.component], line))
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
                    days[live.stream, day] = live.line.key
        return days
