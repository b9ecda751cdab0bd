"""An opponent who knows nothing of the insides: random months through the command line, killed and run twice at once.

Every step is done in two worlds: calmly, once; and roughly, where processes are killed at any moment and repeated, and
where the same command runs twice at once. Both have to answer alike and to end with the same books.
Usage: python -m tests.scenario.opponent [SEEDS] [STEPS] [FIRST SEED]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from adapters.embedded import Embedded

TALLY = [sys.executable, "-c", "import sys; from adapters.cli.main import main; sys.exit(main())"]
ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin")
BEGIN = date(2024, 1, 1)
CATALOG = """
catalog: 1
packages:
  small:
    name: Small
    effective_on: 2023-01-01
    rank: 1
    counters: {users: {measure: peak}}
    components:
      base: {name: Base, bill: in advance, price: {EUR: {flat: "%s"}, JPY: {flat: "1900"}}}
      users:
        name: Users
        bill: in arrears
        quantity: {counted: users}
        price: {EUR: {graduated: [{up_to: 10, unit: "2.01"}, {unit: "1.49"}]}, JPY: {per_unit: "200"}}
    changes: {downgrade: now, cancel: now}
  large:
    name: Large
    effective_on: 2023-01-01
    rank: 2
    components:
      seats:
        name: Seats
        every: 3 months
        quantity: {declared: true}
        price: {EUR: {volume: [{up_to: 5, unit: "9.99"}, {unit: "7.77"}]}, JPY: {per_unit: "900"}}
      setup: {name: Setup, charge: once, price: {EUR: {flat: "49.00"}, JPY: {flat: "5000"}}}
    changes: {downgrade: now, cancel: now}
"""
Words = list[str]
Step = tuple[Words, ...]
"""Commands that a calm world does one after another and a rough one at the same time."""


class World:
    """One database and how commands are run on it; `chance` is None where life is calm."""

    def __init__(self, chance: random.Random | None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="tally-opponent-"))
        self.home.chmod(0o755)
        self.chance = chance
        Embedded(self.home, durable=False).start()

    def close(self) -> None:
        Embedded(self.home).stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def take(self, step: Step) -> list[tuple[int, Any]]:
        """Takes a step to its end: what each command answered."""
        if self.chance is None:
            return [self.do(words) for words in step]
        beside = [self._begin(words) for words in step[1:]]
        return [self.do(step[0]), *(self._end(process) for process in beside)]

    def do(self, words: Words) -> tuple[int, Any]:
        """Runs a command to its end, whatever happens on the way: (status, what it said)."""
        twin = None
        if self.chance is not None:
            while self.chance.random() < 0.4:
                self._killed(words)
            twin = self._begin(words) if self.chance.random() < 0.4 else None
        answer = self._end(self._begin(words))
        if twin is not None:
            self._end(twin)
        return answer

    def _begin(self, words: Words) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*TALLY, *words, "--home", str(self.home), "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> tuple[int, Any]:
        out, err = process.communicate(timeout=120)
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

    def books(self) -> list[Any]:
        """Every document without its number, which depends on who came first."""
        documents = []
        for listed in self.do(["invoices", "list", "--limit", "500"])[1]:
            shown = self.do(["invoices", "show", listed["number"]])[1]
            lines = sorted(
                [line[name] for name in ("license", "component", "kind", "from", "until", "amount", "tax")]
                for line in shown["lines"]
            )
            documents.append([listed["party"], listed["gross"], shown["issued_on"], lines])
        return sorted(documents)


class Business:
    """A random business, told as commands; what it knows is only what it said."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance, self.folder = random.Random(seed), folder
        self.accounts: list[str] = []
        self.licenses: list[str] = []
        self.files: list[Path] = []
        self.today = BEGIN
        self.said = 0

    def steps(self, count: int) -> Iterator[Step]:
        """So many steps, after a catalog and some customers."""
        for kind in [self._catalog, *[self._open] * 3, *[self._start] * 3]:
            yield (kind(),)
        kinds = (
            (self._open, 1), (self._start, 3), (self._change, 4), (self._suspend, 2), (self._resume, 2),
            (self._cancel, 1), (self._uncancel, 1), (self._reactivate, 1), (self._commit, 1), (self._discount, 1),
            (self._count, 5), (self._again, 1), (self._bill, 5), (self._catalog, 1),
        )  # fmt: skip
        weights = [weight for _, weight in kinds]
        for _ in range(count):
            self.today += timedelta(days=self.chance.choice((0, 1, 3, 9, 17, 31)))
            step = (self.chance.choices([kind for kind, _ in kinds], weights)[0](),)
            yield (*step, self._catalog()) if step[0][0] == "bill" and self.chance.random() < 0.3 else step
        self.today += timedelta(days=100)
        yield (self._bill(),)

    def _id(self) -> Words:
        self.said += 1
        return ["--id", str(UUID(int=self.chance.getrandbits(128), version=4))]

    def _day(self, before: int = 60, after: int = 40) -> str:
        return str(self.today + timedelta(days=self.chance.randint(-before, after)))

    def _license(self) -> str:
        return self.chance.choice(self.licenses or ["nobody"])

    def _catalog(self) -> Words:
        path = self.folder / f"catalog{self.said}.yaml"
        path.write_text(CATALOG % f"{self.chance.randint(100, 3000) / 100:.2f}")
        return ["catalog", "apply", str(path), "--yes", *self._id()]

    def _open(self) -> Words:
        name = f"a{len(self.accounts)}"
        words = ["accounts", "open", name, "--name", name, "--currency", self.chance.choice(("EUR", "EUR", "JPY"))]
        words += ["--billing-day", str(self.chance.randint(1, 31)), "--zone", self.chance.choice(ZONES)]
        words += ["--tax-percent", self.chance.choice(("0", "19", "7.7"))]
        if self.accounts and self.chance.random() < 0.5:
            words += ["--parent", self.chance.choice(self.accounts)]
        self.accounts.append(name)
        return [*words, *self._id()]

    def _start(self) -> Words:
        name = f"l{len(self.licenses)}"
        self.licenses.append(name)
        package = self.chance.choice(("small", "large"))
        words = ["licenses", "start", name, "--account", self.chance.choice(self.accounts), "--package", package]
        words += ["--on", self._day(self.chance.choice((400, 400, 3700)), 20)]
        return [*words, *(["-q", f"seats={self.chance.randint(0, 12)}"] if package == "large" else []), *self._id()]

    def _change(self) -> Words:
        package = self.chance.choice(("small", "large"))
        words = ["licenses", "change", self._license(), "--package", package, "--on", self._day()]
        words += ["--when", self.chance.choice(("policy", "now", "renewal", self._day()))]
        return [*words, *(["-q", f"seats={self.chance.randint(0, 12)}"] if package == "large" else []), *self._id()]

    def _suspend(self) -> Words:
        reason = self.chance.choice(("manual", "unpaid"))
        return ["licenses", "suspend", self._license(), "--reason", reason, "--on", self._day(), *self._id()]

    def _resume(self) -> Words:
        reason = self.chance.choice(("manual", "unpaid"))
        return ["licenses", "resume", self._license(), "--reason", reason, "--on", self._day(20, 60), *self._id()]

    def _cancel(self) -> Words:
        return ["licenses", "cancel", self._license(), "--on", self._day(), *self._id()]

    def _uncancel(self) -> Words:
        return ["licenses", "uncancel", self._license(), "--on", self._day(), *self._id()]

    def _reactivate(self) -> Words:
        return ["licenses", "reactivate", self._license(), "--on", self._day(5, 60), *self._id()]

    def _commit(self) -> Words:
        words = ["licenses", "commit", self._license(), "--component", self.chance.choice(("users", "seats"))]
        return [*words, "--quantity", str(self.chance.randint(0, 20)), "--on", self._day(), *self._id()]

    def _discount(self) -> Words:
        words = ["licenses", "discount", self._license(), "--name", f"d{self.said}", "--on", self._day()]
        kind = self.chance.choice((["--percent", "12.5"], ["--amount", "3.00"]))
        return [*words, *kind, "--periods", str(self.chance.randint(0, 3)), *self._id()]

    def _count(self) -> Words:
        """Readings of some days, some of them before anything was billed, some of licenses that nobody has."""
        path = self.folder / f"counts{self.said}.csv"
        self.said += 1
        license = self._license()
        first = self.today - timedelta(days=self.chance.randint(0, 90))
        rows = [
            f"{license},users,{first + timedelta(days=n)},{self.chance.randint(0, 40)},{path.stem}-{n}"
            for n in range(self.chance.randint(1, 40))
        ]
        path.write_text("\n".join(["license,counter,day,quantity,report_id", *rows]) + "\n")
        self.files.append(path)
        return ["counts", "import", str(path)]

    def _again(self) -> Words:
        return ["counts", "import", str(self.chance.choice(self.files))] if self.files else self._count()

    def _bill(self) -> Words:
        """Mostly through today; now and then through a day long past."""
        through = self.today - timedelta(days=self.chance.choice((0, 0, 0, 45)))
        workers = str(self.chance.choice((1, 1, 2)))
        return ["bill", "--through", str(through), "--issued-on", str(self.today), "--workers", workers]


def play(seed: int, steps: int) -> str:
    """Plays a seed in both worlds; what they differ in, or nothing."""
    folder = Path(tempfile.mkdtemp(prefix="tally-opponent-files-"))
    calm, rough = World(None), World(random.Random(seed + 1))
    try:
        for number, step in enumerate(Business(seed, folder).steps(steps)):
            answers = [world.take(step) for world in (calm, rough)]
            told = [[status for status, _ in world] for world in answers]
            if told[0] != told[1] or not set(told[0]) <= {0, 2}:
                return f"step {number} {step}: calm {answers[0]}, rough {answers[1]}"
        found = [world.do(["verify"]) for world in (calm, rough)]
        if [status for status, _ in found] != [0, 0]:
            return f"verify: {found}"
        books = calm.books(), rough.books()
        return "" if books[0] == books[1] else f"books: {_first_difference(*books)}"
    finally:
        for world in (calm, rough):
            world.close()
        shutil.rmtree(folder, ignore_errors=True)


def _first_difference(calm: list[Any], rough: list[Any]) -> str:
    only = [one for one in calm if one not in rough][:1], [one for one in rough if one not in calm][:1]
    return f"{len(calm)} and {len(rough)} documents; only calm {only[0]}; only rough {only[1]}"


if __name__ == "__main__":
    seeds, steps = (int(word) for word in [*sys.argv[1:], "5", "40"][:2])
    base = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    for seed in range(base, base + seeds):
        print(f"seed {seed}: {play(seed, steps) or 'the same books'}", flush=True)
