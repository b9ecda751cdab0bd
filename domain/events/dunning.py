"""How an overdue invoice is chased: stages reached, pauses, and how it ended. Messages are built from these events."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from domain.events import Event
from domain.ladder import Effect, Ladder

Pause = Literal["hold", "refund", "dispute", "claimed", "in_transit", "by_hand"]
End = Literal["paid", "credited", "written_off"]


class DunningStarted(Event):
    """An invoice is overdue; the ladder as it is now holds until the chase ends.

    Shapes: `from_on` is the day that the ladder's days count from: the due day, or later where the chase begins late;
    `licenses` are those that the invoice charges. Units: `amount` that is open, in minor units.
    """

    TOPIC = "dunning.started"
    invoice: UUID
    document: str
    account: UUID
    reference: str
    currency: str
    amount: int
    licenses: tuple[UUID, ...]
    ladder: Ladder
    due_on: date
    from_on: date
    on: date
    next_on: date | None = None


class StageReached(Event):
    """A step of the ladder was taken.

    Shapes: `number` counts from 1; `remind` is the template of a message, empty for none (one that was overtaken by a
    later step on the same day is not sent); `wants_method` when the account lost its payment method and a new one is
    asked for; `retry` when a charge is due, after `attempts` that were made before; `licenses` that feel the effect;
    `due_on` the day the step was due, `on` the day it was taken. Units: `amount` that is open, in minor units.
    """

    TOPIC = "dunning.stage_reached"
    invoice: UUID
    document: str
    account: UUID
    number: int
    stage: str
    effect: Effect
    remind: str
    retry: bool
    wants_method: bool
    attempts: int
    licenses: tuple[UUID, ...]
    amount: int
    currency: str
    due_on: date
    on: date
    next_on: date | None = None


class TransferClaimed(Event):
    """The customer says that the money is on its way; the ladder waits for it until a day."""

    TOPIC = "dunning.transfer_claimed"
    invoice: UUID
    document: str
    account: UUID
    transferred_on: date
    until: date
    on: date


class DunningPaused(Event):
    """The ladder stands still, and goes on with the days that were left.

    Shapes: `key` tells pauses for the same reason apart; without `until` it lasts until the reason is gone; with
    `restores` the licenses serve meanwhile.
    """

    TOPIC = "dunning.paused"
    invoice: UUID
    why: Pause
    key: str
    on: date
    until: date | None = None
    text: str = ""
    restores: bool = False


class DunningResumed(Event):
    """One reason to wait is gone; the ladder goes on when it was the last."""

    TOPIC = "dunning.resumed"
    invoice: UUID
    why: Pause
    key: str
    on: date
    text: str = ""
    next_on: date | None = None


class DunningEnded(Event):
    """The chase is over; `restored` are the licenses that this invoice does not keep from serving any more."""

    TOPIC = "dunning.ended"
    invoice: UUID
    document: str
    account: UUID
    why: End
    on: date
    text: str = ""
    restored: tuple[UUID, ...] = ()
