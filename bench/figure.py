"""A figure beside its floor, and where figures are kept and shown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

KEPT = Path("bench.json")
WIDE = 120
"""Characters of a line where no terminal says how many there are: figures are never cut."""


class Figure(NamedTuple):
    """What was measured, what it stands against, and how much of that it is."""

    name: str
    value: float
    unit: str
    floor: float
    ratio: float

    @classmethod
    def beside(cls, name: str, value: float, unit: str, floor: float) -> Self:
        """A figure whose ratio is value / floor."""
        return cls(name, value, unit, floor, value / floor)


def keep(figures: Iterable[Figure], path: Path = KEPT) -> None:
    """Writes figures down, in place of older ones with the same names; other older ones stay."""
    known = json.loads(path.read_text())["figures"] if path.exists() else []
    by_name = {figure["name"]: figure for figure in known}
    by_name.update((figure.name, figure._asdict()) for figure in figures)
    path.write_text(json.dumps({"figures": list(by_name.values())}, indent=1) + "\n")


def show(figures: Iterable[Figure]) -> None:
    """Prints figures as a table."""
    table = Table(title="Figures beside floors of the same run", box=SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("figure", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for column in ("value", "floor", "ratio"):
        table.add_column(column, justify="right")
    for figure in figures:
        table.add_row(figure.name, figure.unit, _short(figure.value), _short(figure.floor), f"{figure.ratio:,.3f}")
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:,.3g}"
