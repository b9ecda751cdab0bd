"""`tally sandbox`: providers of payments on loopback, to try collecting without an account anywhere."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from adapters.cli.session import console
from adapters.sandbox.desk import Clock
from adapters.sandbox.paypal_events import WEBHOOK_ID
from adapters.sandbox.paypal_words import PAYERS
from adapters.sandbox.server import Sandbox
from adapters.sandbox.stripe_books import DECLINES


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("sandbox")(sandbox)


def sandbox(port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 12111) -> None:
    """Speaks Stripe's and PayPal's protocols on loopback until Ctrl-C; what was taken is told at the end."""
    running = Sandbox(port, clock=Clock(time.time))
    lines = (
        "In another terminal:",
        f"  export TALLY_STRIPE_KEY=sk_test_sandbox TALLY_STRIPE_BASE={running.url}",
        "  tally accounts pay-by ACCOUNT stripe cus_1 pm_card_visa",
        "  tally payments collect",
        f"Methods that are declined: {', '.join(DECLINES)}",
        "For PayPal:",
        "  export TALLY_PAYPAL_CLIENT=sandbox TALLY_PAYPAL_SECRET=sandbox "
        f"TALLY_PAYPAL_BASE={running.url}/paypal TALLY_PAYPAL_WEBHOOK_ID={WEBHOOK_ID}",
        "  tally accounts pay-by ACCOUNT paypal customer-1 payer-good",
        *(f"  {name}: {payer.about}" for name, payer in PAYERS.items()),
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    try:
        running.serve()
    finally:
        taken = running.stripe.books.captured + running.paypal.books.captured
        console.print(f"{taken.total()} minor units of {len(taken)} invoices were taken", highlight=False)
