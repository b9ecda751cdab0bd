"""A world of the opponent: one database, and commands that are typed into it calmly or roughly."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from adapters.cli.main import main
from adapters.embedded import Embedded
from domain.statement import Transfer

TALLY = [sys.executable, "-c", "import sys; from adapters.cli.main import main; sys.exit(main())"]
Words = list[str]
Told = Callable[["World"], Words]
"""Words that name what only a world knows, such as the number of an invoice."""
Step = tuple[Words | Told, ...]
"""Commands that a calm world does one after another and a rough one at the same time."""
Answer = tuple[Words, int, Any]


class World:
    """One database and how commands are run on it; `chance` is None where life is calm.

    Shapes: `sent` is what the bank told so far, by currency in minor units; `statements` are the words of its
    files, `last` the transfers of the latest one.
    """

    def __init__(self, chance: random.Random | None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="tally-opponent-"))
        self.home.chmod(0o755)
        self.chance = chance
        self.sent: Counter[str] = Counter()
        self.statements: list[Words] = []
        self.last: dict[str, tuple[Transfer, ...]] = {}
        self.told: list[Words] = []
        Embedded(self.home, durable=False).start()

    def close(self) -> None:
        Embedded(self.home).stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def ask(self, *words: str) -> Any:
        """What a command that only reads says: nobody disturbs it."""
        said = io.StringIO()
        with redirect_stdout(said):
            status = main([*words, "--home", str(self.home), "--json"])
        assert status in (0, 3), (words, status)
        return json.loads(said.getvalue())

    def take(self, step: Step) -> list[Answer]:
        """Takes a step to its end: what each command answered."""
        said = [words(self) if callable(words) else words for words in step]
        self.told += said
        if self.chance is None:
            return [self._do(words) for words in said]
        beside = [(words, self._begin(words)) for words in said[1:]]
        return [self._do(said[0]), *((words, *self._end(process)) for words, process in beside)]

    def _do(self, words: Words) -> Answer:
        """Runs a command to its end, whatever happens on the way: (what, status, what it said)."""
        twin = None
        if self.chance is not None:
            while self.chance.random() < 0.4:
                self._killed(words)
            twin = self._begin(words) if self.chance.random() < 0.4 else None
        answer = self._end(self._begin(words))
        if twin is not None:
            self._end(twin)
        return (words, *answer)

    def _begin(self, words: Words) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*TALLY, *words, "--home", str(self.home), "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> tuple[int, Any]:
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        return process.returncode, json.loads(out or err or "null")

    def _killed(self, words: Words) -> None:
        """Starts a command and kills it, with all that it started but for the database."""
        assert self.chance is not None
        process = self._begin(words)
        time.sleep(self.chance.uniform(0.3, 1.4))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
