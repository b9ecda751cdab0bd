"""Wires what tells others: endpoints of webhooks, mailboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.outgoing.webhooks import Webhooks
from jobs.deliver import Carrier, Deliverer
from jobs.letters import Letters
from jobs.outbox import Outbox
from projections.follower import Follower

if TYPE_CHECKING:
    from adapters.bootstrap import Tally


def deliverer_of(tally: Tally) -> Deliverer:
    """Who tells endpoints and mailboxes what happened, as far as it is set up."""
    return Deliverer(tally.pool, Follower(tally.pool, [Outbox()]), carriers_of(tally))


def carriers_of(tally: Tally) -> dict[str, Carrier]:
    """What brings messages to destinations, by kind: what there is a key or a server for."""
    chosen = tally.outgoing
    carriers: dict[str, Carrier] = {}
    if chosen.key is not None:
        carriers["webhook"] = Webhooks(chosen.key.told, chosen.loopback)
    if chosen.smtp is not None:
        # Templates and languages are heavy to load, and most commands write to nobody.
        from adapters.mail.smtp import Mails, server

        carriers["mail"] = Mails(letters_of(tally), server(chosen.smtp.told), chosen.sender)
    return carriers


def letters_of(tally: Tally) -> Letters:
    """Who writes letters; they say where to pay when there are links."""
    return Letters(tally.billing, tally.links.link_of) if tally.links else Letters(tally.billing)
