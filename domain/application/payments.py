"""Commands on money: attempts, receipts, what they pay for, and what goes back. None of them asks a provider."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import msgspec

from domain.account import Account
from domain.aggregate import Aggregate
from domain.application import Billing, Outcome
from domain.application.chases import ended_by_payment
from domain.collection import OVER, Collection, collection_id
from domain.errors import Conflict, IntegrityError, Invalid
from domain.events.collection import AttemptOpened
from domain.events.documents import CreditNoteIssued, InvoiceIssued
from domain.events.receivables import ReceiptBooked, Source
from domain.identity import bucket_of, name_bucket
from domain.invoice import CreditNote, Invoice
from domain.money import as_said, with_currency
from domain.payment import Reply, way_back
from domain.ports import Rows
from domain.receivables import Receivables, receivables_id

LIVE = "live_instrument (bucket, invoice, attempt)"
NAMES = "receipt_name (bucket, receipt, account)"


def issued(billing: Billing, invoice: UUID) -> InvoiceIssued:
    """An invoice as it was issued. Raises: NotFound."""
    found = billing.find(Invoice, invoice, f"invoice {invoice}").issued
    assert found is not None
    return found


def receivables(billing: Billing, account: UUID, currency: str) -> Receivables:
    """The money of a payer in a currency; a new one when there was none."""
    return billing.find_or_new(Receivables, receivables_id(account, currency))


def collection(billing: Billing, invoice: UUID) -> Collection:
    """The attempts of an invoice; none yet when there were none."""
    return billing.find_or_new(Collection, collection_id(invoice))


class OpenAttempt(msgspec.Struct, frozen=True):
    """Begins to collect what an invoice is owed by a provider; the answer is the attempt.

    Nobody is asked for what we hold of theirs: the account's credit pays first, and the attempt is for the rest.

    Shapes: `customer` and `method` are the provider's tokens; without a method the customer pays on the provider's
    page, and comes back to `return_url`; with `after`, only when so many attempts were made before.
    Raises: Invalid for a `return_url` that is no page on the web.
    """

    invoice: UUID
    provider: str
    opened_at: datetime
    customer: str = ""
    method: str = ""
    return_url: str = ""
    after: int | None = None

    def __post_init__(self) -> None:
        if self.return_url:
            way_back(self.return_url)

    def handle(self, billing: Billing) -> Outcome:
        invoice, attempts = issued(billing, self.invoice), collection(billing, self.invoice)
        money = receivables(billing, invoice.account, invoice.currency)
        if self.after is not None and len(attempts.attempts) != self.after:
            raise Conflict(f"{invoice.document} has {len(attempts.attempts)} attempts, not {self.after}")
        on, owed = self.opened_at.astimezone(UTC).date(), (self.invoice, invoice.gross)
        if pay_from_credit(money, attempts, owed, on) and money.open_amount(*owed) <= 0:
            settled = (money, *ended_by_payment(billing, money, [owed], on))
            return Outcome(settled, refusal=Invalid(f"{invoice.document} was paid from credit: it is owed nothing"))
        opened = AttemptOpened(
            attempt=attempts.next_id(self.opened_at), invoice=self.invoice, document=invoice.document,
            account=invoice.account, reference=billing.find(Account, invoice.account, "account").reference,
            provider=self.provider, customer=self.customer, method=self.method,
            amount=money.open_amount(self.invoice, invoice.gross), currency=invoice.currency, opened_at=self.opened_at,
            return_url=self.return_url,
        )  # fmt: skip
        attempts.open(opened)
        live = (bucket_of(self.invoice), self.invoice, opened.attempt)
        return Outcome((attempts, money), {LIVE: [live]}, answer=attempts.attempts[opened.attempt])


def pay_from_credit(money: Receivables, attempts: Collection, owed: tuple[UUID, int], on: date) -> int:
    """Pays an invoice (with its gross) from the payer's credit, but for one that is on hold or has a live attempt."""
    return 0 if attempts.live or attempts.holds else money.draw([owed], on)


class BindObject(msgspec.Struct, frozen=True):
    """Records the object that a provider made for an attempt, before it may move money."""

    invoice: UUID
    attempt: UUID
    object: str
    url: str = ""

    def handle(self, billing: Billing) -> Outcome:
        attempts = collection(billing, self.invoice)
        attempts.bind(self.attempt, self.object, self.url)
        return Outcome((attempts,))


class WithdrawAttempt(msgspec.Struct, frozen=True):
    """Promises that nobody confirms an attempt any more: its customer left the page, and is to pay in another way."""

    invoice: UUID
    attempt: UUID

    def handle(self, billing: Billing) -> Outcome:
        attempts = collection(billing, self.invoice)
        attempts.withdraw(self.attempt)
        return Outcome((attempts,))


class RecordOutcome(msgspec.Struct, frozen=True):
    """Records where an attempt stands; money that moved is booked with it, and pays the invoice.

    The one end of every way that news comes: the call itself, the webhook, the return of the customer, the poller.
    Raises: IntegrityError when the money is of another currency, or more than was asked for: it has to be looked at.
    """

    invoice: UUID
    attempt: UUID
    reply: Reply
    on: date

    def handle(self, billing: Billing) -> Outcome:
        attempts = collection(billing, self.invoice)
        held = attempts.attempt(self.attempt)
        was_live = held.live
        if not attempts.learn(self.attempt, self.reply):
            return Outcome(())
        gone = [(bucket_of(self.invoice), self.invoice, self.attempt)]
        ended: Rows = {LIVE: gone} if was_live and self.reply.state in OVER else {}
        if self.reply.state != "succeeded":
            return Outcome((attempts,), ended=ended)
        booked, names = self._money(billing, held.opened)
        return Outcome((attempts, *booked), names, ended)

    def _money(self, billing: Billing, opened: AttemptOpened) -> tuple[tuple[Aggregate, ...], Rows]:
        reply = self.reply
        if reply.currency != opened.currency or not 0 < reply.amount <= opened.amount or not reply.payment:
            said, asked = as_said(reply.amount, reply.currency), with_currency(opened.amount, opened.currency)
            raise IntegrityError(f"{opened.provider} took {said} for {opened.document}, and was asked for {asked}")
        booking = BookReceipt(
            account=opened.account, currency=opened.currency, receipt=f"{opened.provider}:{reply.payment}",
            source=_source(opened.provider), amount=reply.amount, on=self.on, text=opened.document,
            attempt=self.attempt, invoices=(self.invoice,),
        )  # fmt: skip
        return booking.book(billing)


def _source(provider: str) -> Source:
    if provider == "stripe":
        return "stripe"
    if provider == "paypal":
        return "paypal"
    raise IntegrityError(f"money came by {provider!r}, which is no source")


class BookReceipt(msgspec.Struct, frozen=True):
    """Books money once and pays the invoices named, in order, as far as it goes; the rest is the account's credit."""

    account: UUID
    currency: str
    receipt: str
    source: Source
    amount: int
    on: date
    text: str = ""
    attempt: UUID | None = None
    invoices: tuple[UUID, ...] = ()

    def handle(self, billing: Billing) -> Outcome:
        booked, names = self.book(billing)
        return Outcome(booked, names, answer=bool(names))

    def book(self, billing: Billing) -> tuple[tuple[Aggregate, ...], Rows]:
        """The payer's money with the receipt in it, the chases that it ends, and the row that keeps its name."""
        money = receivables(billing, self.account, self.currency)
        booked = ReceiptBooked(
            account=self.account, currency=self.currency, receipt=self.receipt, source=self.source,
            amount=self.amount, received_on=self.on, text=self.text, attempt=self.attempt,
        )  # fmt: skip
        if not money.book(booked):
            return (money,), {}
        owed = [(one, _payable(billing, one, self.account, self.currency)) for one in self.invoices]
        for invoice, gross in owed:
            part = min(money.receipt(self.receipt).credit, money.open_amount(invoice, gross))
            if part > 0:
                money.allocate(self.receipt, invoice, gross, part, self.on)
        names: Rows = {NAMES: [(name_bucket(self.receipt), self.receipt, self.account)]}
        return (money, *ended_by_payment(billing, money, owed, self.on)), names


class BookCreditNote(msgspec.Struct, frozen=True):
    """Makes what a credit note gives the account's credit, once."""

    document: UUID
    on: date

    def handle(self, billing: Billing) -> Outcome:
        note = billing.find(CreditNote, self.document, "credit note").issued
        assert isinstance(note, CreditNoteIssued)
        return BookReceipt(
            account=note.account, currency=note.currency, receipt=f"credit_note:{note.document}",
            source="credit_note", amount=-note.gross, on=self.on, text=note.document,
        ).handle(billing)  # fmt: skip


class DrawCredit(msgspec.Struct, frozen=True):
    """Pays invoices from the account's credit, the oldest credit first; the answer is how much, in minor units.

    One that is on hold, or that a live attempt is to pay, is left as it is.
    """

    account: UUID
    currency: str
    invoices: tuple[UUID, ...]
    on: date

    def handle(self, billing: Billing) -> Outcome:
        money = receivables(billing, self.account, self.currency)
        owed = [(one, _payable(billing, one, self.account, self.currency)) for one in self.invoices]
        drawn = sum([pay_from_credit(money, collection(billing, one[0]), one, self.on) for one in owed])
        return Outcome((money, *ended_by_payment(billing, money, owed, self.on)), answer=drawn)


def _payable(billing: Billing, invoice: UUID, account: UUID, currency: str) -> int:
    """The gross of an invoice that this account can pay in this currency. Raises: Conflict."""
    found = issued(billing, invoice)
    if (found.account, found.currency) != (account, currency):
        raise Conflict(f"{found.document} is not of this account in {currency}")
    return found.gross
