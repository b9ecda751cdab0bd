"""What commands work on: the configured database, and the pages that customers come back to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.bootstrap import Tally, open_tally
from adapters.cli.session import session
from adapters.settings import settings
from domain.errors import Invalid
from domain.payment import way_back


@contextmanager
def opened() -> Iterator[Tally]:
    """Tallystick on the configured database."""
    with open_tally(settings(session.home)) as tally:
        yield tally


def back_to(return_url: str) -> str:
    """Where a customer comes back to from a provider's page. Raises: Invalid when nobody said, or for no page."""
    chosen = return_url or settings(session.home).public_url
    if not chosen:
        raise Invalid("say --return-url, or set TALLY_PUBLIC_URL: where do customers come back to?")
    try:
        return way_back(chosen)
    except Invalid as error:
        raise Invalid(f"--return-url: {error}") from None
