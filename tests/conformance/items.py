"""Lines of an invoice beside those that a peer expects: dates exact, amounts exact but for a tie on a part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from tests.conformance.verdict import Differs, Forgiven


class Item(NamedTuple):
    """One line as both sides tell it.

    Shapes: `start`/`end` None where the peer does not say. Units: minor; `part` less than a whole period.
    """

    kind: str
    start: date | None
    end: date | None
    amount: int
    part: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.start}–{self.end} {self.amount}"


def compare(ours: Iterable[Item], theirs: Iterable[Item], forgiven: Forgiven) -> None:
    """Raises: Differs unless every line of one side is on the other, in any order."""
    left, wanted = _told(ours, forgiven), _told(theirs, forgiven)
    unmatched = []
    for item in sorted(wanted, key=lambda one: (one.start is None, str(one))):
        found = _find(item, left)
        if found is None:
            unmatched.append(item)
            continue
        left.remove(found)
        forgiven["tie"] += found.amount != item.amount
    if unmatched or left:
        raise Differs(f"only theirs: {_said(unmatched)}; only ours: {_said(left)}")


def _told(items: Iterable[Item], forgiven: Forgiven) -> list[Item]:
    all_of_them = list(items)
    kept = [item for item in all_of_them if item.amount]
    forgiven["zero row"] += len(all_of_them) - len(kept)
    return kept


def _find(item: Item, among: Sequence[Item]) -> Item | None:
    """The line with the same dates and amount, or else one that a tie on a part explains."""
    same = [one for one in among if _same_days(one, item) and one.kind == item.kind]
    exact = [one for one in same if one.amount == item.amount]
    near = [one for one in same if one.part and abs(one.amount - item.amount) == 1]
    return next(iter([*exact, *near]), None)


def _same_days(ours: Item, theirs: Item) -> bool:
    start = theirs.start is None or ours.start == theirs.start
    return start and (theirs.end is None or ours.end == theirs.end)


def _said(items: Sequence[Item]) -> str:
    return ", ".join(map(str, items)) or "nothing"
