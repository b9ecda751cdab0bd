"""Wires what tells others: links to our pages, endpoints of webhooks, mailboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.outgoing.webhooks import Webhooks
from adapters.web.links import Links
from domain.errors import Invalid
from jobs.deliver import Carrier
from jobs.letters import Letters

if TYPE_CHECKING:
    from adapters.bootstrap import Tally
    from adapters.settings import Settings


def links_of(chosen: Settings, public_url: str = "") -> Links | None:
    """Links to invoices' pages, when there is a secret to seal them. Raises: Invalid without an address."""
    address = chosen.public_url or public_url
    if not chosen.link_secrets:
        return None
    if not address:
        raise Invalid("TALLY_LINK_SECRET is set and TALLY_PUBLIC_URL is not: links would lead nowhere")
    return Links([secret.get_secret_value() for secret in chosen.link_secrets], address)


def carriers_of(tally: Tally) -> dict[str, Carrier]:
    """What brings messages to destinations, by kind: what there is a key or a server for."""
    chosen = tally.outgoing
    carriers: dict[str, Carrier] = {}
    if chosen.key is not None:
        carriers["webhook"] = Webhooks(chosen.key.get_secret_value(), chosen.loopback)
    if chosen.smtp is not None:
        # Templates and languages are heavy to load, and most commands write to nobody.
        from adapters.mail.smtp import Mails, server

        carriers["mail"] = Mails(letters_of(tally), server(chosen.smtp.get_secret_value()), chosen.sender)
    return carriers


def letters_of(tally: Tally) -> Letters:
    """Who writes letters; they say where to pay when there are links."""
    return Letters(tally.billing, tally.links.link_of) if tally.links else Letters(tally.billing)
