"""Where the database is: a server by DATABASE_URL, else the embedded one in a home directory."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from domain.errors import Invalid

STRIPE = "https://api.stripe.com"
STRIPE_OR_LOOPBACK = re.compile(r"https://api\.stripe\.com|http://127\.0\.0\.1:[0-9]{1,5}")
PAYPAL, PAYPAL_SANDBOX = "https://api-m.paypal.com", "https://api-m.sandbox.paypal.com"
PAYPAL_OR_LOOPBACK = re.compile(
    r"https://api-m\.paypal\.com|https://api-m\.sandbox\.paypal\.com|http://127\.0\.0\.1:[0-9]{1,5}/paypal"
)


class Settings(BaseModel):
    """What was configured; read once, at the start.

    Shapes: `database_url` of the schema's owner, or None: embedded, in `home`. `stripe_base` is Stripe's own or the
    sandbox's on loopback, so that a key goes nowhere else; `paypal_base` likewise, or PayPal's own sandbox.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: str | None = Field(default=None, pattern=r"^(postgres(ql)?://|[a-z_]+=)")
    home: Path
    stripe_key: SecretStr | None = None
    stripe_base: str = STRIPE
    paypal_client: str = ""
    paypal_secret: SecretStr | None = None
    paypal_base: str = PAYPAL
    paypal_webhook_id: str = ""


def settings(home: Path | None = None) -> Settings:
    """The settings of this process: the option, then TALLY_HOME, then the user's data directory."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    chosen = home or Path(os.environ.get("TALLY_HOME") or data / "tallystick")
    base = os.environ.get("TALLY_STRIPE_BASE") or STRIPE
    if not STRIPE_OR_LOOPBACK.fullmatch(base):
        raise Invalid(f"TALLY_STRIPE_BASE is {STRIPE} or http://127.0.0.1:PORT, not {base!r}")
    return Settings(
        **_paypal(),
        database_url=None if home else os.environ.get("DATABASE_URL") or None,
        home=chosen,
        stripe_key=SecretStr(key) if (key := os.environ.get("TALLY_STRIPE_KEY")) else None,
        stripe_base=base,
    )


def _paypal() -> dict[str, Any]:
    """The settings of PayPal. Raises: Invalid for half of a key, or a base that is not PayPal's."""
    base, client, secret = (os.environ.get(f"TALLY_PAYPAL_{name}") or "" for name in ("BASE", "CLIENT", "SECRET"))
    if base and not PAYPAL_OR_LOOPBACK.fullmatch(base):
        places = f"{PAYPAL}, {PAYPAL_SANDBOX} or http://127.0.0.1:PORT/paypal"
        raise Invalid(f"TALLY_PAYPAL_BASE is {places}, not {base!r}")
    if bool(client) != bool(secret):
        raise Invalid("TALLY_PAYPAL_CLIENT and TALLY_PAYPAL_SECRET belong together")
    return {
        "paypal_client": client, "paypal_secret": SecretStr(secret) if secret else None, "paypal_base": base or PAYPAL,
        "paypal_webhook_id": os.environ.get("TALLY_PAYPAL_WEBHOOK_ID") or "",
    }  # fmt: skip
