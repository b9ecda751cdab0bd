"""How an invoice is collected: attempts at a provider, one live at a time, and what became of each."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from domain.events import Event
from domain.payment import State


class AttemptOpened(Event):
    """An attempt was begun, before the provider heard of it.

    Shapes: without a `method` the customer pays on the provider's page and comes back to `return_url`.
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
    return_url: str = ""


class ObjectBound(Event):
    """The provider made its object for the attempt; no money has moved."""

    TOPIC = "collection.object_bound"
    attempt: UUID
    object: str
    url: str = ""


class AttemptWithdrawn(Event):
    """Nobody of us takes money by the attempt any more, whatever its customer approves yet."""

    TOPIC = "collection.attempt_withdrawn"
    attempt: UUID


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


class HoldPlaced(Event):
    """The invoice is open, but nobody is to be charged for it until a person or the end of a dispute says so.

    Shapes: `hold` is the id of the return that opened it again (a refund, a dispute), or a word of a person.
    """

    TOPIC = "collection.hold_placed"
    invoice: UUID
    hold: str
    on: date


class HoldReleased(Event):
    """One reason not to collect the invoice is gone."""

    TOPIC = "collection.hold_released"
    invoice: UUID
    hold: str
    on: date
    why: str = ""
