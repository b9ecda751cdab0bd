"""Wires the links to our pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.web.links import Links
from domain.errors import Invalid

if TYPE_CHECKING:
    from adapters.settings import Settings


def links_of(chosen: Settings, public_url: str = "") -> Links | None:
    """Links to invoices' pages, when there is a secret to seal them. Raises: Invalid without an address."""
    address = chosen.public_url or public_url
    if not chosen.link_secrets:
        return None
    if not address:
        raise Invalid("TALLY_LINK_SECRET is set and TALLY_PUBLIC_URL is not: links would lead nowhere")
    return Links([secret.told for secret in chosen.link_secrets], address)
