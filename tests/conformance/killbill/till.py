"""What is paid of Kill Bill's invoices: their payments as attempts and receipts, their chases.

The domain decides all of it: when a charge is due, what may be opened, what pays for what, what stops and what starts
again. Here is only who asks whom, in which order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from domain.collection import Collection, collection_id
from domain.dunning import Dunning, dunning_id
from domain.errors import Refusal
from domain.events import receivables as money_events
from domain.events.collection import AttemptOpened
from domain.events.dunning import DunningEnded, DunningPaused, DunningStarted
from domain.events.license import LicenseStarted
from domain.identity import Kind, make_id
from domain.ladder import STOPPING, Ladder, counted_from
from domain.license import License
from domain.payment import RefundReply, Reply, State
from domain.receivables import Receivables, dispute_name, receivables_id, refund_name
from tests.conformance.killbill.catalog import Refused
from tests.conformance.killbill.history import Account, Subscription
from tests.conformance.killbill.ledger import Invoice, Ledger
from tests.conformance.killbill.policy import effective
from tests.conformance.verdict import NotExpressible

STATUS: dict[State, str] = {"succeeded": "SUCCESS", "cancelled": "PAYMENT_FAILURE", "unknown": "UNKNOWN"}
STATUS |= {"pending": "PENDING"}


@dataclass
class Owed:
    """An invoice that is owed something, its attempts and its chase."""

    id: UUID
    invoice: Invoice
    gross: int
    attempts: Collection
    chase: Dunning
    tried: bool = False


@dataclass
class Paid:
    """One payment of theirs: attempts of an invoice that go on from each other, and what went back of it.

    Shapes: `back` as (what, its id, amount).
    """

    owed: Owed
    on: date
    asked: int
    attempts: list[UUID] = field(default_factory=list)
    back: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def receipt(self) -> str:
        return f"stripe:{self.attempts[-1]}"


@dataclass
class Plugin:
    """The peer's provider: what the next payments come to. Shapes: `said` what is told later of an attempt."""

    fails: bool = False
    following: list[State] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    said: dict[UUID, State] = field(default_factory=dict)

    def answer(self) -> State:
        if self.following:
            return self.following.pop(0)
        return "declined" if self.fails else "succeeded"


class Till:
    """The money of one account.

    Shapes: `automatic` whether invoices are charged when they are issued; `pays_nothing` whether an invoice of nothing,
    which ours is paid as soon as it is issued, counts as a payment of nothing.
    """

    def __init__(self, account: Account, ledger: Ledger, plugin: Plugin, ladder: Ladder, has_method: bool) -> None:
        self.account, self.ledger, self.plugin, self.ladder = account, ledger, plugin, ladder
        self.has_method, self.automatic, self.pays_nothing = has_method, True, False
        self.money = Receivables(receivables_id(self.id, account.currency))
        self.owes: dict[int, Owed] = {}
        self.payments: list[Paid] = []
        self.named: dict[str, Paid] = {}
        self.drafts: set[int] = set()
        self.licenses: dict[UUID, License] = {}

    @property
    def id(self) -> UUID:
        return make_id(Kind.ACCOUNT, 0, None, self.account.name)

    def day(self, on: date) -> bool:
        """Everything that a day brings; whether licenses stopped or started by it."""
        self._learn(on)
        self._bill(on)
        self.draw(on)
        for owed in self._open():
            if self.automatic and self.has_method and not owed.tried:
                owed.tried = True
                self.charge(owed, self.left(owed), on)
        return self._chase(on)

    def left(self, owed: Owed) -> int:
        return self.money.open_amount(owed.id, owed.gross)

    def _open(self) -> list[Owed]:
        return [owed for owed in self.owes.values() if self.left(owed) > 0]

    def _bill(self, on: date) -> None:
        """Takes over what was issued, and what was taken off it since, which is a credit note of ours."""
        for number, invoice in enumerate(self.ledger.invoices):
            if invoice.account is not self.account or number in self.drafts:
                continue
            gross = sum(row.line.amount for row in invoice.rows if row.line.kind != "adjustment")
            off = sum(row.line.amount for row in invoice.rows if row.line.kind == "adjustment")
            if number not in self.owes and (gross > 0 or (gross == 0 and self.pays_nothing)):
                name = make_id(Kind.INVOICE, 0, None, self.account.name, number)
                chase, attempts = Dunning(dunning_id(name)), Collection(collection_id(name))
                self.owes[number] = Owed(name, invoice, gross, attempts, chase)
                if gross == self.left(self.owes[number]) == 0 and self.has_method and self.automatic:
                    self.payments.append(Paid(self.owes[number], on, 0))
            if gross < 0:
                self.credit(f"note {number}", -gross, on)
            self._take_off(number, -off, on)

    def _take_off(self, number: int, amount: int, on: date) -> None:
        booked = [one for name, one in self.money.receipts.items() if name.startswith(f"credit_note:off {number} ")]
        new = amount - sum(one.booked.amount for one in booked)
        if new > 0:
            name = self.credit(f"off {number} {len(booked)}", new, on)
            owed = self.owes.get(number)
            pays = min(new, self.left(owed)) if owed else 0
            if owed and pays:
                self.money.allocate(name, owed.id, owed.gross, pays, on)

    def void(self, owed: Owed, on: date) -> None:
        """A credit note of a whole invoice."""
        number = next(number for number, one in self.owes.items() if one is owed)
        self._take_off(number, owed.gross, on)

    def credit(self, name: str, amount: int, on: date) -> str:
        """Credit of the account, once by its name."""
        self._book(f"credit_note:{name}", "credit_note", amount, on)
        return f"credit_note:{name}"

    def draw(self, on: date) -> None:
        """Pays what is open from credit, the oldest first."""
        free = [owed for owed in self._open() if owed.attempts.live is None]
        self.money.draw([(owed.id, owed.gross) for owed in free], on)

    def _book(self, name: str, source: Any, amount: int, on: date) -> None:
        self.money.book(
            money_events.ReceiptBooked(
                account=self.id, currency=self.account.currency, receipt=name, source=source, amount=amount,
                received_on=on,
            )
        )  # fmt: skip

    def charge(self, owed: Owed, amount: int, on: date, payment: Paid | None = None) -> Paid:
        """One attempt, which goes on from another payment or begins a new one. Raises: Refused."""
        attempt = owed.attempts.next_id(datetime.combine(on, time(), UTC))
        if amount > self.left(owed):
            raise Refused("more than is owed")
        opened = AttemptOpened(
            attempt=attempt, invoice=owed.id, document=str(owed.id), account=self.id, reference=self.account.name,
            provider="stripe", customer="c", method="m", amount=amount, currency=self.account.currency,
            opened_at=datetime.combine(on, time(), UTC),
        )  # fmt: skip
        try:
            owed.attempts.open(opened)
        except Refusal as error:
            raise Refused(str(error)) from error
        owed.attempts.bind(attempt, str(attempt))
        if payment is None:
            payment = Paid(owed, on, amount)
            self.payments.append(payment)
        payment.attempts.append(attempt)
        self._outcome(owed, attempt, self.plugin.answer(), on)
        return payment

    def _outcome(self, owed: Owed, attempt: UUID, state: State, on: date) -> None:
        asked = owed.attempts.attempt(attempt).opened.amount
        amount = self.plugin.amounts.pop(0) if state == "succeeded" and self.plugin.amounts else asked
        moved = {"amount": amount, "currency": self.account.currency, "payment": str(attempt)}
        reply = Reply(state, str(attempt), **moved) if state == "succeeded" else Reply(state, str(attempt))  # type: ignore[arg-type]
        if not owed.attempts.learn(attempt, reply):
            return
        if state == "declined":
            owed.attempts.learn(attempt, Reply("cancelled", str(attempt)))
        if state == "succeeded":
            self._book(f"stripe:{attempt}", "stripe", amount, on)
            pays = min(amount, self.left(owed))
            if pays:
                self.money.allocate(f"stripe:{attempt}", owed.id, owed.gross, pays, on)

    def _learn(self, on: date) -> None:
        """What the provider told later of attempts that were not certain."""
        for owed in self.owes.values():
            live = owed.attempts.live
            if live and live.opened.attempt in self.plugin.said:
                self._outcome(owed, live.opened.attempt, self.plugin.said.pop(live.opened.attempt), on)

    def refund(self, payment: Paid, amount: int | None, on: date) -> None:
        held = self.money.receipt(payment.receipt)
        refund = make_id(Kind.REFUND, 0, on, self.id, len(self.money.refunds) + 1)
        opened = money_events.RefundOpened(
            refund=refund, account=self.id, receipt=payment.receipt, provider="stripe",
            payment=str(payment.attempts[-1]), amount=held.kept if amount is None else amount,
            currency=self.account.currency, opened_at=datetime.combine(on, time(), UTC),
        )  # fmt: skip
        self.money.open_refund(opened, self._gross())
        self.money.learn_refund(refund, RefundReply("succeeded", "re", opened.amount, opened.currency), on)
        payment.owed.attempts.hold(payment.owed.id, refund_name(refund), on)
        payment.back.append(("refund", str(refund), opened.amount))

    def dispute(self, payment: Paid, amount: int | None, on: date) -> None:
        kept = self.money.receipt(payment.receipt).kept
        payment.back.append(("chargeback", f"stripe:d{len(payment.back)}", kept if amount is None else amount))
        self._disputed(payment, "open", on)

    def won(self, payment: Paid, on: date) -> None:
        self._disputed(payment, "won", on)
        payment.back.append(("chargeback_reversal", "", 0))
        self.draw(on)

    def _disputed(self, payment: Paid, state: Any, on: date) -> None:
        _, name, amount = next(one for one in reversed(payment.back) if one[0] == "chargeback")
        back = amount if state == "won" else 0
        learned = money_events.DisputeLearned(
            dispute=name, account=self.id, receipt=payment.receipt, state=state, amount=amount, withdrawn=amount,
            given_back=back, currency=self.account.currency, on=on,
        )  # fmt: skip
        self.money.learn_dispute(learned, self._gross())
        owed, hold = payment.owed, dispute_name(name)
        if back:
            owed.attempts.release(owed.id, hold, on)
        else:
            owed.attempts.hold(owed.id, hold, on)

    def _gross(self) -> dict[UUID, int]:
        return {owed.id: owed.gross for owed in self.owes.values()}

    def _chase(self, on: date) -> bool:
        stopped = False
        for owed in self.owes.values():
            if self.left(owed) <= 0:
                stopped |= self._end(owed, on)
            else:
                stopped |= self._turn(owed, on)
        return stopped

    def _turn(self, owed: Owed, on: date) -> bool:
        chase, made = owed.chase, owed.attempts
        for hold in sorted(made.holds - set(chase.paused)):
            chase.pause(DunningPaused(invoice=owed.id, why="hold", key=hold, on=on))
        for hold in sorted(set(chase.paused) - made.holds):
            chase.resume(owed.id, hold, on)
        if not chase.running and not chase.paused:
            chase.start(self._started(owed, on))
        taken = chase.reach(on, self.left(owed), len(made.attempts), self.has_method and self.automatic, False)
        if chase.owes_charge(made, self.money) and not chase.paused:
            payment = next((one for one in reversed(self.payments) if one.owed is owed), None)
            self.charge(owed, self.left(owed), on, payment)
        return bool(taken) and self._stop(owed, on)

    def _started(self, owed: Owed, on: date) -> DunningStarted:
        charged = dict.fromkeys(row.line.license for row in owed.invoice.rows if row.line.amount > 0)
        issued_on = owed.invoice.on
        return DunningStarted(
            invoice=owed.id, document=str(owed.id), account=self.id, reference=self.account.name,
            currency=self.account.currency, amount=self.left(owed), licenses=tuple(charged), ladder=self.ladder,
            due_on=issued_on, from_on=counted_from(self.ladder, issued_on, on), on=on,
        )  # fmt: skip

    def _stop(self, owed: Owed, on: date) -> bool:
        chase = owed.chase
        if chase.effect not in STOPPING:
            return False
        ends = next((step for step in self.ladder.steps[: len(chase.stages)] if step.ends), None)
        for subscription, license in self._licenses(owed):
            if license.demand(owed.id, chase.effect, on, chase.pauses_billing) and ends and subscription.end is None:
                policy = "END_OF_TERM" if ends.ends_on == "period" else "IMMEDIATE"
                subscription.end = effective(self.ledger, subscription, policy, on)
        return self._facts()

    def _end(self, owed: Owed, on: date) -> bool:
        if owed.chase.running:
            for _, license in self._licenses(owed):
                license.settle(owed.id, on)
            owed.chase.end(DunningEnded(invoice=owed.id, document="", account=self.id, why="paid", on=on))
        return self._facts()

    def _licenses(self, owed: Owed) -> Iterator[tuple[Subscription, License]]:
        assert owed.chase.started
        for subscription in self.ledger.of(self.account):
            if subscription.id in owed.chase.started.licenses:
                yield subscription, self.license(subscription)

    def license(self, subscription: Subscription) -> License:
        """The license of a subscription, as far as its suspension goes."""
        if subscription.id not in self.licenses:
            license = License(subscription.id)
            started = LicenseStarted(
                reference=subscription.name, account=self.id, package="p", version=1, type="production",
                start_on=subscription.start, currency=self.account.currency, quantities={},
            )  # fmt: skip
            license.start(started)
            license.collect_events()
            self.licenses[subscription.id] = license
        return self.licenses[subscription.id]

    def _facts(self) -> bool:
        """Hands what happened to licenses to their subscriptions, as facts of their billing."""
        moved = False
        for subscription in self.ledger.of(self.account):
            if subscription.id in self.licenses:
                events = [one.body for one in self.licenses[subscription.id].collect_events()]
                subscription.pauses += events
                moved |= bool(events)
        return moved

    @property
    def bills(self) -> bool:
        """Whether the account is billed: theirs is not while it is so overdue that billing pauses."""
        return not any(owed.chase.running and owed.chase.pauses_billing for owed in self.owes.values())

    def overdue(self, names: list[str]) -> str:
        """The worst of the overdue states that a chase has reached, the worst first; CLEAR for none."""
        reached = {one.stage for owed in self.owes.values() if owed.chase.running for one in owed.chase.stages}
        return next((name for name in names if name in reached), "CLEAR")

    def invoice(self, name: str) -> Owed | None:
        """An invoice by its number in the account; None when it is owed nothing, ever."""
        number = int(name.split("[")[1].rstrip("]"))
        own = [n for n, invoice in enumerate(self.ledger.invoices) if invoice.account is self.account]
        return self.owes.get(own[number - 1]) if number <= len(own) else None

    def payment(self, name: str) -> Paid:
        if name in self.named:
            return self.named[name]
        number = int(name.split("[")[1].rstrip("]")) if name.startswith("payment_nr[") else 0
        if not 0 < number <= len(self.payments):
            raise NotExpressible(f"which payment is {name}")
        return self.payments[number - 1]
