"""The days on which a level moved, by how much, and for how many days of a full period, as Lago breaks it down."""

from __future__ import annotations

from typing import Any

from domain.period import day as day_of
from tests.conformance.lago.gathered import Asked
from tests.conformance.lago.levels import Level, Presence
from tests.conformance.verdict import NotExpressible, expect
from tests.conformance.words import number

PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "last": -1}


def tell(asked: Asked, name: str, how: str, theirs: Any) -> None:
    """How many changes there are, or a word about one of them."""
    meter = asked.whole()
    if not isinstance(meter, Level | Presence):
        raise NotExpressible("only a level has changes to tell")
    ours = sorted(meter.changes())
    what, _, word = how.removeprefix("breakdown.").partition(".")
    if what in ("count", "size"):
        expect(name, len(ours), theirs)
        return
    if what not in PLACES or not -len(ours) <= PLACES[what] < len(ours):
        raise NotExpressible(f"no change {what}")
    day, action, amount, days = ours[PLACES[what]]
    told = {"date": day_of(day).isoformat(), "action": action, "amount": amount, "duration": days}
    told["total_duration"] = meter.period.whole
    expect(name, told.get(word), number(theirs) if word == "amount" else theirs)
