"""`tally sandbox`: providers of payments on loopback, to try collecting without an account anywhere."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from threading import Event, Thread
from typing import Annotated

import typer

from adapters.cli.printing import console
from adapters.sandbox.desk import Clock
from adapters.sandbox.paypal_events import WEBHOOK_ID
from adapters.sandbox.paypal_words import PAYERS
from adapters.sandbox.server import Sandbox
from adapters.sandbox.stripe_methods import METHODS
from domain.errors import Unavailable

app = typer.Typer()
ADDRESS = "an address on 127.0.0.1 that is told of every event of {}, signed"


@app.command("sandbox")
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 12111,
    webhook_url: Annotated[str, typer.Option(help=ADDRESS.format("Stripe"))] = "",
    paypal_webhook_url: Annotated[str, typer.Option(help=ADDRESS.format("PayPal"))] = "",
) -> None:
    """Speaks Stripe's and PayPal's protocols on loopback, with pages for customers; at the end it says what it took."""
    try:
        running = Sandbox(port, clock=Clock(time.time))
    except OSError as error:
        raise Unavailable(f"127.0.0.1:{port} cannot be listened on: {error.strerror}") from None
    running.paypal.events.url = paypal_webhook_url
    for line in (*_stripe(running, webhook_url), *_paypal(running), "Ready; Ctrl-C ends it."):
        console.print(line, soft_wrap=True)
    for one in (signal.SIGINT, signal.SIGTERM):
        # Also where it was started in the background of a shell, which has such processes ignore Ctrl-C.
        signal.signal(one, _stop)
    over = Event()
    Thread(target=_keep_time, args=(running, over), daemon=True).start()
    try:
        running.serve()
    finally:
        over.set()
        for line in _end(running):
            console.print(line)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _stripe(running: Sandbox, webhook_url: str) -> Iterator[str]:
    yield "In another terminal:"
    yield f"  export TALLY_STRIPE_KEY=sk_test_sandbox TALLY_STRIPE_BASE={running.url}"
    if webhook_url:
        secret = running.stripe.hooks.create({"url": webhook_url}).body
        assert isinstance(secret, dict)
        yield f"  export TALLY_STRIPE_WEBHOOK_SECRET={secret['secret']}"
    yield "  tally accounts pay-by ACCOUNT stripe cus_1 pm_card_visa"
    yield "  tally payments collect"
    yield "Methods to try:"
    width = max(map(len, METHODS))
    yield from (f"  {name:{width}}  {one.what}" for name, one in METHODS.items())


def _paypal(running: Sandbox) -> Iterator[str]:
    yield "For PayPal:"
    yield "  export TALLY_PAYPAL_CLIENT=sandbox TALLY_PAYPAL_SECRET=sandbox \\"
    yield f"    TALLY_PAYPAL_BASE={running.url}/paypal TALLY_PAYPAL_WEBHOOK_ID={WEBHOOK_ID}"
    yield "  tally accounts pay-by ACCOUNT paypal customer-1 payer-good"
    width = max(map(len, PAYERS))
    yield from (f"  {name:{width}}  {payer.about}" for name, payer in PAYERS.items())


def _end(running: Sandbox) -> Iterator[str]:
    books = running.stripe.books
    taken = books.captured + running.paypal.books.captured
    yield f"{taken.total()} minor units of {len(taken)} invoices were taken"
    disputes = books.objects["dispute"].values()
    if books.returned or disputes:
        yield f"{books.returned.total()} minor units were given back by refunds; {len(disputes)} payments were disputed"


def _keep_time(running: Sandbox, over: Event) -> None:
    """What happens in time, happens although nobody asks."""
    while not over.wait(0.5):
        running.tick()
