"""Where the database is: a server by DATABASE_URL, else the embedded one in a home directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from domain.errors import Invalid

STRIPE = "https://api.stripe.com"
STRIPE_OR_LOOPBACK = re.compile(r"https://api\.stripe\.com|http://127\.0\.0\.1:[0-9]{1,5}")


class Outgoing(BaseModel):
    """What others are told by.

    Shapes: `key` derives the secrets of endpoints; `loopback` lets endpoints be http://127.0.0.1:PORT, for tests and
    trials only; `smtp` is smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://…:465; `sender` a mail address, with or
    without a name. What is not set is not told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: SecretStr | None = None
    loopback: bool = False
    smtp: SecretStr | None = None
    sender: str = ""


class Settings(BaseModel):
    """What was configured; read once, at the start.

    Shapes: `database_url` of the schema's owner, or None: embedded, in `home`. `stripe_base` is Stripe's own or the
    sandbox's on loopback, so that a key goes nowhere else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str | None = Field(default=None, pattern=r"^(postgres(ql)?://|[a-z_]+=)")
    home: Path
    stripe_key: SecretStr | None = None
    stripe_base: str = STRIPE
    outgoing: Outgoing = Outgoing()


def settings(home: Path | None = None) -> Settings:
    """The settings of this process: the option, then TALLY_HOME, then the user's data directory."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    chosen = home or Path(os.environ.get("TALLY_HOME") or data / "tallystick")
    base = os.environ.get("TALLY_STRIPE_BASE") or STRIPE
    if not STRIPE_OR_LOOPBACK.fullmatch(base):
        raise Invalid(f"TALLY_STRIPE_BASE is {STRIPE} or http://127.0.0.1:PORT, not {base!r}")
    return Settings(
        database_url=None if home else os.environ.get("DATABASE_URL") or None,
        home=chosen,
        stripe_key=SecretStr(key) if (key := os.environ.get("TALLY_STRIPE_KEY")) else None,
        stripe_base=base,
        outgoing=outgoing(),
    )


def outgoing() -> Outgoing:
    """What is told, and by what. Raises: Invalid for half of a setting."""
    smtp, sender = os.environ.get("TALLY_SMTP_URL"), os.environ.get("TALLY_MAIL_FROM", "")
    if smtp and not sender:
        raise Invalid("TALLY_SMTP_URL is set, and TALLY_MAIL_FROM is not: who writes?")
    return Outgoing(
        key=SecretStr(key) if (key := os.environ.get("TALLY_OUTGOING_KEY")) else None,
        loopback=os.environ.get("TALLY_OUTGOING_LOOPBACK") == "1",
        smtp=SecretStr(smtp) if smtp else None,
        sender=sender,
    )
