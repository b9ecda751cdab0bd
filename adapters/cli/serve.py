"""`tally serve`: webhooks of providers and the pages that customers pay on, over HTTP on loopback."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.bootstrap import open_tally
from adapters.bootstrap.links import links_of
from adapters.bootstrap.webhooks import verifiers_of
from adapters.cli.printing import console
from adapters.cli.session import session
from adapters.settings import settings
from adapters.webhooks.verifier import Verifier
from domain.errors import Invalid

app = typer.Typer()


@app.command("serve")
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="where to listen")] = 8087,
    host: Annotated[str, typer.Option(help="loopback: put a proxy with TLS in front of it")] = "127.0.0.1",
) -> None:
    """Takes webhooks in and shows customers their invoices, until Ctrl-C.

    POST /webhooks/stripe needs TALLY_STRIPE_WEBHOOK_SECRET (several with commas while one is rotated), /webhooks/paypal
    TALLY_PAYPAL_WEBHOOK_ID. Invoices' pages need TALLY_LINK_SECRET (32 characters or more) and TALLY_PUBLIC_URL, where
    customers reach this server. A provider with a key and without a secret for its webhooks is refused. What came in is
    dealt with in the background.
    Endpoints and mailboxes of others are told by `tally scheduler`, which runs beside this.
    """
    chosen = settings(session.home)
    verifiers = verifiers_of(chosen)
    if not verifiers and not chosen.link_secrets:
        raise Invalid("there is nothing to serve: set TALLY_STRIPE_WEBHOOK_SECRET or TALLY_LINK_SECRET (see --help)")
    links = links_of(chosen, f"http://{host}:{port}")
    # The web framework is heavy to load, and no other command needs it.
    from adapters.web.server import bound, run

    with bound(host, port) as listening, open_tally(chosen) as tally:
        console.print(f"listening on http://{host}:{port}: {_parts(verifiers, links is not None)}; stop with Ctrl-C")
        run(tally, verifiers, links, listening)


def _parts(verifiers: dict[str, Verifier], has_pages: bool) -> str:
    parts = [f"POST /webhooks/{name}" for name in verifiers]
    return ", ".join([*parts, "GET /pay/…"] if has_pages else parts)
