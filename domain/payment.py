"""What is asked of a provider of payments, and what it answers, in the words of all of them.

An answer is a value: what is not known for certain is `unknown`, never a guess. Source: ADR-0018.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from domain.errors import Invalid

WEB = re.compile(r"https?://[0-9A-Za-z.:\[\]-]+([/?#][!-~]*)?", re.ASCII)

State = Literal["open", "succeeded", "declined", "action_required", "pending", "cancelled", "unknown"]
"""Where a payment stands at the provider: `open` was created and can still be confirmed; `declined` did not move money
and may be tried again on the same object; `action_required` waits for the customer; `pending` for a bank."""


class Order(msgspec.Struct, frozen=True):
    """What one attempt is to collect.

    Shapes: `customer` and `method` are the provider's tokens; without a method the customer pays on the provider's page
    and comes back to `return_url`. `document` is the invoice's number and `account` the payer's reference, for the
    provider's own records; no object of the attempt is older than `opened_at`.
    Units: `amount` in minor units, above zero.
    """

    attempt: UUID
    invoice: UUID
    document: str
    account: str
    amount: int
    currency: str
    customer: str = ""
    method: str = ""
    return_url: str = ""
    opened_at: datetime | None = None


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


RefundState = Literal["pending", "succeeded", "failed", "unknown"]
"""Where a refund stands; `failed` means that its money is with us again, and may come weeks after `succeeded`."""


class Refund(msgspec.Struct, frozen=True):
    """What is to go back of one payment.

    Shapes: `payment` is the provider's id of the money that moved (charge, capture).
    Units: `amount` in minor units, above zero.
    """

    refund: UUID
    payment: str
    amount: int
    currency: str
    document: str = ""


class RefundReply(msgspec.Struct, frozen=True):
    """What the provider says of a refund now. Shapes: `object` is its id of the refund. Units: minor units."""

    state: RefundState
    object: str = ""
    amount: int = 0
    currency: str = ""
    code: str = ""
    text: str = ""


def way_back(url: str) -> str:
    """Where a customer may be sent back to. Raises: Invalid for what is no page on the web: a script, a file."""
    if not WEB.fullmatch(url):
        raise Invalid(f"customers come back to http://… or https://…, not to {url[:80]!r}")
    return url


class SetUp(msgspec.Struct, frozen=True):
    """A customer is to leave a method of payment on the provider's own page; card numbers never come here.

    Shapes: `account` is its reference, kept with the provider's object; `customer` the provider's, when there is one.
    Raises: Invalid for a `return_url` that is no page on the web.
    """

    account: str
    name: str
    email: str
    return_url: str
    customer: str = ""

    def __post_init__(self) -> None:
        way_back(self.return_url)


class SetUpReply(msgspec.Struct, frozen=True):
    """Where a set-up stands: `open` until the customer was at `url`, then `ready` with what may be charged."""

    state: Literal["open", "ready", "over", "unknown"]
    object: str = ""
    url: str = ""
    text: str = ""
