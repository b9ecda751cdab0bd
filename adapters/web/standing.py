"""Where an invoice stands for the customer who has its link; what is said of it is in `adapters/web/words`."""

from __future__ import annotations

from collections.abc import Collection as Some
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.account import Account
from domain.application import Billing
from domain.application.payments import collection, issued, receivables
from domain.collection import Attempt
from domain.events.documents import InvoiceIssued

State = Literal["paid", "nothing", "held", "waiting", "under_way", "open"]
End = Literal["declined", "not_approved", "ran_out"]
Way = Literal["pay", "go_on", "instead"]
ENDS: Mapping[str, End] = MappingProxyType({
    "expired": "ran_out",
    "RESOURCE_NOT_FOUND": "ran_out",
    "INVALID_RESOURCE_ID": "ran_out",
    "not_approved": "not_approved",
    "authentication_required": "not_approved",
    "payment_intent_authentication_failure": "not_approved",
    "ORDER_NOT_APPROVED": "not_approved",
    "PAYER_ACTION_REQUIRED": "not_approved",
})  # fmt: skip
"""What it is that ended an attempt, by its code; every other one is a decline. PayPal forgets an order that nobody
approved in time, and Stripe closes its page."""


@dataclass(frozen=True)
class Standing:
    """What a page is about.

    Shapes: `language` of the party, "" when it is not known; `said` names what there is to say, "" for nothing, and
    `by` the provider that it is about; `ways` are providers that a payment may be begun, or gone on with, by.
    Units: `left` in minor units.
    """

    issued: InvoiceIssued
    language: str
    left: int
    state: State
    said: State | End | Literal[""]
    by: str
    ways: Mapping[str, Way]
    is_overdue: bool
    live: Attempt | None


def standing(billing: Billing, invoice: UUID, providers: Some[str], now: datetime) -> Standing:
    """Where an invoice stands now; the day that it is due ends where its payer is. Raises: NotFound."""
    found, attempts = issued(billing, invoice), collection(billing, invoice)
    payer = billing.find(Account, found.account, "account")
    left = receivables(billing, found.account, found.currency).open_amount(invoice, found.gross)
    state = _state(found.gross, left, bool(attempts.holds), attempts.live)
    last = next(reversed(attempts.attempts.values()), None)
    return Standing(
        issued=found, language=payer.party.language, left=left, state=state, said=_said(state, last),
        by=last.opened.provider if last else "", ways=_ways(state, attempts.live, providers),
        is_overdue=left > 0 and found.due_on < now.astimezone(ZoneInfo(payer.zone)).date(), live=attempts.live,
    )  # fmt: skip


def _state(gross: int, left: int, is_held: bool, live: Attempt | None) -> State:
    if gross <= 0:
        return "nothing"
    if left <= 0:
        return "paid"
    if live is not None:
        return "waiting" if live.state == "action_required" else "under_way"
    return "held" if is_held else "open"


def _said(state: State, last: Attempt | None) -> State | End | Literal[""]:
    """An open invoice tells what became of the last attempt; one that was merely stopped is not worth a word."""
    if state != "open":
        return state
    return ENDS.get(last.code, "declined") if last is not None and last.code else ""


def _ways(state: State, live: Attempt | None, providers: Some[str]) -> dict[str, Way]:
    """What waits at a page may be left for another way; a method on file that waits for its bank may not."""
    if state == "waiting" and live is not None and live.opened.provider in providers:
        name = live.opened.provider
        others = [] if live.opened.method else [one for one in sorted(providers, reverse=True) if one != name]
        return {name: "go_on", **dict.fromkeys(others, "instead")}
    return dict.fromkeys(sorted(providers, reverse=True), "pay") if state == "open" else {}
