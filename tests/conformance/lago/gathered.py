"""A Lago case's events, by what the case asks for: all of them, by group, or one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from tests.conformance.lago.counting import READINGS, Happened, Meter, happened, period_of
from tests.conformance.lago.levels import Level, Presence
from tests.conformance.verdict import Case, NotExpressible

Group = tuple[tuple[str, Any], ...]
"""What events that are measured together have in common: property and value, by property."""


class Asked:
    """A case's events, by what the case asks for."""

    def __init__(self, case: Case) -> None:
        self.case, self.metric = case, case["metric"]
        self.kind = meter_of(case)
        self.events = sorted(filter(self._matches, map(happened, case["events"])), key=lambda event: event.at)
        self.options: dict[str, Any] = case.get("options") or {}
        event = case.get("pay_in_advance_event")
        self.event = happened(event) if event else None
        records = case.get("other_records", ())
        self.cached = [record for record in records if record["type"] == "cached_aggregation"]
        self.grouped_by = tuple(case["filters"].get("grouped_by", ()))
        for name in self.grouped_by:
            if self.events and not any(name in found.said for found in self.events):
                raise NotExpressible(f"no event tells the {name} that it is grouped by")

    def meter(self, events: Sequence[Happened], opening: Fraction | None = None) -> Meter:
        return self.kind(self.case, events, opening)

    def whole(self, opening: Fraction | None = None) -> Meter:
        """All events together."""
        return self.meter(self.events, opening)

    def grouped(self, names: Sequence[str], openings: Mapping[Group, Fraction]) -> dict[Group, Meter]:
        """The events of each group that is told of; a group may also be known by the level that it came with."""
        groups: dict[Group, list[Happened]] = {group: [] for group in openings}
        for event in self.events:
            groups.setdefault(group_of(event.said, names), []).append(event)
        meters = {group: self.meter(events, openings.get(group)) for group, events in groups.items()}
        return {group: meter for group, meter in meters.items() if meter.told or group in openings}

    def listed(self) -> Meter:
        """The events that are told one by one: those of one group, and the one that is billed at once, whenever it was.

        Which group is not in the cases: it is the one property that some events have and nothing names.
        """
        filters = self.case["filters"]
        shown = (*self.grouped_by, *filters.get("presentation_by", ()), *filters.get("matching_filters", ()))
        named = {self.metric.get("field_name"), "operation_type", *shown}
        odd = sorted({name for event in self.events for name in event.said} - named)
        last = period_of(self.case).last
        return self.meter([
            event._replace(at=min(event.at, last)) if event == self.event else event
            for event in self.events
            if all(name in event.said for name in odd)
        ])  # fmt: skip

    def _matches(self, event: Happened) -> bool:
        filters = self.case["filters"]
        wanted, group = filters.get("matching_filters") or {}, filters.get("grouped_by_values") or {}
        others = filters.get("ignored_filters") or ()
        return (
            _has(event, wanted)
            and not any(_has(event, other) for other in others)
            and all(event.said.get(name) == value for name, value in group.items())
        )


def meter_of(case: Case) -> type[Meter]:
    """How a case's metric is counted.

    Raises: NotExpressible for metrics that say more than these know.
    """
    metric, kind = case["metric"], case["metric"]["aggregation_type"]
    if odd := metric.keys() - {"aggregation_type", "field_name", "recurring"}:
        raise NotExpressible(f"a metric with {', '.join(sorted(odd))}")
    if kind == "unique_count_agg":
        return Presence
    if kind == "weighted_sum_agg" or (
        kind == "sum_agg" and (metric.get("recurring") or case["family"] != "aggregations")
    ):
        return Level
    if kind in READINGS or kind == "count_agg":
        return Meter
    raise NotExpressible(f"no measure for {kind}")


def _has(event: Happened, wanted: Mapping[str, Any]) -> bool:
    return all(event.said.get(name) in values for name, values in wanted.items())


def group_of(said: Mapping[str, Any], names: Iterable[str]) -> Group:
    """The group of an event."""
    return tuple((name, said.get(name)) for name in sorted(names))
