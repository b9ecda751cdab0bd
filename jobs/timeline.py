"""Everything that happened to an invoice, in order: what was issued, tried, paid, given back, reminded and stopped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from domain.collection import collection_id
from domain.dunning import dunning_id
from domain.events import Event, decode, documents, dunning, license, receivables
from domain.events import collection as collecting
from domain.identity import bucket_of
from domain.license import UNPAID
from domain.money import with_currency
from domain.receivables import receivables_id

EVENTS = """SELECT recorded_at, stream, topic, state FROM event WHERE bucket = %s AND stream = ANY(%s)
ORDER BY position"""


class Moment(NamedTuple):
    """One thing that happened: when it was recorded, its topic, and what it says for people."""

    at: datetime
    topic: str
    text: str


def timeline(pool: ConnectionPool[psycopg.Connection], invoice: UUID, account: UUID, currency: str) -> list[Moment]:
    """What happened to an invoice, as the log recorded it."""
    streams = [invoice, collection_id(invoice), dunning_id(invoice), receivables_id(account, currency)]
    events = _read(pool, invoice, streams)
    chased = {one for _, _, event in events if isinstance(event, dunning.DunningStarted) for one in event.licenses}
    if chased:
        events = _read(pool, invoice, [*streams, *sorted(chased)])
    paying = {event.receipt for _, _, event in events if _pays(event, invoice)}
    told = [(at, event, _said(event, invoice, paying, currency)) for at, _, event in events]
    return [Moment(at, event.TOPIC, text) for at, event, text in told if text]


def _read(
    pool: ConnectionPool[psycopg.Connection], invoice: UUID, streams: Sequence[UUID]
) -> list[tuple[datetime, UUID, Any]]:
    with pool.connection() as connection:
        rows = connection.execute(EVENTS, [bucket_of(invoice), list(streams)]).fetchall()
    return [(at, stream, decode(topic, state)) for at, stream, topic, state in rows]


def _pays(event: Event, invoice: UUID) -> bool:
    return isinstance(event, receivables.Allocated | receivables.PaidInstead) and event.invoice == invoice


def _said(event: Event, invoice: UUID, paying: set[str], currency: str) -> str:
    """What an event says of the invoice; empty when it is about something else."""
    if isinstance(event, documents.InvoiceIssued):
        return f"{event.document} issued over {with_currency(event.gross, currency)}, due on {event.due_on}"
    area = event.TOPIC.partition(".")[0]
    if area == "collection":
        return _tried(event)
    if area == "dunning":
        return _chased(event)
    if area == "license":
        return _stopped(event, invoice)
    return _moved(event, invoice, paying, currency)


def _tried(event: Event) -> str:
    match event:
        case collecting.AttemptOpened():
            by = event.method or "on its page"
            return f"charge of {with_currency(event.amount, event.currency)} begun: {event.provider} {by}"
        case collecting.OutcomeLearned():
            return f"the charge is {event.state}{f': {event.code}' if event.code else ''}"
        case collecting.HoldPlaced():
            return f"on hold: {event.hold}"
        case collecting.HoldReleased():
            return f"not on hold any more: {event.hold}{f' ({event.why})' if event.why else ''}"
    return ""


def _chased(event: Event) -> str:
    match event:
        case dunning.DunningStarted():
            return f"overdue since {event.due_on}; the next step is on {event.next_on}"
        case dunning.StageReached():
            return f"step {event.number}: {', '.join(_step(event))}"
        case dunning.TransferClaimed():
            return f"said to be transferred on {event.transferred_on}: waits until {event.until}"
        case dunning.DunningPaused():
            until = f" until {event.until}" if event.until else ""
            return f"waits{until}: {event.why.replace('_', ' ')}{f', {event.text}' if event.text else ''}"
        case dunning.DunningResumed():
            return f"goes on: {event.why.replace('_', ' ')} is over; the next step is on {event.next_on}"
        case dunning.DunningEnded():
            return f"ended: {event.why.replace('_', ' ')}{f', {event.text}' if event.text else ''}"
    return ""


def _step(event: dunning.StageReached) -> Iterable[str]:
    """What a step comes to, each word once: it is often called as its effect and its message are."""
    effect = "" if event.effect == "none" else event.effect
    named = [event.stage, *(term.replace("_", " ") for term in (effect, event.remind) if term)]
    asks = ["a new payment method is asked for"] if event.wants_method else []
    return dict.fromkeys([*named, *asks, *(["to be charged"] if event.retry else [])])


def _stopped(event: Event, invoice: UUID) -> str:
    match event:
        case license.LicenseSuspended() | license.SuspensionDemanded() if event.invoice == invoice:
            return f"a license is stopped: {event.effect.replace('_', ' ')}"
        case license.SuspensionReleased() if event.invoice == invoice:
            return "it does not stop a license any more; others still do"
        case license.LicenseResumed(reason=reason) if reason == UNPAID:
            return "a license is not stopped as unpaid any more"
    return ""


def _moved(event: Event, invoice: UUID, paying: set[str], currency: str) -> str:
    match event:
        case receivables.Allocated() if event.invoice == invoice:
            left = f"{with_currency(event.left, currency)} left"
            return f"{with_currency(event.amount, currency)} paid by {event.receipt}, {left}"
        case receivables.PaidInstead() if event.invoice == invoice:
            return f"{with_currency(event.amount, currency)} paid by {event.receipt} instead of {event.instead_of}"
        case receivables.Deallocated() if event.invoice == invoice:
            return f"{with_currency(event.amount, currency)} of {event.receipt} taken off: {event.why}"
        case receivables.MoneyReturned() if event.receipt in paying:
            return f"{with_currency(event.amount, currency)} of {event.receipt} went back: {event.kind}"
        case receivables.ReturnUndone() if event.receipt in paying:
            return f"{with_currency(event.amount, currency)} of {event.receipt} is here again"
        case receivables.RefundOpened() if event.receipt in paying:
            return f"refund of {with_currency(event.amount, currency)} begun"
        case receivables.DisputeLearned() if event.receipt in paying:
            return f"dispute {event.dispute} is {event.state}"
    return ""
