"""What collecting asks of a provider of payments, in the words of all of them: a fourth provider is one file.

Creating moves no money, confirming does, and the provider's id is recorded between the two. Looking only reads. An
answer is a value: what is not known for certain is `unknown`, never a guess. Source: ADR-0018.
"""

from __future__ import annotations

from typing import Literal, Protocol
from uuid import UUID

import msgspec

State = Literal["open", "succeeded", "declined", "action_required", "pending", "cancelled", "unknown"]
"""Where a payment stands at the provider: `open` was created and can still be confirmed; `declined` did not move money
and may be tried again on the same object; `action_required` waits for the customer; `pending` for a bank."""


class Order(msgspec.Struct, frozen=True):
    """What one attempt is to collect.

    Shapes: `customer` and `method` are the provider's tokens; `document` is the invoice's number and `account` the
    payer's reference, for the provider's own records.
    Units: `amount` in minor units, above zero.
    """

    attempt: UUID
    invoice: UUID
    document: str
    account: str
    amount: int
    currency: str
    customer: str
    method: str


class Reply(msgspec.Struct, frozen=True):
    """What the provider says of a payment now.

    Shapes: `object` is its id of the payment object (PaymentIntent, order), `payment` of the money that moved (charge,
    capture); `code` the provider's reason; `url` where the customer has to go.
    Units: `amount` that moved, in minor units of `currency`.
    """

    state: State
    object: str = ""
    payment: str = ""
    amount: int = 0
    currency: str = ""
    code: str = ""
    text: str = ""
    url: str = ""


class Provider(Protocol):
    """A provider of payments.

    Every call that writes is made under a key of the attempt, and raises nothing for what the world may do:
    time-outs, resets and 5xx are `unknown`. Raises: Refusal when the provider will never take such a request.
    """

    name: str

    def create(self, order: Order) -> Reply:
        """Makes the payment object, which moves no money; the same one again inside the provider's window."""

    def find(self, order: Order) -> Reply | None:
        """Looks for an attempt's object by our reference, when its id was lost; None: it is certainly not there."""

    def confirm(self, order: Order, object_id: str) -> Reply:
        """Moves the money; an object that is confirmed already answers with where it stands."""

    def look(self, object_id: str) -> Reply:
        """Reads where a payment stands."""

    def cancel(self, object_id: str) -> Reply:
        """Makes sure that the object never moves money: `cancelled`, or the state that forbids it."""
