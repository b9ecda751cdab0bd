"""`tally sandbox`: the protocol of a provider of payments on loopback, to try collecting without an account anywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.cli.session import console
from adapters.sandbox.books import DECLINES
from adapters.sandbox.server import Sandbox


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("sandbox")(sandbox)


def sandbox(port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 12111) -> None:
    """Speaks Stripe's protocol on loopback until Ctrl-C; what it took is told at the end."""
    running = Sandbox(port)
    console.print("In another terminal:", highlight=False)
    console.print(f"  export TALLY_STRIPE_KEY=sk_test_sandbox TALLY_STRIPE_BASE={running.url}", highlight=False)
    console.print(
        "  tally accounts pay-by ACCOUNT stripe cus_1 pm_card_visa && tally payments collect", highlight=False
    )
    console.print(f"Methods that are declined: {', '.join(DECLINES)}", highlight=False)
    try:
        running.serve()
    finally:
        console.print(
            f"{running.books.captured.total()} minor units of {len(running.books.captured)} invoices were taken"
        )
