"""A phase of a Kill Bill plan as a package: what is paid once, what is paid per period, and what is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from domain.grid import MONTHLY, Cadence
from domain.package_version import Component, Counted, Counting, Declared, Measure, PackageVersion, Proration
from domain.price import Block, Flat, Graduated, PerUnit, Price, Stairstep, Tier, Volume
from tests.conformance.killbill_catalog import Plan
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import MODES, cadence, decimal

LONG_AGO = date(2000, 1, 1)


def package(plan: Plan, phase: int, currency: str, greedy: bool, month_days: int) -> PackageVersion:
    """The package that a phase of a plan is: what is paid once, what is paid per period, and what is used."""
    said, name = plan.said["phases"][phase], plan.package(phase)
    mode = MODES[plan.said["mode"].lower()]
    if mode == "in_arrears" and greedy:
        mode = "in_arrears_greedy"
    components, countings, price = list[Component](), list[Counting](), dict[str, Price]()
    fixed, recurring = plan.price(phase, "fixed"), plan.price(phase, "recurring")
    if fixed is not None:
        price = {currency: Flat(decimal(fixed))}
        components.append(Component("fixed", "Fixed", price, charge="one_time", reversible=False))
    if recurring is not None:
        price = {currency: PerUnit(decimal(recurring))}
        components.append(Component(
            "recurring", "Recurring", price, quantity=Declared(), cadence=cadence(said["billing_period"]), mode=mode,
        ))  # fmt: skip
    for usage in said.get("usages", ()):
        unit, price_of_it, measure = _used(usage)
        components.append(Component(
            usage["name"], "Usage", {currency: price_of_it}, charge="usage", quantity=Counted(unit),
            cadence=_rhythm(usage), mode="in_arrears",
        ))  # fmt: skip
        countings.append(Counting(unit, measure))
    policy = Proration(
        month_days=month_days, leading_base="shifted", usage_correction="up_only", grid_on_change="always"
    )
    return PackageVersion(
        name, plan.version, name, LONG_AGO, tuple(components), countings=tuple(countings), proration=policy
    )


def _rhythm(usage: Mapping[str, Any]) -> Cadence:
    return cadence(usage["billing_period"]) if usage.get("billing_period") else MONTHLY


def _used(usage: Mapping[str, Any]) -> tuple[str, Price, Measure]:
    """What is counted of a usage, what it costs, and which quantity of a period is billed."""
    if usage["usage_type"] == "CAPACITY":
        limits = [(tier["limits"][0], tier["recurringPrice"]) for tier in usage["tiers"]]
        rungs = [(int(limit["max"]), decimal(_price(price))) for limit, price in limits]
        return limits[0][0]["unit"], Stairstep((NOTHING, *_open_at_last(rungs))), "peak"
    blocks = [block for tier in usage["tiers"] for block in tier["blocks"]]
    if len({block["unit"] for block in blocks}) > 1:
        raise NotExpressible("a tier of several units")
    return blocks[0]["unit"], _blocks(blocks, usage.get("tier_block_policy") or "ALL_TIERS"), "sum"


NOTHING = Tier(0)


def _price(written: Any) -> str:
    if isinstance(written, dict):
        raise NotExpressible("no price in the account's currency")
    return str(written)


def _open_at_last(rungs: Sequence[tuple[int, Decimal]]) -> list[Tier]:
    return [Tier(most, flat=flat) for most, flat in rungs[:-1]] + [Tier(None, flat=rungs[-1][1])]


def _blocks(blocks: Sequence[Mapping[str, Any]], policy: str) -> Price:
    """Units in blocks of a size: one size is a price of blocks, single units are tiers, else the stairs they make."""
    sizes = [int(block["size"]) for block in blocks]
    prices = [decimal(_price(block["prices"])) for block in blocks]
    most = [int(block["max"]) for block in blocks]
    if len(blocks) == 1 and sizes[0] > 1:
        return Block(sizes[0], prices[0])
    if set(sizes) == {1}:
        tops = [sum(most[: n + 1]) for n in range(len(most) - 1)]
        tiers = [Tier(top, unit=price) for top, price in zip([*tops, None], prices, strict=True)]
        return Volume(tuple(tiers)) if policy == "TOP_TIER" else Graduated(tuple(tiers))
    if policy == "TOP_TIER" or -1 in most:
        raise NotExpressible("blocks of several sizes without an end")
    return Stairstep(tuple(_stairs(sizes, prices, most)))


def _stairs(sizes: Sequence[int], prices: Sequence[Decimal], most: Sequence[int]) -> list[Tier]:
    """Each begun block is a step; above the last there is nothing, as the peer takes no more than that."""
    stairs, top, total = [NOTHING], 0, Decimal(0)
    for size, price, blocks in zip(sizes, prices, most, strict=True):
        for _ in range(blocks):
            top, total = top + size, total + price
            stairs.append(Tier(top, flat=total))
    return [*stairs[:-1], Tier(None, flat=total)]
