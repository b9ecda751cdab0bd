"""What is billed of what was counted so far: what the peer has kept of a level, and of what it billed at once for it.

It keeps a level with the peak that it was billed for, by group: one of the period says what is billed already, the last
one before the period is what a weighed level begins with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from tests.conformance.lago.counting import Meter, period_of, upward
from tests.conformance.lago.gathered import Asked, Group, group_of
from tests.conformance.lago.levels import Level
from tests.conformance.words import number

NOTHING = Fraction(0)


def quantity(asked: Asked, meter: Meter, group: Group = ()) -> Fraction:
    """What is billed, to the peer's five digits where days are weighed.

    On the day of billing a charge in advance is billed whole; of the usage so far nothing is below zero.
    """
    in_advance, so_far = (bool(asked.options.get(name)) for name in ("is_pay_in_advance", "is_current_usage"))
    if meter.prorated and in_advance and not so_far and asked.event is None:
        return meter.units()
    billed = upward(meter.billed()) if meter.prorated else meter.billed()
    if not so_far:
        return billed
    kept = kept_in(asked, group) if in_advance else {}
    if kept:
        return _after(meter, kept)
    if in_advance and meter.prorated and meter.period.part >= 1:
        billed = meter.units()
    return max(billed, NOTHING)


def _after(meter: Meter, kept: Mapping[str, Any]) -> Fraction:
    """What was billed for the peak, and all that came since."""
    since = max(meter.units(), NOTHING) - number(kept["current_aggregation"])
    if not meter.prorated:
        return max(number(kept["max_aggregation"]) + since, NOTHING)
    part = min(meter.period.part, Fraction(1))
    return number(kept["max_aggregation_with_proration"]) + (upward(since * part) if part < 1 else since)


def kept_in(asked: Asked, group: Group = ()) -> Mapping[str, Any]:
    """What was kept last in the period of the case, of a group; empty where nothing was."""
    first, last = (one.isoformat() for one in period_of(asked.case)[:2])
    of_group = [one for one in asked.cached if not group or _same(one, group)]
    inside = [one for one in of_group if first <= _at(one) <= last]
    return max(inside, key=_at, default={})


def openings(asked: Asked, names: tuple[str, ...]) -> dict[Group, Fraction]:
    """What each group stood at when the period began, where the peer kept it of a level that is weighed."""
    if not (issubclass(asked.kind, Level) and asked.metric["aggregation_type"] == "weighted_sum_agg"):
        return {}
    first = period_of(asked.case).first.isoformat()
    before = sorted((one for one in asked.cached if _at(one) < first), key=_at)
    return dict(_kept(before, names)) if asked.metric.get("recurring") else {}


def _kept(records: list[dict[str, Any]], names: tuple[str, ...]) -> Iterator[tuple[Group, Fraction]]:
    for one in records:
        said = one.get("grouped_by") or {}
        if set(said) == set(names):
            yield group_of(said, names), number(one["current_aggregation"])


def _same(record: Mapping[str, Any], group: Group) -> bool:
    return dict(group) == (record.get("grouped_by") or {})


def _at(record: Mapping[str, Any]) -> str:
    return str(record["timestamp"]).replace("Z", "+00:00")
