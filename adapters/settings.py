"""Where the database is: a server by DATABASE_URL, else the embedded one in a home directory."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """What was configured; read once, at the start.

    Shapes: `database_url` of the schema's owner, or None: embedded, in `home`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str | None = Field(default=None, pattern=r"^(postgres(ql)?://|[a-z_]+=)")
    home: Path


def settings(home: Path | None = None) -> Settings:
    """The settings of this process: the option, then TALLY_HOME, then the user's data directory."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    chosen = home or Path(os.environ.get("TALLY_HOME") or data / "tallystick")
    return Settings(database_url=None if home else os.environ.get("DATABASE_URL") or None, home=chosen)
