"""Plays a family of cases and keeps what each came to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from tests.conformance import item_tree, periods, proration, stories, tiers
from tests.conformance.verdict import Case, Differs, Forgiven, NotExpressible

FAMILIES: dict[str, Callable[[Case, Forgiven], None]] = {
    "proration": proration.play,
    "periods": periods.play,
    "item_tree": item_tree.play,
    "tiers": tiers.play,
    "integration": stories.play,
    "usage": stories.play,
    "dunning_payments": stories.play,
}
Outcome = Literal["passed", "failed", "not_expressible"]


class Verdict(NamedTuple):
    """What one case came to, and why it did not pass."""

    case: str
    peer: str
    outcome: Outcome
    why: str = ""


class Family(NamedTuple):
    """A family as it was played."""

    name: str
    verdicts: list[Verdict]
    forgiven: Forgiven

    def counts(self) -> dict[str, int]:
        """How many came to which outcome."""
        found = Counter(verdict.outcome for verdict in self.verdicts)
        return {outcome: found[outcome] for outcome in ("passed", "failed", "not_expressible")}  # type: ignore[index]

    def share(self) -> float:
        """The part of all cases that passed."""
        return self.counts()["passed"] / len(self.verdicts) if self.verdicts else 1.0

    def by_peer(self) -> dict[str, tuple[int, int]]:
        """Passed and cases, by peer."""
        cases, passed = Counter[str](), Counter[str]()
        for verdict in self.verdicts:
            cases[verdict.peer] += 1
            passed[verdict.peer] += verdict.outcome == "passed"
        return {peer: (passed[peer], cases[peer]) for peer in sorted(cases)}


def play(name: str, directory: Path) -> Family:
    """Plays all cases of a family's file."""
    cases = json.loads((directory / f"{name}.json").read_text())
    shelf = directory / "catalogs.json"
    catalogs = json.loads(shelf.read_text()) if shelf.exists() else {}
    for case in cases:
        case["catalog_versions"] = catalogs.get(case.get("catalog"))
    forgiven: Forgiven = Counter()
    return Family(name, [_played(name, case, forgiven) for case in cases], forgiven)


def _played(name: str, case: Case, forgiven: Forgiven) -> Verdict:
    used: Forgiven = Counter()
    try:
        FAMILIES[name](case, used)
    except NotExpressible as error:
        return Verdict(case["id"], case["peer"], "not_expressible", str(error))
    except Differs as error:
        return Verdict(case["id"], case["peer"], "failed", str(error))
    except Exception as error:
        return Verdict(case["id"], case["peer"], "failed", f"{type(error).__name__}: {error}")
    forgiven.update(used)
    return Verdict(case["id"], case["peer"], "passed")
