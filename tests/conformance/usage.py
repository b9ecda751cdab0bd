"""Usage: what a period's events are counted at, and what is billed for it."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance import lago_aggregation
from tests.conformance.verdict import Case, Forgiven, NotExpressible

KINDS: dict[tuple[str, str], Callable[[Case, Forgiven], None]] = {
    ("lago", "aggregation"): lago_aggregation.play,
}


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of the family."""
    translated = KINDS.get((case["peer"], case["kind"]))
    if translated is None:
        raise NotExpressible("not translated")
    translated(case, forgiven)
