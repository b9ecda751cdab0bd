"""From the `dunning` section of a file to a ladder."""

from __future__ import annotations

from adapters.catalog_file import shape
from domain.ladder import Effect, EndsOn, Ladder, Step


def ladder_of(found: shape.LadderShape) -> Ladder:
    """The ladder that a section says."""
    return Ladder(
        steps=tuple(map(_step, found.steps)),
        days=found.days,
        calendar=found.calendar,
        claim_defers=found.claimed_transfer_waits,
        transit_defers=found.transit_waits,
        customer_waits=found.customer_waits,
    )


def _step(found: shape.StepShape) -> Step:
    effect: Effect = found.effect.replace(" ", "_")  # type: ignore[assignment]
    ends_on: EndsOn = "step" if found.ends == "at once" else "period"
    ends = effect == "removed" or ends_on == "period"
    restores = found.restores or ("configuration" if ends else "service")
    return Step(found.name, found.after, found.retry, found.remind, effect, restores, found.pauses_billing, ends_on)
