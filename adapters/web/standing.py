"""Where an invoice stands, in the words of the customer who has its link."""

from __future__ import annotations

from collections.abc import Collection as Some
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.account import Account
from domain.application import Billing
from domain.application.payments import collection, issued, receivables
from domain.collection import Attempt
from domain.events.documents import InvoiceIssued
from domain.money import written

NAMES = {"stripe": "by card", "paypal": "with PayPal"}
UNDER_WAY = "A payment {by} has been started and is still under way. Please look again in a few minutes."
WAITS = "A payment {by} has been started and waits for you."
DECLINED = "The last payment {by} was declined. Nothing was taken."
State = Literal["paid", "nothing", "held", "waiting", "under_way", "open"]
WORDS: dict[State, str] = {
    "paid": "Paid. Thank you.",
    "nothing": "There is nothing to pay on this invoice.",
    "held": "This invoice is being looked at by us. There is nothing that you need to do.",
    "open": "",
}


@dataclass(frozen=True)
class Standing:
    """What a page says. Shapes: `ways` are providers that a payment may be begun, or gone on with, by."""

    number: str
    party: str
    issued_on: date
    due_on: date
    gross: str
    left: str
    remittance: tuple[str, ...]
    state: State
    words: str
    ways: dict[str, str]
    is_overdue: bool
    live: Attempt | None
    issued: InvoiceIssued


def standing(billing: Billing, invoice: UUID, providers: Some[str], now: datetime) -> Standing:
    """Where an invoice stands now; the day that it is due ends where its payer is. Raises: NotFound."""
    found, attempts = issued(billing, invoice), collection(billing, invoice)
    left = receivables(billing, found.account, found.currency).open_amount(invoice, found.gross)
    state = _state(found.gross, left, bool(attempts.holds), attempts.live)
    last = next(reversed(attempts.attempts.values()), None)
    today = now.astimezone(ZoneInfo(billing.find(Account, found.account, "account").zone)).date()
    return Standing(
        number=found.document, party=found.party.name, issued_on=found.issued_on, due_on=found.due_on,
        gross=amount(found.gross, found.currency), left=amount(left, found.currency), remittance=found.remittance,
        state=state, words=_words(state, last), ways=_ways(state, attempts.live, providers),
        is_overdue=left > 0 and found.due_on < today, live=attempts.live, issued=found,
    )  # fmt: skip


def amount(minor: int, currency: str) -> str:
    """With commas between thousands, for people."""
    whole, point, rest = written(abs(minor), currency).partition(".")
    return f"{'-' if minor < 0 else ''}{int(whole):,}{point}{rest} {currency}"


def _state(gross: int, left: int, is_held: bool, live: Attempt | None) -> State:
    if gross <= 0:
        return "nothing"
    if left <= 0:
        return "paid"
    if live is not None:
        return "waiting" if live.state == "action_required" else "under_way"
    return "held" if is_held else "open"


def _words(state: State, last: Attempt | None) -> str:
    by = NAMES.get(last.opened.provider, last.opened.provider) if last else ""
    if state in ("waiting", "under_way"):
        return (WAITS if state == "waiting" else UNDER_WAY).format(by=by)
    if state == "open" and last is not None and last.code:
        return DECLINED.format(by=by)
    return WORDS[state]


def _ways(state: State, live: Attempt | None, providers: Some[str]) -> dict[str, str]:
    """What waits at a page may be left for another way; a method on file that waits for its bank may not."""
    if state == "waiting" and live is not None and live.opened.provider in providers:
        name = live.opened.provider
        others = [] if live.opened.method else [one for one in sorted(providers, reverse=True) if one != name]
        instead = {one: f"Pay {NAMES.get(one, one)} instead" for one in others}
        return {name: f"Go on paying {NAMES.get(name, name)}"} | instead
    if state == "open":
        return {name: f"Pay {NAMES.get(name, name)}" for name in sorted(providers, reverse=True)}
    return {}
