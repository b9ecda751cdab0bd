"""What others are told when something happened: the type, whose account it is of, and plain data.

An announcement follows from an event and from what stands before it in the log, so that it is the same whenever it is
made. Amounts are whole minor units with their currency, days are ISO. Source: ADR-0026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec

from domain.events import Event, topics
from domain.events import collection as collection_events
from domain.events import documents as document_events
from domain.events import dunning as dunning_events
from domain.events import license as license_events
from domain.events import receivables as money_events
from domain.events.account import AccountOpened

E = TypeVar("E", bound=Event)
Data = dict[str, Any]


class Facts(Protocol):
    """What an announcement may ask of the log; nothing of it changes later."""

    def first(self, stream: UUID, kind: type[E]) -> E:
        """The first event of a stream of the same bucket."""

    def earlier(self, kind: type[E]) -> Sequence[E]:
        """The events of a kind that stand before this one in its own stream, oldest first."""


class Announcement(msgspec.Struct, frozen=True):
    """One thing to tell. Shapes: `account` is whose it is: the payer of money, or the holder of a license."""

    type: str
    account: UUID
    data: Data


def announce(event: Event, stream: UUID, facts: Facts) -> Announcement | None:
    """What is to be told of an event; None when it is nobody else's business."""
    making = ANNOUNCED.get(type(event))
    return making(event, stream, facts) if making else None


def wanted(patterns: Sequence[str], name: str) -> bool:
    """Whether a type is among those asked for. Shapes: "invoice.*", "license.suspended", "*"."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def body(made: Announcement, at: str, sequence: int) -> bytes:
    """The message as it is signed and sent, the same bytes for every try.

    Shapes: `at` when it was recorded, ISO; `sequence` grows with everything that is told of the same object.
    """
    return msgspec.json.encode({"type": made.type, "timestamp": at, "data": {**made.data, "sequence": sequence}})


def _made(name: str, account: UUID, facts: Facts, data: Data) -> Announcement:
    reference = facts.first(account, AccountOpened).reference
    return Announcement(name, account, {"account": reference, "account_id": account, **data})


def _document(event: document_events.InvoiceIssued, stream: UUID, facts: Facts) -> Announcement:
    note = isinstance(event, document_events.CreditNoteIssued)
    names = ("currency", "net", "tax", "gross", "issued_on", "due_on")
    data = {name: getattr(event, name) for name in names}
    kind = "credit_note" if note else "invoice"
    return _made(f"{kind}.issued", event.account, facts, {kind: stream, "number": event.document, **data})


def _allocated(event: money_events.Allocated, stream: UUID, facts: Facts) -> Announcement | None:
    return None if event.left else _invoice("invoice.paid", event, facts, {"paid_on": event.on})


def _deallocated(event: money_events.Deallocated, stream: UUID, facts: Facts) -> Announcement | None:
    """Reopened is said once: an invoice that was open already only has more open on it."""
    if event.left != event.amount:
        return None
    return _invoice("invoice.reopened", event, facts, {"reopened_on": event.on, "why": event.why})


def _invoice(
    name: str, event: money_events.Allocated | money_events.Deallocated, facts: Facts, data: Data
) -> Announcement:
    issued = facts.first(event.invoice, document_events.InvoiceIssued)
    words = {"invoice": event.invoice, "number": issued.document, "currency": issued.currency, "gross": issued.gross}
    return _made(name, issued.account, facts, {**words, "open": event.left, "receipt": event.receipt, **data})


TOLD_OUTCOMES = {"declined": "payment.failed", "action_required": "payment.action_required"}


def _outcome(event: collection_events.OutcomeLearned, stream: UUID, facts: Facts) -> Announcement | None:
    name = TOLD_OUTCOMES.get(event.state)
    if name is None:
        return None
    attempts = facts.earlier(collection_events.AttemptOpened)
    opened = next(one for one in attempts if one.attempt == event.attempt)
    names = ("attempt", "invoice", "provider", "amount", "currency")
    data = {"number": opened.document, **{one: getattr(opened, one) for one in names}}
    return _made(name, opened.account, facts, {**data, "code": event.code, "url": event.url})


def _refund(event: money_events.RefundLearned, stream: UUID, facts: Facts) -> Announcement | None:
    if event.state == "pending":
        return None
    opened = next(one for one in facts.earlier(money_events.RefundOpened) if one.refund == event.refund)
    names = ("refund", "receipt", "provider", "amount", "currency")
    data = {"number": opened.document, **{one: getattr(opened, one) for one in names}, "code": event.code}
    return _made(f"refund.{event.state}", opened.account, facts, data)


def _dispute(event: money_events.DisputeLearned, stream: UUID, facts: Facts) -> Announcement | None:
    """Opened and closed are said once; in between amounts may grow, which is for our own books only."""
    before = [one.state for one in facts.earlier(money_events.DisputeLearned) if one.dispute == event.dispute]
    if event.state in before:
        return None
    names = ("dispute", "receipt", "state", "amount", "withdrawn", "given_back", "currency", "reason", "on")
    name = "dispute.opened" if event.state == "open" else "dispute.closed"
    return _made(name, event.account, facts, {one: getattr(event, one) for one in names})


def _dunning(name: str, *names: str) -> Callable[[Any, UUID, Facts], Announcement]:
    """What became of the chase of an overdue invoice, with some fields of the event."""

    def make(event: Any, stream: UUID, facts: Facts) -> Announcement:
        data = {one: getattr(event, one) for one in names}
        return _made(
            f"dunning.{name}", event.account, facts, {"invoice": event.invoice, "number": event.document, **data}
        )

    return make


def _started(event: license_events.LicenseStarted, stream: UUID, facts: Facts) -> Announcement:
    names = ("package", "version", "type", "start_on", "currency", "quantities")
    return _license("license.started", stream, event, facts, {one: getattr(event, one) for one in names})


def _later(name: str, *names: str) -> Callable[[Any, UUID, Facts], Announcement]:
    """What became of a license, with some fields of the event."""

    def make(event: Event, stream: UUID, facts: Facts) -> Announcement:
        started = facts.first(stream, license_events.LicenseStarted)
        return _license(f"license.{name}", stream, started, facts, {one: getattr(event, one) for one in names})

    return make


def _license(name: str, stream: UUID, started: license_events.LicenseStarted, facts: Facts, data: Data) -> Announcement:
    return _made(name, started.account, facts, {"license": started.reference, "license_id": stream, **data})


ANNOUNCED: Mapping[type[Event], Callable[[Any, UUID, Facts], Announcement | None]] = MappingProxyType({
    document_events.InvoiceIssued: _document,
    document_events.CreditNoteIssued: _document,
    money_events.Allocated: _allocated,
    money_events.Deallocated: _deallocated,
    money_events.RefundLearned: _refund,
    money_events.DisputeLearned: _dispute,
    collection_events.OutcomeLearned: _outcome,
    dunning_events.DunningStarted: _dunning("started", "amount", "currency", "due_on", "on", "next_on"),
    dunning_events.StageReached: _dunning("stage_reached", "stage", "effect", "remind", "wants_method", "licenses",
                                          "amount", "currency", "on", "next_on"),
    dunning_events.DunningEnded: _dunning("ended", "why", "on", "restored"),
    license_events.LicenseStarted: _started,
    license_events.LicenseChanged: _later("changed", "change", "effective_on", "package", "version", "type",
                                          "quantities", "direction"),
    license_events.ChangeWithdrawn: _later("change_withdrawn", "change", "why"),
    license_events.ChangeRefused: _later("change_refused", "requested", "reason", "on"),
    license_events.LicenseSuspended: _later("suspended", "reason", "from_on", "pauses_billing", "effect", "invoice"),
    license_events.SuspensionDemanded: _later("suspension_changed", "reason", "on", "invoice", "effect"),
    license_events.SuspensionReleased: _later("suspension_changed", "reason", "on", "invoice"),
    license_events.LicenseResumed: _later("resumed", "reason", "on"),
    license_events.LicenseCancelled: _later("cancelled", "notice_on", "end_on", "why"),
    license_events.CancellationWithdrawn: _later("cancellation_withdrawn", "on"),
    license_events.LicenseReactivated: _later("reactivated", "from_on"),
})  # fmt: skip
"""What is told, by the event that it follows from."""

TYPES = (
    "invoice.issued", "invoice.paid", "invoice.reopened", "credit_note.issued", "payment.failed",
    "payment.action_required", "refund.succeeded", "refund.failed", "dispute.opened", "dispute.closed",
    "dunning.started", "dunning.stage_reached", "dunning.ended",
    "license.started", "license.changed", "license.change_withdrawn", "license.change_refused", "license.suspended",
    "license.suspension_changed",
    "license.resumed", "license.cancelled", "license.cancellation_withdrawn", "license.reactivated",
)  # fmt: skip
"""Every type that there is."""

TOPICS = frozenset(name for kind in ANNOUNCED for name in topics(kind))
"""Names of stored events that may have to be told: others are not even read."""
