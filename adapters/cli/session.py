"""What every command shares: where the database is, how to print, how to ask."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from adapters.bootstrap import Tally, open_tally
from adapters.cli.amounts import Listing, Money
from adapters.settings import settings
from domain.errors import Invalid
from domain.payment import way_back

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNBROKEN = 1_000_000
"""Characters of a line: more than any row has."""


class Plain(Console):
    """What is printed was often written by others, such as a bank's text: nothing in it tells the terminal anything.

    Lines are broken where a terminal ends; in a pipe or a file a row stays one line, however long.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)
        if not self.is_terminal:
            self.width = UNBROKEN

    def render_str(self, text: str, **options: Any) -> Text:
        """A text with the sign of what cannot be shown in the place of each control character."""
        return super().render_str(CONTROL.sub("\ufffd", text), **options)


console = Plain()
errors = Plain(stderr=True)


PROSE = {"line", "reason", "party", "what must hold", "found", "name", "error", "scheduled", "field", "before", "after"}
PROSE |= {"price", "subject", "counted as", "excluded because", "suspended", "is", "text", "may be"}
"""Columns that may be broken over lines; days, numbers and references may not."""


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


@contextmanager
def opened() -> Iterator[Tally]:
    """Tallystick on the configured database."""
    with open_tally(settings(session.home)) as tally:
        yield tally


def plain(value: Any) -> Any:
    """A value as JSON has it: days and instants in ISO form, amounts and exact numbers as text."""
    if isinstance(value, Money):
        return value.decimal
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, UUID | Fraction | Decimal):
        return str(value)
    return msgspec.to_builtins(value, enc_hook=str)


def show(answer: Any, table: Table | str | None = None) -> None:
    """Prints an answer: as JSON where it was asked for, else as the table or sentence; a page's address stays whole."""
    if session.as_json:
        print(json.dumps(answer, default=plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
    elif isinstance(table, Table):
        show_table(table)
    elif table is not None:
        console.print(table, soft_wrap=True)


def named(columns: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    """A row as JSON has it: by the names of its columns, with underscores where people read spaces."""
    return {column.replace(" ", "_"): value for column, value in zip(columns, row, strict=True)}


def show_rows(title: str, listing: Listing, rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Prints rows with amounts; `right` names more columns of numbers."""
    filled = [listing.filled(row) for row in rows]
    table = table_of(title, listing.shown, map(listing.cells, filled), right=[*listing.amounts, *right])
    show([named(listing.columns, row) for row in filled], table)


def show_table(table: Table) -> None:
    """Prints a table; one that is wider than the terminal goes on beyond it."""
    console.print(table, crop=False)


def table_of(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = ()) -> Table:
    """A table with some columns to the right, wide enough for whole numbers: an amount cut short is another amount."""
    table = Table(title=title, title_justify="left", header_style="bold")
    written = [[_cell(cell) for cell in row] for row in rows]
    for number, column in enumerate(columns):
        side: Literal["left", "right"] = "right" if column in right else "left"
        widest = max(cell_len(line) for row in [columns, *written] for line in [*row[number].splitlines(), ""])
        table.add_column(column, justify=side, overflow="fold", no_wrap=column not in PROSE,
                         min_width=8 if column in PROSE else widest)  # fmt: skip
    for row in written:
        table.add_row(*row)
    return table


def _cell(value: Any) -> str:
    """A value as people read it: an instant to the minute."""
    return "" if value is None else f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Any]:
    """A progress bar on a terminal (on standard error, so that output can be piped); silent elsewhere."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal or session.as_json) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, advance=done)


def back_to(return_url: str) -> str:
    """Where a customer comes back to from a provider's page. Raises: Invalid when nobody said, or for no page."""
    chosen = return_url or settings(session.home).public_url
    if not chosen:
        raise Invalid("say --return-url, or set TALLY_PUBLIC_URL: where do customers come back to?")
    try:
        return way_back(chosen)
    except Invalid as error:
        raise Invalid(f"--return-url: {error}") from None


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
