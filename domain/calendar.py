"""Business days: by name, a country's, a region's or a market's calendar. Source: ADR-0025.

Shapes: `weekdays` is Monday to Friday; `every_day` has no days off; `DE` a country, `DE-BY` a part of it, `ECB` the
days on which euro payments are settled.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache

from domain.errors import Invalid

Works = Callable[[date], bool]
"""Whether business is done on a day."""

ONE = timedelta(days=1)
LONGEST = 30
"""More days off in a row than any calendar has: a search beyond them would never end."""


@lru_cache(maxsize=64)
def works(name: str) -> Works:
    """The business days of a calendar. Raises: Invalid for a name that is no calendar."""
    if name == "every_day":
        return lambda _: True
    if name == "weekdays":
        return lambda on: on.weekday() < 5
    # The library is heavy to load, and most commands need no calendar.
    import holidays

    country, _, part = name.partition("-")
    try:
        if country in holidays.list_supported_financial():
            found = holidays.financial_holidays(country)
        else:
            found = holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError:
        raise Invalid(f"{name!r} is no calendar: weekdays, every_day, DE, DE-BY, ECB are some") from None
    return found.is_working_day


def business_day(on: date, working: Works) -> date:
    """The day itself when business is done on it, else the next one."""
    for _ in range(LONGEST):
        if working(on):
            return on
        on += ONE
    raise Invalid(f"there is no business day in the {LONGEST} days before {on}")


def after_business_days(on: date, days: int, working: Works) -> date:
    """So many business days after a day; 0 is the day itself, or the next business day."""
    on = business_day(on, working) if not days else on
    for _ in range(days):
        on = business_day(on + ONE, working)
    return on
