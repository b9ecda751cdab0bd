"""Cases of our own, in the peers' words: what the cases at hand do not ask, by the same rules."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.conformance.stories import play

MAY = {"from_datetime": "2023-05-01T00:00:00Z", "to_datetime": "2023-05-31T23:59:59Z", "charges_duration": 31}
SO_FAR = {"is_pay_in_advance": True, "is_current_usage": True}
BILLED = {
    "type": "cached_aggregation", "timestamp": "2023-05-05T00:00:00Z", "current_aggregation": "4",
    "max_aggregation": "7", "max_aggregation_with_proration": "5.8",
}  # fmt: skip
STOOD = {"type": "cached_aggregation", "timestamp": "2023-04-30T00:00:00Z"}
USERS = {"aggregation_type": "unique_count_agg", "field_name": "v", "recurring": True}


def seen(at: str, **said: Any) -> dict[str, Any]:
    return {"timestamp": f"2023-{at}Z", "properties": said}


def counted(how: str, events: list[Any], expected: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A case of what events come to in May."""
    metric = {"aggregation_type": f"{how}_agg", "field_name": "v", "recurring": more.pop("recurring", False)}
    case = {"peer": "lago", "kind": "aggregation", "family": "aggregations", "filters": {}, "boundaries": MAY}
    return {**case, "metric": metric, "events": events, "expected": expected, **more}


MORNING, NOON = "05-16T00:00:00", "05-16T12:00:00"
COUNTED = {
    "what was read last is not less than nothing": counted(
        "latest", [seen(MORNING, v=5), seen(NOON, v=-9)], {"aggregation": 0, "count": 2}
    ),
    "what is no number is not read": counted("sum", [seen(MORNING, v="none"), seen(NOON, v=2.5)], {"aggregation": 2.5}),
    "a level by the second is a mean of its day": counted(
        "weighted_sum", [seen(NOON, v=31)],
        {"aggregation": 1015.5, "variation": 31, "total_aggregated_units": 1031},
        recurring=True, other_records=[{**STOOD, "current_aggregation": 1000}],
    ),
    "a group is known by the level that it began with": counted(
        "weighted_sum", [seen(NOON, v=31, of="x")],
        {"aggregations.count": 2, "aggregations.first.grouped_by": {"of": "x"}, "aggregations.first.aggregation": 15.5},
        recurring=True, filters={"grouped_by": ["of"]},
        other_records=[{**STOOD, "current_aggregation": 5, "grouped_by": {"of": "y"}}],
    ),
    "what came after the peak was billed comes to it": counted(
        "sum", [seen(MORNING, v=6)], {"aggregation": 9, "current_usage_units": 6},
        options=SO_FAR, other_records=[BILLED],
    ),
    "usage so far is not below zero": counted("sum", [seen(MORNING, v=-6)], {"aggregation": 0}, options=SO_FAR),
    "on the day of billing it is billed whole": counted(
        "sum", [seen(MORNING, v=2)], {"aggregation": 2}, family="prorated_aggregations", recurring=True,
        options={"is_pay_in_advance": True},
    ),
    "what went and came back is told of each subject once": counted(
        "unique_count",
        [seen("05-02T00:00:00", v="a"), seen("05-03T00:00:00", v="a", operation_type="remove"), seen(MORNING, v="a")],
        {"breakdown.breakdown.count": 1, "breakdown.breakdown.first.action": "add",
         "breakdown.breakdown.first.duration": 18},
        family="breakdown", recurring=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("told", COUNTED)
def test_what_events_come_to(told):
    play(COUNTED[told], Counter())


FEE = "customer#5.subscriptions.first.fees.order(created_at=desc).first.amount_cents"


def billed(metric: dict[str, Any], charge: dict[str, Any], *moments: tuple[str, dict[str, Any] | None, int]) -> Any:
    """A case of a charge that is billed with each event: on days of 2024, what is seen, and what the fee of it is."""
    steps: list[dict[str, Any]] = []
    for on, said, fee in moments:
        at = f"2024-{on}T00:00:00Z"
        event = {"code": "billable_metric#3.code", "external_subscription_id": "s", "properties": said}
        does = {"do": "create_event", "args": [event]} if said is not None else {"do": "perform_billing"}
        steps += [{"at": at, **does}, {"at": at, "expect": {FEE: fee}}]
    sold = {"external_customer_id": "customer#5.external_id", "external_id": "s", "plan_code": "plan#2.code"}
    return {
        "peer": "lago", "kind": "dated_actions",
        "steps": [{"at": "2024-01-01T00:00:00Z", "do": "create_subscription", "args": [sold]}, *steps],
        "records": [
            {"ref": "customer#5"}, {"ref": "plan#2", "amount_cents": 0}, {"ref": "billable_metric#3", **metric},
            {"plan": "plan#2", "billable_metric": "billable_metric#3", "pay_in_advance": True, **charge},
        ],
    }  # fmt: skip


SUMS = {"aggregation_type": "sum_agg", "field_name": "v"}
GONE = {"operation_type": "remove"}
BILLED_AT_ONCE = {
    "seats are paid for the days that are left, and those of a month that begins whole": billed(
        USERS, {"ref": "standard_charge#4", "prorated": True, "properties": {"amount": "31"}},
        ("01-10", {"v": "a"}, 2200), ("01-20", {"v": "b"}, 1200), ("01-25", {"v": "b", **GONE}, 0),
        ("01-27", {"v": "c"}, 0), ("01-31", {"v": "d"}, 100), ("02-01", None, 9300),
    ),
    "a level that rises again is billed above its peak": billed(
        {**SUMS, "recurring": True}, {"ref": "standard_charge#4", "properties": {"amount": "2"}},
        ("01-10", {"v": "5"}, 1000), ("01-20", {"v": "-2"}, 0), ("01-25", {"v": "4"}, 400), ("02-01", None, 1400),
        ("02-05", {"v": "1"}, 200),
    ),
    "transactions of each month have a free one": billed(
        SUMS, {"ref": "percentage_charge#4",
               "properties": {"rate": "1", "fixed_amount": "2", "free_units_per_events": 1}},
        ("01-10", {"v": "100"}, 0), ("01-20", {"v": "50"}, 250), ("02-05", {"v": "10"}, 0),
    ),
    "a transaction has a least and a most amount": billed(
        SUMS, {"ref": "percentage_charge#4",
               "properties": {"rate": "1", "per_transaction_min_amount": "2", "per_transaction_max_amount": "5"}},
        ("01-10", {"v": "100"}, 200), ("01-20", {"v": "1000"}, 500),
    ),
    "a block is billed with the unit that begins it": billed(
        {"aggregation_type": "count_agg"},
        {"ref": "package_charge#4", "properties": {"amount": "10", "free_units": 1, "package_size": 2}},
        ("01-10", {}, 0), ("01-11", {}, 1000), ("01-12", {}, 0), ("01-13", {}, 1000),
    ),
}  # fmt: skip


@pytest.mark.parametrize("told", BILLED_AT_ONCE)
def test_what_each_event_adds(told):
    play(BILLED_AT_ONCE[told], Counter())


def test_usage_that_is_told_late_is_on_the_next_invoice():
    block = {"unit": "calls", "size": "1", "prices": "1.00", "max": "-1"}
    usage = {"name": "u", "usage_type": "CONSUMABLE", "billing_period": "MONTHLY", "tiers": [{"blocks": [block]}]}
    phase = {"type": "EVERGREEN", "duration": {"unit": "UNLIMITED"}, "usages": [usage]}

    def used(at: str, on: str, amount: int) -> dict[str, Any]:
        said = {"subscription": "sub1", "unit": "calls", "usage_at": on, "amount": str(amount)}
        return {"at": at, "do": "record_usage", **said}

    def invoiced(at: str, number: int, *months: tuple[str, str, str]) -> list[dict[str, Any]]:
        rows = [{"type": "usage", "start": start, "end": end, "amount": amount} for start, end, amount in months]
        return [
            {"at": at, "do": "advance_clock"},
            {"at": at, "expect": {"invoice": f"invoice[{number}]", "items": rows}},
        ]

    january, february = ("2024-01-01", "2024-02-01"), ("2024-02-01", "2024-03-01")
    account = {"account": "a", "bill_cycle_day": 1, "currency": "USD", "timezone": "UTC"}
    steps = [
        {"at": "2024-01-01", "do": "create_account", **account},
        {"at": "2024-01-01", "do": "create_subscription", "account": "a", "subscription": "sub1", "plan": "p"},
        used("2024-01-01", "2024-01-05", 3),
        used("2024-01-01", "2024-01-05", 7),
        *invoiced("2024-02-01", 1, (*january, "10")),
        used("2024-02-01", "2024-01-20", 2),
        used("2024-02-01", "2024-02-20", 4),
        {"at": "2024-02-01", "expect": {"value": {"of": "invoice_count", "equals": 1}}},
        *invoiced("2024-03-01", 2, (*january, "2"), (*february, "4")),
    ]
    plan = {"product": "P", "mode": "IN_ARREAR", "phases": [phase]}
    case = {"peer": "killbill", "kind": "dated_actions", "plans": {"p": plan}, "steps": steps}
    play({**case, "catalog_versions": None}, Counter())
