"""What happens to a license. Dates are local dates in the billing zone of its account; every policy is resolved here
into a date by the command that recorded the event, so that the fold sees dates only."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal
from uuid import UUID

from domain.events import Event

LicenseType = Literal["production", "trial", "nfr"]


class LicenseStarted(Event):
    """A version of a package was sold to an account from a day on."""

    TOPIC = "license.started"
    reference: str
    account: UUID
    package: str
    version: int
    type: LicenseType
    start_on: date
    currency: str
    quantities: dict[str, int]
    term_months: int = 0
    trial_ends_on: date | None = None


class LicenseChanged(Event):
    """The license follows other terms from a day on; a day still to come makes it a scheduled change."""

    TOPIC = "license.changed"
    change: str
    effective_on: date
    package: str
    version: int
    type: LicenseType
    quantities: dict[str, int]
    direction: Literal["upgrade", "downgrade", "other"]


class ChangeWithdrawn(Event):
    """A change was taken back before it took effect, by hand or because an immediate change overtook it."""

    TOPIC = "license.change_withdrawn"
    change: str
    why: str = ""


class ChangeRefused(Event):
    """A change was asked for and a rule said no: a fact that support and finance want to see."""

    TOPIC = "license.change_refused"
    requested: str
    reason: str
    on: date

    @property
    def refusal(self) -> str:
        return self.reason


class LicenseSuspended(Event):
    """Service stopped for one reason; reasons are kept apart and service returns when all are cleared.

    Shapes: `effect` is how far it stopped, empty for wholly; `invoice` the one that asks for it, None for a person.
    """

    TOPIC = "license.suspended"
    reason: str
    from_on: date
    pauses_billing: bool
    effect: str = ""
    invoice: UUID | None = None


class SuspensionDemanded(Event):
    """One more asks for a suspension that is there, or asks for another effect of it, or that billing pauses too."""

    TOPIC = "license.suspension_demanded"
    reason: str
    effect: str
    on: date
    invoice: UUID | None = None
    pauses_billing: bool = False


class SuspensionReleased(Event):
    """One does not ask for a suspension any more; others still do."""

    TOPIC = "license.suspension_released"
    reason: str
    on: date
    invoice: UUID | None = None


class LicenseResumed(Event):
    """One reason for the suspension is gone."""

    TOPIC = "license.resumed"
    reason: str
    on: date


class LicenseCancelled(Event):
    """The license ends on a day: the first one without service."""

    TOPIC = "license.cancelled"
    notice_on: date
    end_on: date
    why: str = ""


class CancellationWithdrawn(Event):
    """The cancellation was taken back before the license ended."""

    TOPIC = "license.cancellation_withdrawn"
    on: date


class LicenseReactivated(Event):
    """An ended license serves again from a day on."""

    TOPIC = "license.reactivated"
    from_on: date


class CommitmentSet(Event):
    """At least this quantity of a component is paid for on these days."""

    TOPIC = "license.commitment_set"
    component: str
    quantity: int
    from_on: date
    until: date | None = None


class DiscountGranted(Event):
    """A percentage or a fixed amount per period off a component (or all of them, '').

    Shapes: exactly one of `percent` (0–100) and `amount` (major units); it holds for the first `periods` periods of
    each component's grid whose service begins on or after `from_on`; 0 = for good.
    """

    TOPIC = "license.discount_granted"
    discount: str
    component: str
    percent: Decimal | None
    amount: Decimal | None
    from_on: date
    periods: int = 0


class DiscountWithdrawn(Event):
    """A discount ends: periods whose service begins on or after the day are without it."""

    TOPIC = "license.discount_withdrawn"
    discount: str
    on: date
