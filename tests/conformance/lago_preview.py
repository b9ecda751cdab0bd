"""What has been used so far: the charges that the current period would come to if nothing more happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.document import draft
from domain.billing import account_as_of
from domain.period import day as date_of
from tests.conformance.lago_records import aggregation_of, kind_of, model_of

if TYPE_CHECKING:
    from tests.conformance.lago_world import Stage, World


def usage_so_far(world: World, stage: Stage) -> dict[str, Any]:
    """The usage of a subscription in its current period, as the peer answers when it is asked for."""
    sub = stage.license
    today = sub.account.day(world.now).toordinal()
    end = date_of(world.grid(sub, stage).period(today)[1])
    usage = {row["ref"]: row for row in stage.sold.charges() if kind_of(row["ref"]) != "fixed_charge"}
    wanted = [
        line for line in world.found(sub, end).difference.lines
        if line.stream.component.partition("/")[2] in usage and line.charge and line.start <= today < line.end
    ]  # fmt: skip
    account = account_as_of(sub.account.facts, end)
    drafted = draft(wanted, account.tax_percent)
    rows = []
    for line in drafted.lines:
        row = usage[line.component.partition("/")[2]]
        metric = world.records.metric(row)
        events = [
            event for event in sub.observed if event.metric == metric["ref"] and line.start.toordinal() <= event.day
        ]
        rows.append({
            "ref": row["ref"], "units": f"{float(line.quantity)}", "total_aggregated_units": f"{float(line.quantity)}",
            "amount_cents": line.amount, "amount_currency": account.currency, "events_count": len(events),
            "charge": {"charge_model": model_of(row)}, "grouped_usage": [], "filters": [], "pricing_unit_details": None,
            "billable_metric": {"aggregation_type": aggregation_of(metric)},
        })  # fmt: skip
    rows.sort(key=lambda row: list(usage).index(str(row["ref"])))
    return {
        "amount_cents": drafted.net, "taxes_amount_cents": drafted.tax, "total_amount_cents": drafted.gross,
        "currency": account.currency, "charges_usage": rows,
    }  # fmt: skip
