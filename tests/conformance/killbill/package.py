"""A phase of a Kill Bill plan as a package: what is paid once, what is paid per period, and what is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import Any

from domain.grid import MONTHLY
from domain.package_version import Component, Counted, Counting, Declared, Measure, PackageVersion, Proration
from domain.price import Block, Flat, Graduated, PerUnit, Price, Stairstep, Tier, Volume
from tests.conformance.killbill.catalog import Plan
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import MODES, cadence, decimal

LONG_AGO = date(2000, 1, 1)
NOTHING = Tier(0)
OF = "+"
"""What stands between a usage and one of its units, where it has several."""


def package(plan: Plan, phase: int, currency: str, greedy: bool, month_days: int) -> PackageVersion:
    """The package that a phase of a plan is."""
    usages, name = plan.said["phases"][phase].get("usages", ()), plan.package(phase)
    used = [one for usage in usages for one in _usage(usage, currency)]
    units = dict.fromkeys(one for usage in usages for one in counted(usage))
    policy = Proration(
        month_days=month_days, leading_base="shifted", usage_correction="up_only", grid_on_change="always"
    )
    return PackageVersion(
        name, plan.version, name, LONG_AGO,
        components=(*_paid(plan, phase, currency, greedy), *used), countings=tuple(Counting(*unit) for unit in units),
        proration=policy,
    )  # fmt: skip


def _paid(plan: Plan, phase: int, currency: str, greedy: bool) -> Iterator[Component]:
    """What is paid once, and what is paid per period for as many as were sold."""
    fixed, recurring = plan.price(phase, "fixed"), plan.price(phase, "recurring")
    mode = MODES[plan.said["mode"].lower()]
    if fixed is not None:
        yield Component("fixed", "Fixed", {currency: Flat(decimal(fixed))}, charge="one_time", reversible=False)
    if recurring is not None:
        yield Component(
            "recurring", "Recurring", {currency: PerUnit(decimal(recurring))}, quantity=Declared(),
            cadence=cadence(plan.said["phases"][phase]["billing_period"]),
            mode="in_arrears_greedy" if greedy and mode == "in_arrears" else mode,
        )  # fmt: skip


def _usage(usage: Mapping[str, Any], currency: str) -> Iterator[Component]:
    """What is used: each unit with tiers of its own."""
    rhythm = cadence(usage["billing_period"]) if usage.get("billing_period") else MONTHLY
    units = [unit for unit, _ in counted(usage)]
    for unit in units:
        name = usage["name"] if len(units) == 1 else f"{usage['name']}{OF}{unit}"
        yield Component(
            name, "Usage", {currency: _price(usage, unit)}, charge="usage", quantity=Counted(unit), cadence=rhythm,
            mode="in_arrears",
        )  # fmt: skip


def counted(usage: Mapping[str, Any]) -> list[tuple[str, Measure]]:
    """The units that are counted, and what of a period is billed: the most of a capacity, the sum of the rest.

    Raises: NotExpressible for a capacity of several units, whose tier is the highest that any of them needs.
    """
    capacity = usage["usage_type"] == "CAPACITY"
    units = dict.fromkeys(row["unit"] for tier in usage["tiers"] for row in tier["limits" if capacity else "blocks"])
    if capacity and len(units) > 1:
        raise NotExpressible("a capacity of several units")
    return [(unit, "peak" if capacity else "sum") for unit in units]


def _price(usage: Mapping[str, Any], unit: str) -> Price:
    if usage["usage_type"] == "CAPACITY":
        tops = [int(tier["limits"][0]["max"]) for tier in usage["tiers"]]
        flats = [_amount(tier["recurringPrice"]) for tier in usage["tiers"]]
        return Stairstep((NOTHING, *_open_at_last(tops, flats)))
    blocks = [block for tier in usage["tiers"] for block in tier["blocks"] if block["unit"] == unit]
    return _blocks(blocks, usage.get("tier_block_policy") or "ALL_TIERS")


def _amount(written: Any) -> Decimal:
    if isinstance(written, dict):
        raise NotExpressible("no price in the account's currency")
    return decimal(written)


def _open_at_last(tops: Sequence[int], flats: Sequence[Decimal]) -> list[Tier]:
    """Steps of which the last has no top, as the peer takes no more than that."""
    return [*(Tier(top, flat=flat) for top, flat in zip(tops[:-1], flats, strict=False)), Tier(None, flat=flats[-1])]


def _blocks(blocks: Sequence[Mapping[str, Any]], policy: str) -> Price:
    """Units in blocks of a size: one size is a price of blocks, single units are tiers, else the stairs they make."""
    sizes, most = ([int(block[name]) for block in blocks] for name in ("size", "max"))
    prices = [_amount(block["prices"]) for block in blocks]
    if len(blocks) == 1 and sizes[0] > 1:
        return Block(sizes[0], prices[0])
    if set(sizes) == {1}:
        tops = [sum(most[: n + 1]) for n in range(len(most) - 1)]
        tiers = tuple(Tier(top, unit=price) for top, price in zip([*tops, None], prices, strict=True))
        return Volume(tiers) if policy == "TOP_TIER" else Graduated(tiers)
    if policy == "TOP_TIER" or -1 in most:
        raise NotExpressible("blocks of several sizes without an end")
    return _stairs(sizes, prices, most)


def _stairs(sizes: Sequence[int], prices: Sequence[Decimal], most: Sequence[int]) -> Stairstep:
    """Each begun block is a step of its own."""
    each = [block for size, price, n in zip(sizes, prices, most, strict=True) for block in [(size, price)] * n]
    tops = accumulate(size for size, _ in each)
    flats = accumulate(price for _, price in each)
    return Stairstep((NOTHING, *_open_at_last(list(tops), list(flats))))
