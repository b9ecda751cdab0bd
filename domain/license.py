"""License: a package version sold to an account, and everything that may change about it.

Rules stand in the command methods, which are told the date and the package versions; what they record are dates.
"""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from domain.aggregate import Aggregate
from domain.errors import Conflict, Invalid
from domain.events import Event
from domain.events import license as events
from domain.events.license import LicenseType
from domain.ladder import harshest
from domain.package_version import PackageVersion

Direction = Literal["upgrade", "downgrade", "other"]
TRIAL_ENDED = "trial_ended"
"""The reason of a suspension that converting the license clears."""
UNPAID = "unpaid"
"""The reason of a suspension that invoices ask for, and that their payment clears."""
LONGEST_TERM = 1200
"""Months: a century, so that the end of every term is a day."""


class License(Aggregate):
    """One license as it was agreed.

    Shapes: `changes` by id, in the order they were recorded, without those withdrawn; "start" is the license's own.
    `suspended` since when, by reason; `demands` who asks for it and for which effect: invoices, or None for a person.
    """

    NAME = "license"

    def blank(self) -> None:
        self.reference = ""
        self.account: UUID | None = None
        self.currency = ""
        self.start_on = date.min
        self.term_months = 0
        self.trial_ends_on: date | None = None
        self.end_on: date | None = None
        self.changes: dict[str, events.LicenseStarted | events.LicenseChanged] = {}
        self.changes_made = 0
        self.suspended: dict[str, date] = {}
        self.demands: dict[str, dict[UUID | None, str]] = {}
        self.discounts: set[str] = set()

    def start(self, started: events.LicenseStarted) -> None:
        """Sells a package version to an account.

        Raises: Conflict when the license exists; Invalid for quantities or a term that cannot be.
        """
        if self.version:
            raise Conflict(f"license {started.reference} exists already")
        if not 0 <= started.term_months <= LONGEST_TERM:
            raise Invalid(f"a term is 0 (none) to {LONGEST_TERM} months, not {started.term_months}")
        if any(quantity < 0 for quantity in started.quantities.values()):
            raise Invalid("a quantity cannot be below zero")
        self.trigger(started)

    def current(self, on: date) -> events.LicenseStarted | events.LicenseChanged:
        """What holds on a day: the change with the latest effective date up to it."""
        held = self.changes["start"]
        for change in self.scheduled_after(date.min):
            if change.effective_on <= on:
                held = change
        return held

    def serves(self, on: date) -> bool:
        """Whether the license serves on a day: begun, not ended, and suspended for no reason."""
        return self.start_on <= on and (self.end_on is None or on < self.end_on) and not self.suspended

    def stopped_by(self, on: date) -> list[str]:
        """Why the license does not serve on a day, in words: `unpaid: filter off`, `fair_use`, `ended 2025-03-01`."""
        why = self.suspensions()
        if on < self.start_on:
            why.append(f"starts {self.start_on}")
        if self.end_on is not None and on >= self.end_on:
            why.append(f"ended {self.end_on}")
        return why

    def suspensions(self) -> list[str]:
        """The reasons of its suspension, each with its effect: `unpaid: filter off`."""
        return [f"{reason}: {effect}" if (effect := self.effect(reason)) else reason for reason in self.suspended]

    def effect(self, reason: str) -> str:
        """How far a suspension stops service: the harshest effect that anybody asks for, empty for wholly."""
        effects = set(self.demands.get(reason, {}).values())
        return "" if "" in effects or not effects else harshest(effects).replace("_", " ")

    def scheduled_after(self, on: date) -> list[events.LicenseChanged]:
        """The changes that take effect after a day, in order."""
        changes = [c for c in self.changes.values() if isinstance(c, events.LicenseChanged) and c.effective_on > on]
        return sorted(changes, key=lambda change: change.effective_on)

    def change(
        self,
        version: PackageVersion,
        quantities: dict[str, int],
        kind: LicenseType,
        effective_on: date,
        direction: Direction,
        today: date,
    ) -> str:
        """Changes package, quantities or type from a day on; an immediate change overtakes all scheduled ones.

        Returns the id of the change. Raises: Conflict after the end, while it is unpaid, or for a trial that would have
        no end; Invalid before the start.
        """
        self._in_service(effective_on)
        self.check_paid()
        if any(quantity < 0 for quantity in quantities.values()):
            raise Invalid("a quantity cannot be below zero")
        if kind == "trial" and self.current(today).type != "trial":
            self._check_trial(effective_on)
        if effective_on <= today:
            for overtaken in self.scheduled_after(today):
                self.withdraw_change(overtaken.change, "overtaken by an immediate change")
        change = f"c{self.changes_made + 1}"
        self.trigger(
            events.LicenseChanged(
                change=change,
                effective_on=effective_on,
                package=version.package,
                version=version.version,
                type=kind,
                quantities=quantities,
                direction=direction,
            )
        )
        if kind != "trial" and TRIAL_ENDED in self.suspended:
            self.resume(TRIAL_ENDED, max(effective_on, self.suspended[TRIAL_ENDED]))
        return change

    def _check_trial(self, on: date) -> None:
        """A trial is not billed and has an end, which only the start of a license gives it."""
        if self.trial_ends_on is None or on >= self.trial_ends_on:
            raise Conflict(f"{self.reference} has no trial on {on}: only a new license begins one")

    def check_paid(self) -> None:
        """Raises: Conflict while unpaid invoices stop the license: nothing more is sold to it then."""
        if any(invoice is not None for invoice in self.demands.get(UNPAID, {})):
            raise Conflict(f"{self.reference} is suspended as unpaid: it can be changed when that is settled")

    def refuse_change(self, requested: str, reason: str, on: date) -> None:
        """Records that a change was asked for and may not be."""
        self.trigger(events.ChangeRefused(requested=requested, reason=reason, on=on))

    def withdraw_change(self, change: str, why: str = "") -> None:
        """Takes back a change.

        Raises: Conflict when there is no such change (any more).
        """
        if change == "start" or change not in self.changes:
            raise Conflict(f"{self.reference} has no change {change}")
        self.trigger(events.ChangeWithdrawn(change=change, why=why))

    def suspend(self, reason: str, from_on: date, pauses_billing: bool) -> None:
        """Stops service for one reason.

        Raises: Conflict when a person asked for that already.
        """
        self._in_service(from_on)
        if None in self.demands.get(reason, {}):
            raise Conflict(f"{self.reference} is suspended for {reason} already")
        self._demand(reason, from_on, pauses_billing, "", None)

    def demand(self, invoice: UUID, effect: str, on: date, pauses_billing: bool) -> bool:
        """An unpaid invoice stops service as far as `effect`; False when it did before, or there is no service."""
        serving = self.start_on <= on and (self.end_on is None or on < self.end_on)
        if not serving or self.demands.get(UNPAID, {}).get(invoice) == effect:
            return False
        self._demand(UNPAID, on, pauses_billing, effect, invoice)
        return True

    def _demand(self, reason: str, on: date, pauses_billing: bool, effect: str, invoice: UUID | None) -> None:
        if reason in self.suspended:
            self.trigger(
                events.SuspensionDemanded(
                    reason=reason, effect=effect, on=on, invoice=invoice, pauses_billing=pauses_billing
                )
            )
            return
        self.trigger(
            events.LicenseSuspended(
                reason=reason, from_on=on, pauses_billing=pauses_billing, effect=effect, invoice=invoice
            )
        )

    def resume(self, reason: str, on: date) -> None:
        """A person clears one reason; service returns when all are cleared.

        Raises: Conflict when it is not suspended for it, or only unpaid invoices ask for it; Invalid when the day lies
        before the suspension.
        """
        if reason not in self.suspended:
            raise Conflict(f"{self.reference} is not suspended for {reason}")
        if None not in self.demands[reason]:
            raise Conflict(f"{self.reference} is suspended by invoices: pay them, or `tally dunning pause --restore`")
        if on < self.suspended[reason]:
            raise Invalid(f"it was suspended on {self.suspended[reason]}, after {on}")
        self._release(reason, None, on)

    def settle(self, invoice: UUID, on: date) -> bool:
        """An invoice does not ask for a suspension any more; False when it did not."""
        if invoice not in self.demands.get(UNPAID, {}):
            return False
        self._release(UNPAID, invoice, max(on, self.suspended[UNPAID]))
        return True

    def _release(self, reason: str, invoice: UUID | None, on: date) -> None:
        if len(self.demands[reason]) > 1:
            self.trigger(events.SuspensionReleased(reason=reason, on=on, invoice=invoice))
        else:
            self.trigger(events.LicenseResumed(reason=reason, on=on))

    def cancel(self, notice_on: date, end_on: date, why: str = "") -> None:
        """Ends the license on a day.

        Raises: Invalid before its start; Conflict when it is cancelled already.
        """
        if self.end_on is not None:
            raise Conflict(f"{self.reference} ends on {self.end_on} already")
        self._in_service(end_on)
        self.trigger(events.LicenseCancelled(notice_on=notice_on, end_on=end_on, why=why))

    def withdraw_cancellation(self, on: date) -> None:
        """Takes the cancellation back before the end.

        Raises: Conflict when there is none, or the license has ended.
        """
        if self.end_on is None or self.end_on <= on:
            raise Conflict(f"{self.reference} has no cancellation to take back on {on}")
        self.trigger(events.CancellationWithdrawn(on=on))

    def reactivate(self, from_on: date) -> None:
        """Lets an ended license serve again.

        Raises: Conflict when it has not ended by then.
        """
        if self.end_on is None or from_on < self.end_on:
            raise Conflict(f"{self.reference} has not ended by {from_on}")
        self.trigger(events.LicenseReactivated(from_on=from_on))

    def commit(self, commitment: events.CommitmentSet) -> None:
        """Promises to pay for at least a quantity on some days."""
        if commitment.quantity < 0 or (commitment.until and commitment.until <= commitment.from_on):
            raise Invalid("a commitment needs a quantity and days that are not empty")
        self.trigger(commitment)

    def discount(self, granted: events.DiscountGranted) -> None:
        """Grants a discount.

        Raises: Invalid unless exactly one of percent (0–100) and amount is set; Conflict for an id in use.
        """
        if (granted.percent is None) == (granted.amount is None):
            raise Invalid("a discount is a percentage or an amount")
        if granted.percent is not None and not (granted.percent.is_finite() and 0 < granted.percent <= 100):
            raise Invalid("a discount is above 0 and up to 100 percent")
        if granted.amount is not None and granted.amount <= 0:
            raise Invalid("a discount takes something off")
        if granted.discount in self.discounts:
            raise Conflict(f"{self.reference} has a discount {granted.discount} already")
        self.trigger(granted)

    def withdraw_discount(self, discount: str, on: date) -> None:
        """Ends a discount.

        Raises: Conflict when there is no such discount.
        """
        if discount not in self.discounts:
            raise Conflict(f"{self.reference} has no discount {discount}")
        self.trigger(events.DiscountWithdrawn(discount=discount, on=on))

    def _in_service(self, on: date) -> None:
        if on < self.start_on:
            raise Invalid(f"{self.reference} starts on {self.start_on}, after {on}")
        if self.end_on is not None and on >= self.end_on:
            raise Conflict(f"{self.reference} ends on {self.end_on}")

    def when(self, event: Event) -> None:
        match event:
            case events.LicenseStarted():
                self.reference, self.account, self.currency = event.reference, event.account, event.currency
                self.start_on, self.term_months = event.start_on, event.term_months
                self.trial_ends_on, self.changes = event.trial_ends_on, {"start": event}
            case events.LicenseChanged():
                self.changes[event.change] = event
                self.changes_made += 1
            case events.ChangeWithdrawn():
                self.changes.pop(event.change, None)
            case events.LicenseSuspended():
                self.suspended[event.reason] = event.from_on
                self.demands[event.reason] = {event.invoice: event.effect}
            case events.SuspensionDemanded():
                self.demands[event.reason][event.invoice] = event.effect
            case events.SuspensionReleased():
                self.demands[event.reason].pop(event.invoice, None)
            case events.LicenseResumed():
                self.suspended.pop(event.reason, None)
                self.demands.pop(event.reason, None)
            case events.LicenseCancelled():
                self.end_on = event.end_on
            case events.CancellationWithdrawn() | events.LicenseReactivated():
                self.end_on = None
            case events.DiscountGranted():
                self.discounts.add(event.discount)
            case events.DiscountWithdrawn():
                self.discounts.discard(event.discount)
