"""Whether a license may have one more user: limits against what is used, as a state that time moves too."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from domain.package_version import Limit

State = Literal["within", "warn", "grace", "over", "blocked"]


def above(limit: Limit, used: int) -> bool:
    """Whether the use is above the limit; unlimited has no above, none has nothing but."""
    if limit.value == "unlimited":
        return False
    return used > (0 if limit.value == "none" else int(limit.value))


def state(limit: Limit, used: int, over_since: date | None, on: date) -> State:
    """Where a license stands against a limit on a day.

    Shapes: `over_since` is the first day of the present excess. A hard limit (or the hard part of a soft one) blocks,
    a soft one is in grace for its days and over after them; alert and statistics never block.
    """
    if limit.mode == "statistics" or limit.value == "unlimited":
        return "within"
    if limit.hard is not None and used > limit.hard:
        return "blocked"
    if not above(limit, used):
        value = 0 if limit.value == "none" else int(limit.value)
        return "warn" if value and used * 100 >= value * limit.warn_percent else "within"
    if limit.mode == "hard":
        return "blocked"
    tolerated = over_since is not None and on < over_since + timedelta(days=limit.grace_days)
    return "grace" if limit.grace_days and tolerated else "over"


def may_add(limit: Limit, used: int, adding: int, over_since: date | None, on: date) -> bool:
    """Whether users may be added now: only a state of blocked says no."""
    return state(limit, used + adding, over_since, on) != "blocked"
