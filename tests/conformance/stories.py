"""Usage, and whole lives of subscriptions: whose player takes a case is said by its peer and its kind."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance import killbill_events, killbill_run, lago
from tests.conformance.verdict import Case, Forgiven, NotExpressible

PLAYERS: dict[tuple[str, str], Callable[[Case, Forgiven], None]] = {
    ("killbill", "dated_actions"): killbill_run.play,
    ("killbill", "billing_events_to_invoices"): killbill_events.play,
    ("lago", "dated_actions"): lago.play,
}


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of either family."""
    player = PLAYERS.get((case["peer"], case["kind"]))
    if player is None:
        raise NotExpressible(f"nobody plays {case['kind']} of {case['peer']} yet")
    player(case, forgiven)
