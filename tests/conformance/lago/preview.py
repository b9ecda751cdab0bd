"""What has been used so far: the charges that the current period would come to if nothing more happened."""

from __future__ import annotations

from typing import Any

from domain.billing import account_of
from domain.document import Bill, Draft, draft
from domain.events.documents import Line
from domain.period import day as date_of
from tests.conformance.lago.counts import counted
from tests.conformance.lago.licenses import Stage
from tests.conformance.lago.plans import model_of
from tests.conformance.lago.records import Row, aggregation_of, kind_of
from tests.conformance.lago.slices import charge_of
from tests.conformance.lago.world import World
from tests.conformance.words import number

Part = tuple[Row, Line | None]
"""A slice of a charge, and the line that it comes to, if it comes to any."""


def usage_so_far(world: World, stage: Stage) -> dict[str, Any]:
    """The usage of a subscription in its current period, as the peer answers when it is asked for."""
    parts, drafted = _parts(world, stage)
    currency = stage.license.account.currency
    charges: dict[str, list[Part]] = {}
    for row, line in parts:
        charges.setdefault(charge_of(row["ref"]), []).append((row, line))
    return {
        "amount_cents": drafted.net, "taxes_amount_cents": drafted.tax, "total_amount_cents": drafted.gross,
        "currency": currency, "charges_usage": [_charge(world, stage, currency, own) for own in charges.values()],
    }  # fmt: skip


def _parts(world: World, stage: Stage) -> tuple[list[Part], Draft]:
    """Each slice of each charge with its line on the document that the period's end would bring."""
    sub = stage.license
    today = sub.account.day(world.now).toordinal()
    end = date_of(world.grid(sub, stage).period(today)[1])
    usage = {row["ref"]: row for row in stage.sold.charges() if kind_of(row["ref"]) != "fixed_charge"}
    found = world.found(sub, end, anew=True)
    wanted = tuple(
        line for line in found.difference.lines
        if line.stream.component.partition("/")[2] in usage and line.charge and line.start <= today < line.end
    )  # fmt: skip
    drafted = draft([Bill(found.standing, wanted)], account_of(sub.account.facts).tax_percent_on(end))
    lines = {line.component.partition("/")[2]: line for line in drafted.lines}
    return [(row, lines.get(ref)) for ref, row in usage.items()], drafted


def _charge(world: World, stage: Stage, currency: str, parts: list[Part]) -> dict[str, Any]:
    """One charge: the sum of its slices, and each group and filter of it."""
    first = parts[0][0]
    row = world.records[charge_of(first["ref"])]
    return {
        **_told(world, stage, parts), "amount_currency": currency, "charge": {"charge_model": model_of(row)},
        "billable_metric": {"aggregation_type": aggregation_of(world.records.metric(row))},
        "grouped_usage": [one for one in _rows(world, stage, parts, "group", "grouped_by") if one["events_count"]],
        "filters": list(_rows(world, stage, parts, "filter", "values")),
    }  # fmt: skip


def _rows(world: World, stage: Stage, parts: list[Part], key: str, name: str) -> list[dict[str, Any]]:
    kinds = [row[key] for row, _ in parts if key in row]
    return [
        {name: kind, **_told(world, stage, [part for part in parts if part[0].get(key) == kind])}
        for n, kind in enumerate(kinds)
        if kind not in kinds[:n]
    ]


def _told(world: World, stage: Stage, parts: list[Part]) -> dict[str, Any]:
    """Units, events and amount of some slices; a slice that counts something else has no units to tell."""
    counting = [(row, line) for row, line in parts if line and not row.get("counts")]
    units = float(sum(number(line.quantity) for _, line in counting))
    events = [
        event
        for row, line in counting
        for event in counted(row, world.records.metric(row), stage.license.observed)
        if line.start.toordinal() <= event.day
    ]
    amount = sum(line.amount for _, line in parts if line)
    return {
        "units": f"{units}", "total_aggregated_units": f"{units}", "events_count": len(events), "amount_cents": amount,
    }  # fmt: skip
