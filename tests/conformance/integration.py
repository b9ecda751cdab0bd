"""Whole lives of subscriptions: what happens on which day, and what the invoices say then."""

from __future__ import annotations

from tests.conformance.lago import scenario
from tests.conformance.verdict import Case, Forgiven, NotExpressible


def play(case: Case, forgiven: Forgiven) -> None:
    """One case of the family."""
    if case["peer"] == "lago":
        scenario(case, forgiven)
        return
    raise NotExpressible("not translated")
