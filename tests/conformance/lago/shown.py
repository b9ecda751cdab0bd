"""Our accounts and licenses as the peer shows them: customers, subscriptions, units ordered, things observed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from domain.events.counted_users import ReadingsRecorded
from tests.conformance.lago.invoices import Billed, CreditNote, Fee, Invoice, Local, invoices_of, issued_to
from tests.conformance.lago.licenses import Account, Stage, Sub
from tests.conformance.lago.orders import units_in
from tests.conformance.lago.preview import usage_so_far
from tests.conformance.lago.records import Row
from tests.conformance.lago.world import World


@dataclass
class Customer:
    """An account."""

    world: World
    account: Account

    @property
    def external_id(self) -> str:
        return f"{self.account.ref}.external_id"

    @property
    def subscriptions(self) -> list[Subscription]:
        return [Subscription(self.world, stage, n) for n, stage in enumerate(self.account.stages())]

    @property
    def invoices(self) -> list[Invoice]:
        return invoices_of(self.world, self.account)

    @property
    def credit_notes(self) -> list[CreditNote]:
        return [note for invoice in self.invoices for note in invoice.gives_back]


@dataclass
class Subscription:
    """A license while it is on one plan."""

    world: World
    stage: Stage
    number: int

    @property
    def ref(self) -> tuple[Any, ...]:
        return (self.stage.license.id, self.stage.created, self.stage.start)

    @property
    def external_id(self) -> str:
        return self.stage.license.external_id

    @property
    def pending(self) -> bool:
        return not self.stage.begun

    @property
    def terminated(self) -> bool:
        return self.stage.begun and self.stage.end is not None and (self.stage.closed and self._over())

    def _over(self) -> bool:
        last = self.stage.license.stages[-1]
        return last is self.stage or last.begun

    @property
    def active(self) -> bool:
        return self.stage.begun and not self.terminated

    @property
    def started_at(self) -> Local:
        return Local(self.stage.start, self.stage.license.account, self.stage.start)

    @property
    def subscription_at(self) -> Local:
        return Local(self.stage.license.anchor, self.stage.license.account, self.stage.start)

    @property
    def next_subscription(self) -> Subscription | None:
        mine = self.stage.license.stages
        place = mine.index(self.stage) + 1
        return Subscription(self.world, mine[place], self.number + 1) if place < len(mine) else None

    @property
    def invoices(self) -> list[Invoice]:
        own = invoices_of(self.world, self.stage.license.account)
        return [one for one in own if self.stage in one.document.stages]

    @property
    def invoice_subscriptions(self) -> list[Billed]:
        return [Billed(invoice, self.stage, invoice.number) for invoice in self.invoices]

    @property
    def fees(self) -> list[Fee]:
        own = [one for one in issued_to(self.world, self.stage.license.account) if self.stage in one.document.stages]
        return [fee for invoice in own for fee in invoice.fees if fee.stage is self.stage]

    @property
    def lifetime_usage(self) -> dict[str, int]:
        """What was ever used under this name: on invoices, and in the period that runs."""
        name, account = self.external_id, self.stage.license.account
        fees = [fee for one in issued_to(self.world, account) if one.document.draft.lines for fee in one.fees]
        charged = [fee for fee in fees if fee.kind == "charge" and fee.stage.license.external_id == name]
        invoiced = sum(fee.amount_cents for fee in charged)
        current = usage_so_far(self.world, self.stage)["amount_cents"] if self.active else 0
        return {
            "invoiced_usage_amount_cents": invoiced, "current_usage_amount_cents": current,
            "total_amount_cents": invoiced + current,
        }  # fmt: skip

    @property
    def fixed_charges(self) -> list[FixedCharge]:
        orders = {name: units for name, _, units in self.stage.license.ordered}
        return [FixedCharge({**row, "units": orders.get(row["ref"], 0)}) for row in self.stage.sold.fixed()]

    @property
    def plan(self) -> dict[str, Any]:
        return {"fixed_charges": self.fixed_charges}


@dataclass
class FixedCharge:
    """Units that are ordered with a plan."""

    row: Row

    def __getattr__(self, name: str) -> Any:
        if name in ("ref", "parent", "add_on"):
            return self.row.get(name)
        if name in ("id", "parent_id"):
            return f"{self.row.get('ref' if name == 'id' else 'parent')}.id"
        raise AttributeError(name)

    @property
    def units(self) -> int:
        return units_in(self.row)


@dataclass
class Ordered:
    """The fact that units were ordered."""

    license: Sub
    order: tuple[str, date, int]
    number: int

    @property
    def subscription(self) -> tuple[Any, ...]:
        stage = self.license.on(self.order[1])
        return (self.license.id, stage.created, stage.start)

    @property
    def fixed_charge(self) -> str:
        return self.order[0]

    @property
    def units(self) -> int:
        return self.order[2]


@dataclass
class Observed:
    """The fact that something was seen."""

    license: Sub
    fact: ReadingsRecorded
    number: int

    @property
    def code(self) -> str:
        return f"{self.fact.counter}.code"

    @property
    def external_subscription_id(self) -> str:
        return self.license.external_id


def observed(world: World) -> list[Observed]:
    """All that was seen, as it was recorded."""
    facts = [
        (sub, recorded.body)
        for sub in world.subs()
        for counter in sub.reported.values()
        for recorded in counter.pending_events
    ]
    return [Observed(sub, fact, n) for n, (sub, fact) in enumerate(facts) if isinstance(fact, ReadingsRecorded)]
