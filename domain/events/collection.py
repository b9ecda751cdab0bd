"""How an invoice is collected: attempts at a provider, one live at a time, and what became of each."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from domain.events import Event
from domain.payment import State


class AttemptOpened(Event):
    """An attempt was begun, before the provider heard of it.

    Units: `amount` in minor units: what the invoice is owed at this moment.
    """

    TOPIC = "collection.attempt_opened"
    attempt: UUID
    invoice: UUID
    document: str
    account: UUID
    reference: str
    provider: str
    customer: str
    method: str
    amount: int
    currency: str
    opened_at: datetime


class ObjectBound(Event):
    """The provider made its object for the attempt; no money has moved."""

    TOPIC = "collection.object_bound"
    attempt: UUID
    object: str
    url: str = ""


class OutcomeLearned(Event):
    """The provider said where the attempt stands; `succeeded` and `cancelled` are the end of it."""

    TOPIC = "collection.outcome_learned"
    attempt: UUID
    state: State
    payment: str = ""
    amount: int = 0
    code: str = ""
    text: str = ""
    url: str = ""
