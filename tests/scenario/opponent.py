"""An opponent who knows nothing of the insides: random months through the command line, killed and run twice at once.

Every step is done in two worlds: calmly, once; and roughly, where processes are killed at any moment and repeated, and
where the same command runs twice at once. Both have to answer alike and to end with the same books.
Usage: python -m tests.scenario.opponent [SEEDS] [STEPS] [FIRST SEED]
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.scenario.opponent_books import books, unbalanced
from tests.scenario.opponent_business import Business
from tests.scenario.opponent_world import World

ONCE = ("allocate", "return", "take-back", "pause", "resume", "claim", "write-off")
"""Commands without an id, refused when repeated: done and not heard, their answers differ, the books do not."""
LOOK = 10
"""Steps between two looks at the books."""


def play(seed: int, steps: int) -> str:
    """Plays a seed in both worlds; what they differ in, or nothing."""
    folder = Path(tempfile.mkdtemp(prefix="tally-opponent-files-"))
    calm, rough = World(None), World(random.Random(seed + 1))
    try:
        for number, step in enumerate(Business(seed, folder).steps(steps)):
            answers = [world.take(step) for world in (calm, rough)]
            if not _alike(*answers):
                said = [words if isinstance(words, list) else calm.told[-1] for words in step]
                return f"step {number} {said}: calm {answers[0]}, rough {answers[1]}"
            if number % LOOK == LOOK - 1 and (found := unbalanced(calm) or unbalanced(rough)):
                return f"after step {number}: {found}"
        if found := unbalanced(calm) or unbalanced(rough):
            return found
        return _first_difference(books(calm), books(rough))
    finally:
        for world in (calm, rough):
            world.close()
        shutil.rmtree(folder, ignore_errors=True)


def _alike(calm: list[tuple[list[str], int, Any]], rough: list[tuple[list[str], int, Any]]) -> bool:
    """Whether both did the same or refused the same."""
    for (words, status, _), (_, other, _) in zip(calm, rough, strict=True):
        repeated = any(word in ONCE for word in words[:2]) and (status, other) == (0, 2)
        if status not in (0, 2) or not (other == status or repeated):
            return False
    return True


def _first_difference(calm: dict[str, list[Any]], rough: dict[str, list[Any]]) -> str:
    for what, rows in calm.items():
        if rows != rough[what]:
            only = [one for one in rows if one not in rough[what]], [one for one in rough[what] if one not in rows]
            return f"{len(rows)} and {len(rough[what])} {what}; only calm {only[0][:2]}; only rough {only[1][:2]}"
    return ""


if __name__ == "__main__":
    seeds, steps = (int(word) for word in [*sys.argv[1:], "5", "40"][:2])
    base = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    for seed in range(base, base + seeds):
        print(f"seed {seed}: {play(seed, steps) or 'the same books'}", flush=True)
