"""Kill Bill's overdue states, and the days of its retries, as one ladder of ours."""

from __future__ import annotations

from typing import Any

from domain.ladder import Effect, Ladder, Step, check
from tests.conformance.verdict import Case, NotExpressible


def states_of(case: Case) -> list[str]:
    """The names of the peer's overdue states, the worst first."""
    return [state["name"] for state in (case.get("overdue_config") or {}).get("states", ())]


def ladder_of(case: Case) -> Ladder:
    """The peer's days of retries and its overdue states as one ladder, counted from the day of the invoice."""
    steps: dict[int, Step] = {}
    after = 0
    for days in case.get("payment_retry_days") or ():
        after += days
        steps[after] = Step(f"retry {after}", after, retry=True)
    for state in (case.get("overdue_config") or {}).get("states", ()):
        days, more = _condition(state["condition"]), steps.get(_condition(state["condition"]))
        effect, pauses = _effect(state)
        cancels = state.get("subscriptionCancellationPolicy", "NONE")
        steps[days] = Step(
            state["name"], days, retry=more is not None, effect=effect, pauses_billing=pauses,
            restores="service" if cancels == "NONE" else "configuration",
            ends_on="period" if cancels == "END_OF_TERM" else "step",
        )  # fmt: skip
    ladder = Ladder(tuple(steps[days] for days in sorted(steps)) or (Step("none", 365),), calendar="every_day")
    check(ladder)
    return ladder


def _condition(said: dict[str, Any]) -> int:
    if set(said) != {"timeSinceEarliestUnpaidInvoiceEqualsOrExceeds"}:
        raise NotExpressible("an overdue state by the number or the sum of unpaid invoices")
    since = said["timeSinceEarliestUnpaidInvoiceEqualsOrExceeds"]
    if since["unit"] != "DAYS":
        raise NotExpressible("an overdue state after months")
    return int(since["n"])


def _effect(state: dict[str, Any]) -> tuple[Effect, bool]:
    """What a state does to licenses, and whether billing pauses."""
    if state.get("subscriptionCancellationPolicy") == "IMMEDIATE":
        return "removed", False
    if state.get("disableEntitlementAndChangesBlocked") == "true":
        return "filter_off", True
    ends = state.get("subscriptionCancellationPolicy") == "END_OF_TERM"
    return ("read_only" if ends or state.get("blockChanges") == "true" else "warn"), False
