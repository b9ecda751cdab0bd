"""The words of a command: those that every command shares, and how days, numbers and ids are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from domain.errors import Invalid

YEARS = range(1900, 3000)
"""Days far outside are mistyped, and nothing can be counted beyond the last day that Python knows."""


DIGITS = 15
"""Of a quantity on the command line: more users than the world has, and fewer than any column takes."""


@dataclass
class Session:
    """The words given for every command."""

    home: Path | None = None
    as_json: bool = False


session = Session()


def today(zone: str = "UTC") -> date:
    """The date in a zone."""
    return datetime.now(ZoneInfo(zone)).date()


def a_day(text: str) -> date:
    """A day as written on the command line. Raises: a usage error."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day such as 2025-01-31") from None
    if day.year not in YEARS:
        raise typer.BadParameter(f"{text!r} is before {YEARS[0]} or after {YEARS[-1]}")
    return day


def quantities_of(pairs: Sequence[str]) -> dict[str, int]:
    """`component=quantity` pairs. Raises: Invalid."""
    found = {}
    for pair in pairs:
        name, equals, number = pair.partition("=")
        if not equals:
            raise Invalid(f"{pair!r} is not component=quantity")
        found[name] = whole(number, pair)
    return found


def whole(number: str, said: str) -> int:
    """A whole number from zero up, of what was said. Raises: Invalid, also for more than the database holds."""
    if not number.isascii() or not number.isdigit() or len(number) > DIGITS:
        raise Invalid(f"{said[:80]!r}: {number[:20]!r} is not a whole number of up to {DIGITS} digits")
    return int(number)


def on_day(what: str = "the day (default: today)") -> Any:
    """An option that takes a day."""
    return typer.Option(parser=a_day, metavar="DAY", help=what)


Day = Annotated[date, on_day("from this day on")]
OptionalDay = Annotated[date | None, on_day()]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="how many rows")]
After = Annotated[str, typer.Option(help="go on behind this one (the last of the page before)")]
CommandId = Annotated[
    str, typer.Option(help="an id of your own (UUID): giving it again is a no-op, with other words an error")
]


def command_id(text: str) -> UUID | None:
    """The command id given, if any. Raises: Invalid."""
    try:
        return UUID(text) if text else None
    except ValueError:
        raise Invalid(f"{text!r} is not a UUID") from None
