"""A figure beside its floor, and where figures are kept and shown.

A machine does not keep its speed: what is short is measured in rounds, each beside its floor, and the round in the
middle counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

T = TypeVar("T")

KEPT = Path("bench.json")
WIDE = 120
"""Characters of a line where no terminal says how many there are: figures are never cut."""


class Figure(NamedTuple):
    """What was measured, what it stands against, and how much of that it is; its least and its most in any round."""

    name: str
    value: float
    unit: str
    floor: float
    ratio: float
    low: float
    high: float

    @classmethod
    def beside(cls, name: str, value: float, unit: str, floor: float) -> Self:
        """A figure that was measured once; its ratio is value / floor."""
        return cls.of_rounds(name, unit, [(value, floor)])

    @classmethod
    def of_rounds(cls, name: str, unit: str, rounds: Iterable[tuple[float, float]]) -> Self:
        """The figure that rounds of (value, floor) come to: the one in the middle by ratio, the lower of two."""
        ratios = sorted((value / floor, value, floor) for value, floor in rounds)
        ratio, value, floor = middle(ratios)
        return cls(name, value, unit, floor, ratio, ratios[0][0], ratios[-1][0])


def middle(ascending: Sequence[T]) -> T:
    """The one in the middle, the lower of two."""
    return ascending[(len(ascending) - 1) // 2]


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
    for column in ("value", "floor", "ratio", "of rounds"):
        table.add_column(column, justify="right")
    for figure in figures:
        shown = (_short(figure.value), _short(figure.floor), f"{figure.ratio:,.3f}", _spread(figure))
        table.add_row(figure.name, figure.unit, *shown)
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def _spread(figure: Figure) -> str:
    """Between which ratios the rounds were; nothing where there was one."""
    return f"{figure.low:,.3f} to {figure.high:,.3f}" if figure.low < figure.high else ""


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:,.3g}"
