"""Dunning of an invoice: where its chase stands on the ladder, what it waits for, and how it ended.

One stream for each invoice. A chase begins when the invoice is overdue, and again when a settled one is opened again;
it keeps the ladder that it began with. While it waits its days stand still, so that what is left of the ladder keeps
its distances. Days are told by commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from uuid import UUID

from domain.aggregate import Aggregate
from domain.collection import Collection
from domain.errors import Conflict, Invalid
from domain.events import Event
from domain.events import dunning as events
from domain.events.dunning import DunningPaused, DunningStarted, End, Pause, StageReached
from domain.identity import Kind, bucket_of, make_id
from domain.ladder import Effect, Facts, Step, due, harshest, next_on, step_on
from domain.receivables import Receivables

BY_HAND = "by_hand"
CLAIMED = "claimed"
ONCE: frozenset[Pause] = frozenset({"claimed", "in_transit"})
"""Reasons that are waited for once: the same claim or the same pending debit does not stop the ladder a second time."""


class Dunning(Aggregate):
    """The chase of one invoice.

    Shapes: `paused` by key; `waited` the keys that were waited for; `shift` how long it stood still so far.
    """

    NAME = "dunning"

    def blank(self) -> None:
        self.ended: End | None = None
        self.waited: set[str] = set()
        self.paused: dict[str, DunningPaused] = {}
        self._begin(None)

    def _begin(self, started: DunningStarted | None) -> None:
        self.started = started
        self.stages: list[StageReached] = []
        self.shift = timedelta(0)
        self.stopped_on = started.on if started and self.paused else None

    @property
    def running(self) -> bool:
        """Whether the invoice is chased now, standing still or not."""
        return self.started is not None and self.ended is None

    @property
    def facts(self) -> Facts:
        """What the ladder needs to know."""
        assert self.started is not None
        return Facts(self.started.from_on + self.shift, len(self.stages), bool(self.paused))

    @property
    def effect(self) -> Effect:
        """The harshest effect that was reached."""
        return harshest(stage.effect for stage in self.stages)

    @property
    def pauses_billing(self) -> bool:
        """Whether a step that was taken says that what does not serve is not billed."""
        if self.started is None:
            return False
        return any(step.pauses_billing for step in self.started.ladder.steps[: len(self.stages)])

    def owes_charge(self, attempts: Collection, money: Receivables) -> bool:
        """Whether a step asked for a charge that was not made.

        Nothing is charged again while money may still move, or when the last attempt took a part that still pays: why
        it was less than was asked for, a person has to see.
        """
        if not self.running or self.started is None or self.retry is None or attempts.live:
            return False
        last = next(reversed(attempts.attempts.values()), None)
        took = last is not None and money.pays(last.receipt, self.started.invoice)
        return not took and self.retry.attempts >= len(attempts.attempts)

    @property
    def retry(self) -> StageReached | None:
        """The last stage that asked for a charge."""
        return next((stage for stage in reversed(self.stages) if stage.retry), None)

    def start(self, started: DunningStarted) -> None:
        """Begins a chase, or another one. Raises: Conflict while one runs, or when the invoice was written off."""
        if self.running or self.ended == "written_off":
            raise Conflict(f"{started.document} is chased already, or was written off")
        self.trigger(started)

    def due(self, on: date) -> tuple[Step, ...]:
        """The steps to take on a day."""
        return due(self.started.ladder, self.facts, on) if self.running and self.started else ()

    def reach(self, on: date, amount: int, attempts: int, has_method: bool, lost_method: bool) -> list[StageReached]:
        """Takes every step that is due; of several only the last reminder goes out. What was taken.

        Shapes: a charge is due by the last step that asks for one, and only when there is a method.
        """
        steps, before = self.due(on), len(self.stages)
        assert self.started is not None or not steps
        loudest = max((number for number, step in enumerate(steps) if step.remind), default=-1)
        for number, step in enumerate(steps):
            remind = step.remind if number == loudest else ""
            self._take(step, on, remind, amount, attempts, has_method, lost_method)
        return self.stages[before:]

    def _take(
        self, step: Step, on: date, remind: str, amount: int, attempts: int, has_method: bool, lost_method: bool
    ) -> None:
        began, facts = self.started, self.facts
        assert began is not None
        after = facts._replace(reached=facts.reached + 1)
        self.trigger(
            StageReached(
                invoice=began.invoice, document=began.document, account=began.account, number=after.reached,
                stage=step.name, effect=step.effect, remind=remind, retry=step.retry and has_method,
                wants_method=lost_method, attempts=attempts, licenses=began.licenses, amount=amount,
                currency=began.currency, due_on=step_on(began.ladder, step, facts.from_on), on=on,
                next_on=next_on(began.ladder, after),
            )
        )  # fmt: skip

    def pause(self, paused: DunningPaused) -> bool:
        """Stops the ladder for a reason; False when it stands still for it, or waited for it before."""
        spent = paused.why in ONCE and paused.key in self.waited
        if paused.key in self.paused or spent or (paused.until is not None and paused.until <= paused.on):
            return False
        self.trigger(paused)
        return True

    def claim(self, claimed: events.TransferClaimed) -> None:
        """The customer says that the money is on its way: the ladder waits for it, once.

        Raises: Conflict for a second claim; Invalid for a day to come.
        """
        if CLAIMED in self.waited:
            raise Conflict(f"{claimed.document}: a transfer was claimed before, and is waited for once")
        if claimed.transferred_on > claimed.on:
            raise Invalid(f"{claimed.transferred_on} is yet to come")
        self.trigger(claimed)
        pause = DunningPaused(invoice=claimed.invoice, why="claimed", key=CLAIMED, on=claimed.on, until=claimed.until)
        self.pause(pause)

    def resume(self, invoice: UUID, key: str, on: date, text: str = "") -> bool:
        """One reason to wait is gone; False when it was none. A wait that was limited ends with its last day."""
        held = self.paused.get(key)
        if held is None:
            return False
        on = max(held.on, min(on, held.until or on))
        self.trigger(
            events.DunningResumed(
                invoice=invoice, why=held.why, key=key, on=on, text=text, next_on=self._next_without(key, on)
            )
        )
        return True

    def _next_without(self, key: str, on: date) -> date | None:
        if not self.running or self.started is None or set(self.paused) != {key}:
            return None
        return next_on(self.started.ladder, self.facts._replace(from_on=self._moved(on), stopped=False))

    def _moved(self, on: date) -> date:
        """The day that the ladder counts from when it goes on on a day."""
        assert self.started is not None
        assert self.stopped_on is not None
        return self.started.from_on + self.shift + max(on - self.stopped_on, timedelta(0))

    def over(self, on: date) -> Iterator[str]:
        """The keys of waits whose last day has come."""
        yield from sorted(key for key, held in self.paused.items() if held.until is not None and held.until <= on)

    def end(self, ended: events.DunningEnded) -> None:
        """The chase is over."""
        self.trigger(ended)

    def when(self, event: Event) -> None:
        match event:
            case DunningStarted():
                self.ended = None
                self._begin(event)
            case StageReached():
                self.stages.append(event)
            case DunningPaused():
                self.paused[event.key] = event
                self.waited.add(event.key)
                self.stopped_on = self.stopped_on or event.on
            case events.DunningResumed():
                del self.paused[event.key]
                if not self.paused and self.started and self.stopped_on:
                    self.shift = self._moved(event.on) - self.started.from_on
                self.stopped_on = self.stopped_on if self.paused else None
            case events.DunningEnded():
                self.ended = event.why
                self.paused, self.waited, self.stopped_on = {}, set(), None


def dunning_id(invoice: UUID) -> UUID:
    """The stream of an invoice's chase."""
    return make_id(Kind.DUNNING, bucket_of(invoice), None, invoice)
