"""Commands on overdue invoices: the day's turn of a chase, and what a person may decide about one.

None of them charges anybody: that is the job's, which is told when a charge is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from uuid import UUID

import msgspec

from domain.account import Account
from domain.application import Billing, Outcome
from domain.application.catalog import version_of
from domain.application.chases import dunning, ended_by_payment, stop, stopped
from domain.application.payments import collection, issued, pay_from_credit, receivables
from domain.calendar import after_business_days, works
from domain.collection import Collection
from domain.dunning import BY_HAND, Dunning
from domain.errors import Conflict, Invalid
from domain.events.documents import InvoiceIssued
from domain.events.dunning import DunningEnded, DunningPaused, DunningStarted, Pause, TransferClaimed
from domain.ladder import DEFAULT, EndsOn, Facts, Ladder, counted_from, mildest, next_on
from domain.license import License

SEEN: frozenset[Pause] = frozenset({"hold", "refund", "dispute", "in_transit"})
"""Reasons to wait that are seen in the books, and end when they are not there any more."""
WRITTEN_OFF = "written off"


def ladder_of(billing: Billing, invoice: InvoiceIssued) -> Ladder:
    """By which ladder an invoice is chased: the account's own, else the mildest of the packages on it."""
    lines = (line for line in invoice.lines if line.kind == "charge" and line.package)
    account = billing.find(Account, invoice.account, "account")
    return ladder_for(billing, account, ((line.package, line.version) for line in lines))


def ladder_for(billing: Billing, account: Account, sold: Iterable[tuple[str, int]]) -> Ladder:
    """The account's own ladder, else the mildest of the package versions that it is billed for."""
    if account.ladder is not None:
        return account.ladder
    return mildest([version_of(billing, *one).dunning or DEFAULT for one in dict.fromkeys(sold)] or [DEFAULT])


class ChaseInvoice(msgspec.Struct, frozen=True):
    """The day's turn of an overdue invoice: its chase begins, waits, goes on, takes the steps that are due, or ends.

    Shapes: `arrived` when our bank has a transfer of just this amount that nobody has matched yet. The answer is the
    chase. A second time on the same day it changes nothing. Credit of the payer pays first.
    """

    invoice: UUID
    on: date
    arrived: bool = False

    def handle(self, billing: Billing) -> Outcome:
        invoice, held = issued(billing, self.invoice), dunning(billing, self.invoice)
        money = receivables(billing, invoice.account, invoice.currency)
        owed = (self.invoice, invoice.gross)
        pay_from_credit(money, collection(billing, self.invoice), owed, self.on)
        amount = money.open_amount(*owed)
        if amount <= 0:
            ended = (money, *ended_by_payment(billing, money, [owed], self.on))
            return Outcome(ended, answer=next((one for one in ended if isinstance(one, Dunning)), held))
        if held.ended == "written_off" or self.on < invoice.due_on:
            return Outcome((money,), answer=held)
        chased = self._chase(billing, invoice, held, amount)
        return chased._replace(aggregates=(*chased.aggregates, money))

    def _chase(self, billing: Billing, invoice: InvoiceIssued, held: Dunning, amount: int) -> Outcome:
        account, attempts = billing.find(Account, invoice.account, "account"), collection(billing, self.invoice)
        ladder = held.started.ladder if held.running and held.started else ladder_of(billing, invoice)
        self._wait(held, attempts, ladder)
        if not held.running and not held.paused:
            held.start(self._started(invoice, account, ladder, amount))
        tried, by = len(attempts.attempts), account.method is not None
        taken = held.reach(self.on, amount, tried, by, account.lost_method)
        if any(one.restores for one in held.paused.values()):
            return Outcome((held,), answer=held)
        ends = {step.name: step.ends_on for step in ladder.steps if step.ends}
        ending = _ending([ends[one.stage] for one in taken if one.stage in ends])
        return Outcome((held, *stop(billing, held, self.on, ending)), answer=held)

    def _wait(self, held: Dunning, attempts: Collection, ladder: Ladder) -> None:
        """Brings what the chase waits for up to what the books say."""
        seen = {one.key: one for one in self._reasons(attempts, ladder)}
        gone = [key for key, one in held.paused.items() if one.why in SEEN and key not in seen]
        for key in [*gone, *held.over(self.on)]:
            held.resume(self.invoice, key, self.on)
        for paused in seen.values():
            held.pause(paused)

    def _reasons(self, attempts: Collection, ladder: Ladder) -> Iterator[DunningPaused]:
        for hold in sorted(attempts.holds):
            word = hold.partition(":")[0]
            why: Pause = "dispute" if word == "dispute" else "refund" if word == "refund" else "hold"
            yield DunningPaused(invoice=self.invoice, why=why, key=hold, on=self.on)
        working, days = works(ladder.calendar), ladder.transit_defers
        if attempts.live and attempts.live.state == "pending":
            opened = attempts.live.opened
            until = after_business_days(opened.opened_at.date(), days, working)
            yield self._in_transit(f"attempt:{opened.attempt}", until)
        if self.arrived:
            yield self._in_transit("bank", after_business_days(self.on, days, working))

    def _in_transit(self, key: str, until: date) -> DunningPaused:
        return DunningPaused(invoice=self.invoice, why="in_transit", key=key, on=self.on, until=until)

    def _started(self, invoice: InvoiceIssued, account: Account, ladder: Ladder, amount: int) -> DunningStarted:
        charged = (line.license for line in invoice.lines if line.kind == "charge" and line.amount > 0)
        started = DunningStarted(
            invoice=self.invoice, document=invoice.document, account=invoice.account, reference=account.reference,
            currency=invoice.currency, amount=amount, licenses=tuple(dict.fromkeys(charged)), ladder=ladder,
            due_on=invoice.due_on, from_on=counted_from(ladder, invoice.due_on, self.on), on=self.on,
        )  # fmt: skip
        return msgspec.structs.replace(started, next_on=next_on(ladder, Facts(started.from_on)))


class ClaimTransfer(msgspec.Struct, frozen=True):
    """The customer says that an invoice was paid by bank on a day: its chase waits for the money, once.

    The answer is the day until which it waits. Raises: Conflict when the money should have been here by now, or was
    claimed before; Invalid for a day to come.
    """

    invoice: UUID
    transferred_on: date
    on: date

    def handle(self, billing: Billing) -> Outcome:
        invoice, held = _open(billing, self.invoice), dunning(billing, self.invoice)
        # Before anything is reckoned from it: behind the last day that there is, there is no business day.
        if self.transferred_on > self.on:
            raise Invalid(f"{self.transferred_on} is yet to come")
        ladder = held.started.ladder if held.running and held.started else ladder_of(billing, invoice)
        until = after_business_days(self.transferred_on, ladder.claim_defers, works(ladder.calendar))
        if until <= self.on:
            raise Conflict(f"{invoice.document}: a transfer of {self.transferred_on} would have been here by {until}")
        held.claim(
            TransferClaimed(
                invoice=self.invoice, document=invoice.document, account=invoice.account,
                transferred_on=self.transferred_on, until=until, on=self.on,
            )
        )  # fmt: skip
        return Outcome((held,), answer=until)


class PauseDunning(msgspec.Struct, frozen=True):
    """A person stops the chase of an invoice until it is resumed, or until a day; with `restore` licenses serve."""

    invoice: UUID
    on: date
    until: date | None = None
    text: str = ""
    restore: bool = False

    def handle(self, billing: Billing) -> Outcome:
        invoice, held = _open(billing, self.invoice), dunning(billing, self.invoice)
        paused = DunningPaused(
            invoice=self.invoice, why="by_hand", key=BY_HAND, on=self.on, until=self.until, text=self.text,
            restores=self.restore,
        )  # fmt: skip
        if self.until is not None and self.until <= self.on:
            raise Invalid(f"{self.until} does not come after {self.on}: there is nothing to pause")
        if not held.pause(paused):
            raise Conflict(f"{invoice.document} is paused by hand already")
        known: dict[UUID, License] = {}
        freed = [one for one in stopped(billing, held, known) if self.restore]
        return Outcome((held, *(known[one] for one in freed if known[one].settle(self.invoice, self.on))))


class ResumeDunning(msgspec.Struct, frozen=True):
    """A person lets the chase of an invoice go on; licenses that served meanwhile stop again."""

    invoice: UUID
    on: date
    text: str = ""

    def handle(self, billing: Billing) -> Outcome:
        invoice, held = _open(billing, self.invoice), dunning(billing, self.invoice)
        paused = held.paused.get(BY_HAND)
        if paused is None:
            raise Conflict(f"{invoice.document} is not paused by hand")
        held.resume(self.invoice, BY_HAND, self.on, self.text)
        return Outcome((held, *(stop(billing, held, self.on) if paused.restores else ())))


class WriteOff(msgspec.Struct, frozen=True):
    """A person gives an invoice up: it is not chased nor charged any more, but stays open; its licenses stay stopped.

    Raises: Conflict while a payment of it is under way.
    """

    invoice: UUID
    on: date
    why: str = ""

    def handle(self, billing: Billing) -> Outcome:
        invoice, held = _open(billing, self.invoice), dunning(billing, self.invoice)
        attempts = collection(billing, self.invoice)
        if held.ended == "written_off":
            raise Conflict(f"{invoice.document} is written off already")
        if attempts.live:
            raise Conflict(f"{invoice.document} has a live attempt: {attempts.live.opened.attempt}")
        attempts.hold(self.invoice, WRITTEN_OFF, self.on)
        held.end(
            DunningEnded(
                invoice=self.invoice, document=invoice.document, account=invoice.account, why="written_off",
                on=self.on, text=self.why,
            )
        )  # fmt: skip
        return Outcome((held, attempts))


def _ending(ends: list[EndsOn]) -> EndsOn | None:
    """When licenses end of which several steps say so on one day: the harshest."""
    return min(ends, key=["step", "period"].index, default=None)


def _open(billing: Billing, invoice: UUID) -> InvoiceIssued:
    """An invoice that is owed something. Raises: Conflict."""
    found = issued(billing, invoice)
    money = receivables(billing, found.account, found.currency)
    if money.open_amount(invoice, found.gross) <= 0:
        raise Conflict(f"{found.document} is owed nothing")
    return found
