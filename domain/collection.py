"""Collection of an invoice: attempts, one live at a time, whose states never go back from an end.

An attempt is opened and committed, then its object is made at the provider (which moves no money) and bound, then
confirmed, then its outcome learned. It is over when money moved, or when its object is certainly dead at the provider:
a declined attempt is live until then, so that never two of one invoice can take money. Source: ADR-0018.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from domain.aggregate import Aggregate
from domain.errors import Conflict, Invalid, NotFound
from domain.events import Event
from domain.events import collection as events
from domain.events.collection import AttemptOpened, OutcomeLearned
from domain.identity import Kind, bucket_of, make_id
from domain.payment import Order, Reply, State

OVER: frozenset[State] = frozenset({"succeeded", "cancelled"})


@dataclass
class Attempt:
    """One attempt and where it stands. Shapes: `object` is empty until it is bound; `withdrawn` is never confirmed."""

    opened: AttemptOpened
    object: str = ""
    state: State = "open"
    payment: str = ""
    url: str = ""
    code: str = ""
    withdrawn: bool = False

    @property
    def live(self) -> bool:
        """Whether money may still move by it."""
        return self.state not in OVER

    @property
    def receipt(self) -> str:
        """The name under which its money is booked."""
        return f"{self.opened.provider}:{self.payment}"

    def order(self) -> Order:
        """What the provider is asked for: the same words however often the attempt is taken up again."""
        names = (
            "attempt", "invoice", "document", "amount", "currency", "customer", "method", "return_url", "opened_at"
        )  # fmt: skip
        return Order(account=self.opened.reference, **{name: getattr(self.opened, name) for name in names})


class Collection(Aggregate):
    """The attempts of one invoice, in order."""

    NAME = "collection"

    def blank(self) -> None:
        self.attempts: dict[UUID, Attempt] = {}
        self.holds: set[str] = set()

    @property
    def live(self) -> Attempt | None:
        """The attempt by which money may still move."""
        return next((attempt for attempt in self.attempts.values() if attempt.live), None)

    def attempt(self, attempt: UUID) -> Attempt:
        """An attempt by its id. Raises: NotFound."""
        try:
            return self.attempts[attempt]
        except KeyError:
            raise NotFound(f"there is no attempt {attempt} of this invoice") from None

    def open(self, opened: AttemptOpened) -> None:
        """Begins an attempt.

        Raises: Conflict while another one is live, or the invoice is on hold; Invalid for an amount of nothing.
        """
        if opened.amount <= 0:
            raise Invalid(f"{opened.document} is owed nothing")
        if self.holds:
            raise Conflict(f"{opened.document} is on hold: {', '.join(sorted(self.holds))}")
        if self.live:
            raise Conflict(f"{opened.document} has a live attempt: {self.live.opened.attempt} is {self.live.state}")
        self.trigger(opened)

    def next_id(self, opened_at: datetime) -> UUID:
        """The id of the next attempt, which two workers who begin it at once have in common."""
        return make_id(Kind.ATTEMPT, bucket_of(self.id), opened_at.date(), self.id, len(self.attempts) + 1)

    def bind(self, attempt: UUID, object_id: str, url: str = "") -> None:
        """Records the provider's object, once. Raises: Conflict when the attempt has another one."""
        held = self.attempt(attempt)
        if held.object and held.object != object_id:
            raise Conflict(f"attempt {attempt} is bound to {held.object}, not {object_id}")
        if not held.object:
            self.trigger(events.ObjectBound(attempt=attempt, object=object_id, url=url))

    def withdraw(self, attempt: UUID) -> None:
        """From now on nobody confirms an attempt. Raises: Conflict for one that is over."""
        held = self.attempt(attempt)
        if not held.live:
            raise Conflict(f"attempt {attempt} is {held.state}")
        if not held.withdrawn:
            self.trigger(events.AttemptWithdrawn(attempt=attempt))

    def learn(self, attempt: UUID, reply: Reply) -> bool:
        """Records where an attempt stands; False when that is known, or older than what is known.

        An end is never left, but for one: money that moved after all is always taken in. Nor is an attempt over because
        there was no object of it, when others made one meanwhile: by that money may move.
        """
        held = self.attempt(attempt)
        if reply.state == "cancelled" and held.object and not reply.object:
            return False
        late_money = reply.state == "succeeded" and held.state == "cancelled"
        news = (reply.state, reply.code, reply.url) != (held.state, held.code, held.url)
        if not news or reply.state == "open" or (not held.live and not late_money):
            return False
        self.trigger(
            OutcomeLearned(
                attempt=attempt, state=reply.state, payment=reply.payment, amount=reply.amount, code=reply.code,
                text=reply.text, url=reply.url,
            )
        )  # fmt: skip
        return True

    def hold(self, invoice: UUID, hold: str, on: date) -> None:
        """Keeps the invoice from being collected, once for each reason."""
        if hold not in self.holds:
            self.trigger(events.HoldPlaced(invoice=invoice, hold=hold, on=on))

    def release(self, invoice: UUID, hold: str, on: date, why: str = "") -> bool:
        """Takes one reason away; False when it was not there."""
        if hold not in self.holds:
            return False
        self.trigger(events.HoldReleased(invoice=invoice, hold=hold, on=on, why=why))
        return True

    def when(self, event: Event) -> None:
        match event:
            case events.HoldPlaced():
                self.holds.add(event.hold)
            case events.HoldReleased():
                self.holds.discard(event.hold)
            case events.AttemptOpened():
                self.attempts[event.attempt] = Attempt(event)
            case events.ObjectBound():
                held = self.attempts[event.attempt]
                held.object, held.url = event.object, event.url
            case events.AttemptWithdrawn():
                self.attempts[event.attempt].withdrawn = True
            case events.OutcomeLearned():
                held = self.attempts[event.attempt]
                held.state, held.code, held.payment = event.state, event.code, event.payment
                held.url = event.url or held.url


def collection_id(invoice: UUID) -> UUID:
    """The stream of an invoice's attempts."""
    return make_id(Kind.COLLECTION, bucket_of(invoice), None, invoice)
