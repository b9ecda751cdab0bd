"""How every command prints: tables and sentences for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal
from uuid import UUID

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from adapters.cli.amounts import Listing, Money
from adapters.cli.session import session

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
    """Prints a table; one that is wider than the terminal goes on beyond it, and so does the title of a narrow one."""
    title, table.title = table.title, None
    if title:
        console.print(title, style="table.title", soft_wrap=True)
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
