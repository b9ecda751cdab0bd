"""Usage: how events become a quantity, and what the quantity comes to."""

from __future__ import annotations

from tests.conformance.lago import scenario
from tests.conformance.verdict import Case, Forgiven, NotExpressible


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of the family."""
    if case["peer"] == "lago" and case["kind"] == "dated_actions":
        scenario(case, forgiven)
        return
    raise NotExpressible("not translated")
