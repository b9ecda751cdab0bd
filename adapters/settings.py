"""Where the database is: a server by DATABASE_URL, else the embedded one in a home directory."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from domain.errors import Invalid
from jobs.retention import AT_LEAST, KEPT_FOR

STRIPE = "https://api.stripe.com"
SIMULATOR = "WEBHOOK_ID"
"""What PayPal's simulator signs for: an endpoint that took it would take what anybody had PayPal sign."""
PUBLIC = re.compile(
    r"https://[a-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?|http://(127\.0\.0\.1|localhost):[0-9]{1,5}/?"
)
STRIPE_OR_LOOPBACK = re.compile(r"https://api\.stripe\.com|http://127\.0\.0\.1:[0-9]{1,5}")
PAYPAL, PAYPAL_SANDBOX = "https://api-m.paypal.com", "https://api-m.sandbox.paypal.com"
PAYPAL_OR_LOOPBACK = re.compile(
    r"https://api-m\.paypal\.com|https://api-m\.sandbox\.paypal\.com|http://127\.0\.0\.1:[0-9]{1,5}/paypal"
)


@dataclass(frozen=True)
class Secret:
    """A secret, which stands in no text of this object: not in a message, a log or a traceback."""

    told: str = field(repr=False)


@dataclass(frozen=True)
class Outgoing:
    """What others are told by.

    Shapes: `key` derives the secrets of endpoints; `loopback` lets endpoints be http://127.0.0.1:PORT, for tests and
    trials only; `smtp` is smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://…:465; `sender` a mail address, with or
    without a name. What is not set is not told.
    """

    key: Secret | None = None
    loopback: bool = False
    smtp: Secret | None = None
    sender: str = ""


@dataclass(frozen=True)
class Settings:
    """What was configured; read once, at the start.

    Shapes: `database_url` of the schema's owner, or None: embedded, in `home`. `stripe_base` is Stripe's own or the
    sandbox's on loopback, so that a key goes nowhere else; `paypal_base` likewise, or PayPal's own sandbox. Secrets in
    the plural are all valid, so that they can be rotated. `public_url` is where customers reach `tally serve`.
    Units: `keep_days` in days, for messages that were delivered and webhooks that were dealt with.
    """

    home: Path
    database_url: str | None = field(default=None, repr=False)
    stripe_key: Secret | None = None
    stripe_base: str = STRIPE
    paypal_client: str = ""
    paypal_secret: Secret | None = None
    paypal_base: str = PAYPAL
    paypal_webhook_id: str = ""
    stripe_webhook_secrets: tuple[Secret, ...] = ()
    public_url: str | None = None
    link_secrets: tuple[Secret, ...] = ()
    outgoing: Outgoing = Outgoing()
    keep_days: int = KEPT_FOR.days

    @property
    def is_stripe_live(self) -> bool:
        """Whether the key moves real money; webhooks of the other mode are refused."""
        return self.stripe_key is not None and "_live_" in self.stripe_key.told


def settings(home: Path | None = None) -> Settings:
    """The settings of this process; the home of the option is embedded whatever DATABASE_URL says.

    Shapes: without one it is TALLY_HOME, else in the user's data directory.
    """
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    chosen = home or Path(os.environ.get("TALLY_HOME") or data / "tallystick")
    base = os.environ.get("TALLY_STRIPE_BASE") or STRIPE
    if not STRIPE_OR_LOOPBACK.fullmatch(base):
        raise Invalid(f"TALLY_STRIPE_BASE is {STRIPE} or http://127.0.0.1:PORT, not {base!r}")
    return Settings(
        **_paypal(),
        database_url=None if home else _database_url(),
        home=chosen,
        stripe_key=Secret(key) if (key := os.environ.get("TALLY_STRIPE_KEY")) else None,
        stripe_base=base,
        stripe_webhook_secrets=_secrets("TALLY_STRIPE_WEBHOOK_SECRET"),
        public_url=_public_url(),
        link_secrets=_secrets("TALLY_LINK_SECRET"),
        outgoing=outgoing(),
        keep_days=_keep_days(),
    )


def outgoing() -> Outgoing:
    """What is told, and by what. Raises: Invalid for half of a setting."""
    smtp, sender = os.environ.get("TALLY_SMTP_URL"), os.environ.get("TALLY_MAIL_FROM", "")
    if smtp and not sender:
        raise Invalid("TALLY_SMTP_URL is set, and TALLY_MAIL_FROM is not: who writes?")
    return Outgoing(
        key=Secret(key) if (key := os.environ.get("TALLY_OUTGOING_KEY")) else None,
        loopback=os.environ.get("TALLY_OUTGOING_LOOPBACK") == "1",
        smtp=Secret(smtp) if smtp else None,
        sender=sender,
    )


def _paypal() -> dict[str, Any]:
    """The settings of PayPal. Raises: Invalid for half of a key, or a base that is not PayPal's."""
    base, client, secret = (os.environ.get(f"TALLY_PAYPAL_{name}") or "" for name in ("BASE", "CLIENT", "SECRET"))
    if base and not PAYPAL_OR_LOOPBACK.fullmatch(base):
        places = f"{PAYPAL}, {PAYPAL_SANDBOX} or http://127.0.0.1:PORT/paypal"
        raise Invalid(f"TALLY_PAYPAL_BASE is {places}, not {base!r}")
    if bool(client) != bool(secret):
        raise Invalid("TALLY_PAYPAL_CLIENT and TALLY_PAYPAL_SECRET belong together")
    if (webhook := os.environ.get("TALLY_PAYPAL_WEBHOOK_ID") or "") == SIMULATOR:
        raise Invalid(f"TALLY_PAYPAL_WEBHOOK_ID is {SIMULATOR}, the name that PayPal's simulator uses for everybody")
    return {
        "paypal_client": client, "paypal_secret": Secret(secret) if secret else None, "paypal_base": base or PAYPAL,
        "paypal_webhook_id": webhook,
    }  # fmt: skip


def _database_url() -> str | None:
    """The server to use. Raises: Invalid, without a word of what was set: it may hold a password."""
    found = os.environ.get("DATABASE_URL") or None
    try:
        conninfo_to_dict(found or "")
    except (psycopg.ProgrammingError, UnicodeError):
        raise Invalid("DATABASE_URL is not the address of a server, such as postgresql://USER@HOST/NAME") from None
    return found


def _secrets(name: str) -> tuple[Secret, ...]:
    """One secret or several with commas between them. Raises: Invalid when one of several is empty."""
    parts = [part.strip() for part in os.environ.get(name, "").split(",")]
    if parts == [""]:
        return ()
    if not all(parts):
        raise Invalid(f"{name} has an empty secret between its commas")
    return tuple(map(Secret, parts))


def _keep_days() -> int:
    found = os.environ.get("TALLY_KEEP_DAYS") or str(KEPT_FOR.days)
    if not re.fullmatch("[0-9]{1,5}", found) or int(found) < AT_LEAST.days:
        raise Invalid(f"TALLY_KEEP_DAYS is a number of days from {AT_LEAST.days} on, not {found!r}")
    return int(found)


def _public_url() -> str | None:
    found = os.environ.get("TALLY_PUBLIC_URL") or None
    if found and not PUBLIC.fullmatch(found):
        raise Invalid(f"TALLY_PUBLIC_URL is https://HOST or http://127.0.0.1:PORT, not {found!r}")
    return found
