"""Kill Bill's billing events and the invoices that a generator makes of them: each event is terms from a day on."""

from __future__ import annotations

from tests.conformance.verdict import Case, Forgiven, NotExpressible


def play(case: Case, forgiven: Forgiven) -> None:
    """One case."""
    raise NotExpressible("later")
