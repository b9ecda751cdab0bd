"""`python -m bench`: measures, prints a table, and keeps the figures in bench.json."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from bench import append, billing_run, collect, documented_path, ingest, later_month, limit_query, rebuild, webhooks
from bench.figure import Figure, keep, show
from bench.ground import Ground, server

BENCHMARKS: dict[str, Callable[[Ground], list[Figure]]] = {
    "documented_path": documented_path.figures,
    "billing_run": billing_run.figures,
    "later_month": later_month.figures,
    "append": append.figures,
    "limit_query": limit_query.figures,
    "rebuild": rebuild.figures,
    "ingest": ingest.figures,
    "collect": collect.figures,
    "webhooks": webhooks.figures,
}
"""In this order; the documented path is first, so that the run that it is compared with is beside it in time too."""
SIZES = "10000,100000,1000000"
"""Licenses of the billing runs, where nothing else is said."""
ROUNDS = 3


def main() -> None:
    """Measures the named benchmarks, or all."""
    chosen = _arguments()
    names = list(dict.fromkeys(chosen.names)) or list(BENCHMARKS)
    found: list[Figure] = []
    with server() as dsn:
        ground = Ground(dsn, _sizes(chosen.licenses), chosen.workers, chosen.rounds)
        for name in names:
            print(f"measuring {name} ...", flush=True)
            figures = BENCHMARKS[name](ground)
            keep(figures)
            found += figures
    show(found)


def _arguments() -> argparse.Namespace:
    listed = "\n".join(f"  {name:16} {measure.__doc__}" for name, measure in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"{__doc__}\n\nbenchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", type=_known, help="what to measure; all without any")
    parser.add_argument(
        "--licenses",
        action="append",
        metavar="N,N,...",
        type=_numbers,
        help=f"of the billing runs, also more than once ({SIZES}); the million takes most of the time",
    )
    parser.add_argument("--workers", type=_positive, default=os.cpu_count() or 1, help="of the run (%(default)s)")
    parser.add_argument(
        "--rounds",
        type=_positive,
        default=ROUNDS,
        help="of what is short, of which the middle one counts (%(default)s)",
    )
    return parser.parse_args()


def _known(name: str) -> str:
    if name not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(BENCHMARKS)}")
    return name


def _numbers(text: str) -> list[int]:
    return [_positive(number) for number in text.split(",")]


def _sizes(chosen: list[list[int]] | None) -> tuple[int, ...]:
    return tuple(sorted({number for numbers in chosen or [_numbers(SIZES)] for number in numbers}))


def _positive(text: str) -> int:
    if not text.isdecimal() or (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return number
