"""Plays other systems' test cases against our domain: `python -m tests.conformance DIR [--family F] [--json]`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from adapters.cli.printing import console, show_table, table_of
from tests.conformance.play import FAMILIES, Family, play

TELLS = (
    "Dates and whole periods are exact. A part of a period may differ by one minor unit on a tie of rounding; rows of "
    "zero and rows of account credit are left out. Nothing else is forgiven; an expectation of something that we do "
    "not have, a wallet say, is counted as not compared."
)


def main(
    directory: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Where the cases are: FAMILY.json")],
    family: Annotated[list[str] | None, typer.Option(help="Only these families.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    why: Annotated[bool, typer.Option(help="List each case that failed or cannot be told, with why.")] = True,
) -> None:
    """Plays the cases of a directory and prints passed, failed and not expressible for each family."""
    wanted = family or list(FAMILIES)
    played = [play(name, directory) for name in wanted if (directory / f"{name}.json").exists()]
    if as_json:
        print(json.dumps({"families": [_told(one) for one in played]}, indent=1))
        return
    for one in played if why else ():
        for verdict in one.verdicts:
            if verdict.outcome != "passed":
                console.print(
                    f"{verdict.outcome:16} {verdict.case:10} {verdict.why[:200]}", highlight=False, markup=False
                )
    show_table(_table(played))
    console.print(TELLS, style="dim")


def _told(family: Family) -> dict[str, Any]:
    return {
        "family": family.name,
        "cases": len(family.verdicts),
        **family.counts(),
        "share": round(family.share(), 4),
        "peers": family.by_peer(),
        "forgiven": dict(family.forgiven),
        "not_passed": [verdict._asdict() for verdict in family.verdicts if verdict.outcome != "passed"],
    }


def _table(played: list[Family]) -> Table:
    columns = ("family", "cases", "passed", "failed", "not expressible", "share", "peer", "of which", "forgiven")
    rows = []
    for family in played:
        counts = family.counts()
        peers = [f"{passed}/{cases}" for passed, cases in family.by_peer().values()]
        forgiven = [f"{name} {times}" for name, times in family.forgiven.items() if times]
        rows.append(
            (family.name, len(family.verdicts), counts["passed"], counts["failed"], counts["not_expressible"],
             f"{family.share():.1%}", "\n".join(family.by_peer()), "\n".join(peers), "\n".join(forgiven))
        )  # fmt: skip
    return table_of("Conformance with other systems' suites", columns, rows, right=columns[1:6])


if __name__ == "__main__":
    typer.run(main)
