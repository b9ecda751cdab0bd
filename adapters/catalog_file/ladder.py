"""From the `dunning` section of a file to a ladder."""

from __future__ import annotations

from adapters.catalog_file import shape
from domain.ladder import Effect, Ladder, Step


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
    restores = found.restores or ("configuration" if effect == "removed" else "service")
    return Step(found.name, found.after, found.retry, found.remind, effect, restores, found.pauses_billing)
