"""Random histories of one license, steered so that most of them have something to take back."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from domain import price as prices
from domain.events import account as account_events
from domain.events import license as events
from domain.grid import MONTHLY, QUARTERLY, YEARLY, Cadence
from domain.package_version import Component, Counted, Counting, Declared, PackageVersion, Proration
from tests.books import START, Catalog

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
    draw: Any,
    match_on: str = "days",
    grid_on_change: str | None = None,
    month_days: int | None = None,
    leading_base: str = "aligned",
) -> Catalog:
    """Three packages of two components each, with one policy of proration."""
    proration = Proration(
        month_days=draw(st.sampled_from([0, 0, 30])) if month_days is None else month_days,
        match_on=match_on,  # type: ignore[arg-type]
        leading_base=leading_base,  # type: ignore[arg-type]
        grid_on_change=grid_on_change or draw(st.sampled_from(["restart", "always"])),  # type: ignore[arg-type]
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
