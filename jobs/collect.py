"""Collects an invoice: drives its attempts at providers through the protocol, from wherever a crash left them.

Each step is committed before the next call goes out, so that a worker killed anywhere is followed by another that
reads where it was: open → created (moves no money) → bound → last look → confirmed → outcome. What is not known is
only ever read until it is. Source: ADR-0018.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from domain.application import Billing
from domain.application.payments import (
    BindObject,
    OpenAttempt,
    RecordOutcome,
    WithdrawAttempt,
    collection,
    issued,
    receivables,
)
from domain.collection import Attempt
from domain.payment import Reply
from domain.provider import Provider

LONGEST_CALL = timedelta(minutes=2)
"""An attempt or a refund younger than this may be in the hands of a worker that still waits for its provider."""
CAPTURED_BY_US = frozenset({"paypal"})
"""On their pages a customer only approves, and money moves by our call. PayPal changes no order that is on its page."""


@dataclass(frozen=True)
class Collector:
    """Providers by name, and the clock; days are those of UTC, as providers book."""

    billing: Billing
    providers: Mapping[str, Provider]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def begin(self, invoice: UUID, provider: str, customer: str, method: str, after: int | None = None) -> Attempt:
        """Collects an invoice by a provider, as far as it goes without anybody's help; where the attempt stands.

        Raises: Conflict while another attempt of the invoice is live, or others were `after` what was known of them;
        Invalid when nothing is owed.
        """
        return self._open(OpenAttempt(invoice, provider, self.now(), customer, method, after=after))

    def offer(self, invoice: UUID, provider: str, return_url: str) -> Attempt:
        """Opens the provider's own page on which the customer pays an invoice; the attempt says where it is.

        Raises: as `begin`.
        """
        return self._open(OpenAttempt(invoice, provider, self.now(), return_url=return_url))

    def authenticate(self, attempt: Attempt) -> Attempt:
        """Brings a payment that the bank wants approved back to the customer: the same object, with where to go.

        Not for what was paid in another way meanwhile: the customer's word would move the money.
        """
        if self._stands_down(attempt):
            return self.stop(attempt)
        provider = self.providers[attempt.opened.provider]
        return self._end(attempt, provider.authenticate(attempt.order(), attempt.object))

    def carry_on(self, attempt: Attempt) -> Attempt:
        """Goes on with an attempt from where it stands: reads first, and moves money only out of `open`."""
        provider, order = self.providers[attempt.opened.provider], attempt.order()
        if attempt.object:
            return self._go_on(provider, attempt, provider.look(attempt.object))
        return self._bind(provider, attempt, provider.find(order) or provider.create(order))

    def learn(self, attempt: Attempt) -> Attempt:
        """Reads where an attempt stands and goes on from there: what a webhook, a return and the poller come to."""
        return self.carry_on(attempt) if attempt.live else self._late(attempt)

    def stop(self, attempt: Attempt) -> Attempt:
        """Makes sure that no money moves by an attempt any more, or learns that it did.

        An object that is not known is looked for first: the answer that named it may have been lost.
        """
        provider = self.providers[attempt.opened.provider]
        if not attempt.object:
            found = provider.find(attempt.order()) or Reply("cancelled")
            if not found.object:
                return self._learn(attempt, found)
            attempt = self._bound(attempt, found)
        return self._learn(attempt, provider.cancel(attempt.object))

    def make_way(self, invoice: UUID) -> None:
        """Ends an attempt that waits at a page for its customer, so that the invoice may be paid in another way.

        It is looked at first: one that was approved or paid goes on to its end, and stays.
        """
        live = collection(self.billing, invoice).live
        if live is None or live.opened.method or live.opened.provider not in self.providers:
            return
        seen = self.carry_on(live)
        if seen.state == "action_required" and self.stop(seen).live and live.opened.provider in CAPTURED_BY_US:
            self._withdraw(seen)

    def _withdraw(self, attempt: Attempt) -> None:
        """Ends an attempt that its provider does not let go, and that only we could take money by.

        First it is recorded that nobody confirms it, then it is looked at. Who confirms looks first, and reads that
        record afterwards: if he did not find it, he had seen an approval before this look, which then sees it too.
        So what is still not approved here is never confirmed; what is, is made dead at the provider.
        """
        opened, provider = attempt.opened, self.providers[attempt.opened.provider]
        self.billing.execute(WithdrawAttempt(opened.invoice, opened.attempt))
        seen = provider.look(attempt.object)
        if seen.state == "action_required":
            self._learn(attempt, Reply("cancelled", attempt.object, code="not_approved"))
        else:
            self._go_on(provider, attempt, seen)

    def _open(self, opening: OpenAttempt) -> Attempt:
        """An attempt that nobody knew before this commit: its object cannot be at the provider yet."""
        attempt: Attempt = self.billing.execute(opening)
        provider = self.providers[opening.provider]
        return self._bind(provider, attempt, provider.create(attempt.order()))

    def _bind(self, provider: Provider, attempt: Attempt, made: Reply) -> Attempt:
        """Records the provider's object, and goes on from there."""
        if not made.object:
            return self._end(attempt, made)
        return self._go_on(provider, self._bound(attempt, made), made)

    def _bound(self, attempt: Attempt, made: Reply) -> Attempt:
        opened = attempt.opened
        self.billing.execute(BindObject(opened.invoice, opened.attempt, made.object, made.url))
        return self._present(attempt)

    def _go_on(self, provider: Provider, attempt: Attempt, seen: Reply) -> Attempt:
        """The last look at the invoice, and then the call that moves money."""
        if seen.state in ("open", "action_required") and self._stands_down(attempt):
            return self.stop(attempt)
        if seen.state == "open":
            seen = provider.confirm(attempt.order(), attempt.object)
        return self._end(attempt, seen)

    def _late(self, attempt: Attempt) -> Attempt:
        """An attempt that is over can still be told of money that moved after all; nothing else of it matters."""
        if not attempt.object:
            return attempt
        provider = self.providers[attempt.opened.provider]
        seen = provider.look(attempt.object)
        if seen.state == "open":
            # Approved after it was withdrawn: now the provider lets it be made dead.
            seen = provider.cancel(attempt.object)
        return self._learn(attempt, seen) if seen.state == "succeeded" else attempt

    def _stands_down(self, attempt: Attempt) -> bool:
        """Whether the attempt was stopped or withdrawn, or the invoice paid in whole or part, since it was opened."""
        present = self._present(attempt)
        if present.withdrawn or not present.live:
            return True
        opened = attempt.opened
        gross = issued(self.billing, opened.invoice).gross
        money = receivables(self.billing, opened.account, opened.currency)
        return money.open_amount(opened.invoice, gross) != opened.amount

    def _end(self, attempt: Attempt, reply: Reply) -> Attempt:
        """Records the answer; a declined object is made dead at the provider, so that another attempt may begin."""
        learned = self._learn(attempt, reply)
        return self.stop(learned) if learned.state == "declined" else learned

    def _learn(self, attempt: Attempt, reply: Reply) -> Attempt:
        opened = attempt.opened
        if reply.state in ("cancelled", "unknown") and attempt.code and not reply.code:
            # What the attempt was declined for stays readable when its object is dead.
            reply = msgspec.structs.replace(reply, code=attempt.code)
        self.billing.execute(RecordOutcome(opened.invoice, opened.attempt, reply, self._today()))
        return self._present(attempt)

    def _present(self, attempt: Attempt) -> Attempt:
        return collection(self.billing, attempt.opened.invoice).attempt(attempt.opened.attempt)

    def _today(self) -> date:
        return self.now().astimezone(UTC).date()
