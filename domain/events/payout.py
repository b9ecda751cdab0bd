"""What happens to a payout: credit that finance pays out by bank."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import msgspec

from domain.events import Event


class PayoutPart(msgspec.Struct, frozen=True):
    """So much of a payout is credit of one receipt. Units: `amount` in minor units."""

    receipt: str
    amount: int


class PayoutOpened(Event):
    """Credit is to be paid out by bank; it counts as returned from now on, so that nothing else takes it.

    Shapes: `reference` is what the transfer has to bear. Units: `amount` in minor units, the sum of its parts.
    """

    TOPIC = "payout.opened"
    reference: str
    account: UUID
    currency: str
    amount: int
    parts: tuple[PayoutPart, ...]
    on: date


class PayoutMade(Event):
    """Our bank showed the transfer."""

    TOPIC = "payout.made"
    transfer: str
    on: date


class PayoutFailed(Event):
    """It was not made, or its transfer came back: the money is the account's credit again.

    Shapes: `transfer` is the one that came back, "" when a person took the payout back.
    """

    TOPIC = "payout.failed"
    on: date
    why: str = ""
    transfer: str = ""
