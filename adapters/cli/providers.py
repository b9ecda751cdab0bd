"""`tally providers`: what stands between us and those who move money."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.bootstrap.providers import assumptions_of
from adapters.cli.printing import named, progress, show, table_of
from adapters.cli.session import session
from adapters.settings import settings
from domain.errors import IntegrityError

app = typer.Typer()

NAMES = ["provider", "assumption", "found"]


@app.command("confirm")
def confirm(
    patience: Annotated[int, typer.Option(min=0, max=600, help="seconds to wait for what comes later")] = 20,
    paypal_method: Annotated[str, typer.Option(help="a vault id of a test buyer at PayPal, which is charged")] = "",
) -> None:
    """Tries what we assume of Stripe and PayPal (docs/providers.md) with test keys, and says what differs.

    TALLY_STRIPE_KEY has to begin with sk_test_, TALLY_PAYPAL_BASE to name PayPal's sandbox: it makes customers,
    payments, refunds and a dispute in those test accounts, where no money is. Exit status 3 when something differs.
    """
    with progress("trying", None) as done:
        found = []
        for one in assumptions_of(settings(session.home), patience, paypal_method):
            found.append(one)
            done(1)
    rows = [(one.provider, one.assumption, one.differs or "ok") for one in found]
    show([named(NAMES, row) for row in rows], table_of("What we assume of providers", NAMES, rows))
    if differing := sum(bool(one.differs) for one in found):
        raise IntegrityError(f"{differing} of {len(found)} assumptions do not hold")
