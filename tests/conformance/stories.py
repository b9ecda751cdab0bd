"""Usage, and whole lives of subscriptions: whose player takes a case is said by its peer and its kind."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.killbill import events, run
from tests.conformance.lago import aggregation, scenario
from tests.conformance.verdict import Case, Forgiven, NotExpressible

PLAYERS: dict[tuple[str, str], Callable[[Case, Forgiven], None]] = {
    ("killbill", "dated_actions"): run.play,
    ("killbill", "billing_events_to_invoices"): events.play,
    ("lago", "aggregation"): aggregation.play,
    ("lago", "dated_actions"): scenario.play,
}


def play_paid(case: Case, forgiven: Forgiven) -> None:
    """One case in which what is paid and chased is compared too."""
    play({**case, "tells_of_payments": True}, forgiven)


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of whole lives, or of usage."""
    player = PLAYERS.get((case["peer"], case["kind"]))
    if player is None:
        raise NotExpressible(f"{case['kind']} of {case['peer']} is not a kind that we know")
    player(case, forgiven)
