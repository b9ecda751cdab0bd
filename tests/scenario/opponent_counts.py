"""What the opponent reports: files of readings and observations, late, twice, and of licenses that nobody has."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from pathlib import Path

from tests.scenario.opponent_world import Words


class Counts:
    """Files of counts, one after another; what was reported before may come again."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self.chance, self.folder = chance, folder
        self.files: list[Path] = []
        self.said = 0

    def readings(self, license: str, today: date) -> Words:
        """Readings of some days, some of them before anything was billed, some of licenses that nobody has."""
        first = today - timedelta(days=self.chance.randint(0, 90))
        rows = [
            f"{license},users,{first + timedelta(days=n)},{self.chance.randint(0, 40)},r{self.said}-{n}"
            for n in range(self.chance.randint(1, 40))
        ]
        return self._imported("license,counter,day,quantity,report_id", rows)

    def observations(self, license: str, today: date) -> Words:
        """Devices that are seen by the hour, also in the hours that clocks skip or go through twice."""
        first = datetime.combine(today, datetime.min.time())
        first -= timedelta(days=self.chance.randint(0, 60))
        rows = [
            f"{license},devices,{first + timedelta(hours=self.chance.randint(0, 900)):%Y-%m-%dT%H:30:00Z},"
            f"d{self.chance.randint(0, 9)},o{self.said}-{n}"
            for n in range(self.chance.randint(1, 60))
        ]
        return self._imported("license,counter,observed_at,subject,report_id", rows)

    def again(self) -> Words:
        """A file that was imported before; there has to be one."""
        return ["counts", "import", str(self.chance.choice(self.files))]

    def _imported(self, header: str, rows: list[str]) -> Words:
        """A file of rows, and now and then of those of another file of its kind too."""
        path = self.folder / f"counts{self.said}.csv"
        self.said += 1
        older = [one for one in self.files if one.read_text().startswith(header)]
        if older and self.chance.random() < 0.3:
            rows = [*self.chance.choice(older).read_text().splitlines()[1:], *rows]
        path.write_text("\n".join([header, *rows]) + "\n")
        self.files.append(path)
        return ["counts", "import", str(path)]
