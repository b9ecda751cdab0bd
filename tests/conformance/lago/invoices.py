"""Our documents as the peer shows them: what a document charges is an invoice, what it gives back are credit notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from domain.events.documents import Line
from tests.conformance.lago.counts import Event, counted
from tests.conformance.lago.licenses import Account, Document, Stage, stage_of
from tests.conformance.lago.records import kind_of
from tests.conformance.lago.slices import charge_of
from tests.conformance.lago.world import World
from tests.conformance.verdict import NotExpressible
from tests.conformance.words import number


class ZeroRow(NotExpressible):
    """Asked of a row of zero, which we do not write."""


class Partial(int):
    """The amount of a part of a period, where a tie of rounding may fall the other way."""


class Local:
    """A day where the customer is; two moments of one day are the same to us.

    Shapes: `day` None where nothing is billed: the peer leaves it out or writes the moment of the start.
    """

    def __init__(self, day: date | None, account: Account, start: date) -> None:
        self.day, self.account, self.start = day, account, start


class Fee:
    """What the lines of one component come to on a document, for one of its periods."""

    def __init__(self, stage: Stage, lines: Sequence[Line], place: int) -> None:
        self.stage, self.lines, self.number = stage, lines, place
        self.component = lines[0].component.partition("/")[2]

    @property
    def kind(self) -> str:
        kind = kind_of(self.component)
        names = {"fee": "subscription", "fixed_charge": "fixed_charge", "commitment": "commitment"}
        return names.get(kind, "charge")

    @property
    def is_nothing(self) -> bool:
        """Whether the peer writes no row: usage of nothing, or nothing to top up."""
        if self.kind == "charge":
            return not self.amount_cents and not self.units and not self._events()
        return self.kind == "commitment" and not self.amount_cents

    def _events(self) -> list[Event]:
        """What was seen for it in its days."""
        days, row = self.lines[-1], next(row for row in self.stage.sold.charges() if row["ref"] == self.component)
        seen = counted(row, self.stage.sold.records.metric(row), self.stage.license.observed)
        return [event for event in seen if days.start.toordinal() <= event.day < days.end.toordinal()]

    @property
    def charge(self) -> str:
        return charge_of(self.component)

    fixed_charge = charge

    @property
    def fixed_charge_id(self) -> str:
        return f"{self.component}.id"

    pay_in_advance = False

    @property
    def is_charged(self) -> bool:
        """Whether it is more than what is given back."""
        return any(line.kind == "charge" for line in self.lines)

    @property
    def events_count(self) -> int:
        return len(self._events())

    @property
    def properties(self) -> dict[str, Any]:
        """The days that it is for, under the name of its kind."""
        line, account = self.lines[-1], self.stage.license.account
        last = date.fromordinal(line.end.toordinal() - 1)
        said: dict[str, Any] = {}
        for kind in ("charge", "fixed_charge"):
            own = kind == self.kind
            said[f"{kind}s_from_datetime"] = Local(line.start, account, self.stage.start) if own else None
            said[f"{kind}s_to_datetime"] = Local(last, account, self.stage.start) if own else None
            said[f"{kind}s_duration"] = (line.base_end - line.base_start).days if own else None
        return said

    @property
    def amount_cents(self) -> int:
        amount = sum(line.amount for line in self.lines)
        whole = all((line.start, line.end) == (line.base_start, line.base_end) for line in self.lines)
        return amount if whole else Partial(amount)

    @property
    def taxes_amount_cents(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def taxes_rate(self) -> float:
        return float(self.lines[-1].tax_percent)

    @property
    def units(self) -> Any:
        return sum(number(line.quantity) * (1 if line.kind == "charge" else -1) for line in self.lines)


class AtOnce(Fee):
    """What one event adds to what is billed of a charge: perhaps nothing, though there is more of it than before."""

    pay_in_advance, events_count, is_charged, is_nothing = True, 1, True, False  # type: ignore[assignment]

    def __init__(self, stage: Stage, lines: Sequence[Line], place: int, added: tuple[str, int]) -> None:
        self.stage, self.lines, self.number = stage, lines, place
        self.component, self.change = added

    @property
    def units(self) -> Any:
        return super().units or max(self.change, 0)


@dataclass
class CreditNote:
    """What a document gives back of a stage."""

    stage: Stage
    lines: Sequence[Line]
    number: int

    @property
    def sub_total_excluding_taxes_amount_cents(self) -> int:
        return -sum(line.amount for line in self.lines)

    @property
    def taxes_amount_cents(self) -> int:
        return -sum(line.tax for line in self.lines)

    @property
    def total_amount_cents(self) -> int:
        return self.sub_total_excluding_taxes_amount_cents + self.taxes_amount_cents

    credit_amount_cents = total_amount_cents


@dataclass
class Invoice:
    """A document: what it charges is the invoice, what it gives back is a credit note that later charges use up."""

    world: World
    document: Document
    number: int
    credit: int

    @cached_property
    def _groups(self) -> list[Fee]:
        if self.document.added:
            of = self.document.stages[-1]
            return [AtOnce(of, self.document.draft.lines, self.number * 1000, self.document.added)]
        groups: dict[Any, list[Line]] = {}
        for line in self.document.draft.lines:
            groups.setdefault((line.license, line.component, line.base_start), []).append(line)
        licenses = {sub.id: sub for sub in self.document.account.subs}
        return [
            Fee(stage_of(licenses[lines[0].license], lines[0]), lines, self.number * 1000 + place)
            for place, lines in enumerate(groups.values())
        ]

    @property
    def fees(self) -> list[Fee]:
        if not self.document.draft.lines and not self.document.added:
            raise ZeroRow("a document of nothing has a row of nothing for theirs")
        return self._charged

    @cached_property
    def _charged(self) -> list[Fee]:
        own = [fee for fee in self._groups if fee.is_charged]
        return [fee for fee in own if not fee.is_nothing]

    @property
    def gives_back(self) -> list[CreditNote]:
        taken = [fee for fee in self._groups if fee.lines and all(line.kind == "reversal" for line in fee.lines)]
        return [CreditNote(fee.stage, fee.lines, fee.number) for fee in taken if fee.amount_cents]

    def lines(self, stage: Stage, kind: str) -> list[Line]:
        """What it charges a stage for, of one kind."""
        own = [fee for fee in self._groups if fee.stage is stage and fee.kind == kind]
        return [line for fee in own for line in fee.lines if line.kind == "charge"]

    @property
    def credit_notes(self) -> list[CreditNote]:
        """What later documents gave back of this one."""
        mine = {ref for stage in self.document.stages for ref, _, line in stage.license.lines}
        own = {ref for ref in mine if ref[0] == self.document.id}
        later = (note for one in invoices_of(self.world, self.document.account) for note in one.gives_back)
        return [note for note in later if note.lines[0].link in own]

    @property
    def fees_amount_cents(self) -> int:
        return sum(fee.amount_cents for fee in self._charged)

    @property
    def taxes_amount_cents(self) -> int:
        return sum(fee.taxes_amount_cents for fee in self._charged)

    @property
    def credit_notes_amount_cents(self) -> int:
        return min(self.credit, self.fees_amount_cents + self.taxes_amount_cents)

    @property
    def total_amount_cents(self) -> int:
        return self.fees_amount_cents + self.taxes_amount_cents - self.credit_notes_amount_cents

    @property
    def issuing_date(self) -> Local:
        return Local(self.document.on, self.document.account, self.document.on)

    @property
    def finalized(self) -> bool:
        if self.world.records[self.document.account.ref].get("invoice_grace_period"):
            raise NotExpressible("documents that are drafts for some days")
        return True

    @property
    def status(self) -> str:
        return "finalized" if self.finalized else "draft"

    @property
    def invoice_type(self) -> str:
        return "subscription"

    @property
    def invoice_subscriptions(self) -> list[Billed]:
        return [Billed(self, stage, n) for n, stage in enumerate(self.document.stages)]


def invoices_of(world: World, account: Account) -> list[Invoice]:
    """The documents of an account that the peer calls invoices."""
    return [one for one in issued_to(world, account) if one.document.shown]


def issued_to(world: World, account: Account) -> list[Invoice]:
    """An account's documents as invoices, each with the credit that it may use up."""
    shown, credit = [], 0
    for place, document in enumerate(account.documents):
        invoice = Invoice(world, document, place, 0)
        credit += sum(note.total_amount_cents for note in invoice.gives_back)
        invoice.credit = credit
        credit -= invoice.credit_notes_amount_cents
        shown.append(invoice)
    return shown


@dataclass
class Billed:
    """The days that an invoice bills of a subscription."""

    invoice: Invoice
    stage: Stage
    number: int

    def _local(self, kind: str, place: int) -> Local:
        """The first or last day of the latest period of a kind: of charges the past one, of a fee that billed last."""
        on, lines = self.invoice.document.on, self.invoice.lines(self.stage, kind)
        if kind != "subscription":
            lines = [line for line in lines if line.start <= on and line.end.toordinal() <= on.toordinal() + 1]
        if not lines and kind == "subscription" and self.stage.sold.in_advance:
            earlier = invoices_of(self.invoice.world, self.invoice.document.account)[: self.invoice.number]
            lines = [line for one in earlier for line in one.lines(self.stage, kind)]
        days = max(((line.start, date.fromordinal(line.end.toordinal() - 1)) for line in lines), default=(None, None))
        return Local(days[place], self.invoice.document.account, self.stage.start)

    @property
    def from_datetime(self) -> Local:
        return self._local("subscription", 0)

    @property
    def to_datetime(self) -> Local:
        return self._local("subscription", 1)

    @property
    def charges_from_datetime(self) -> Local:
        return self._local("charge", 0)

    @property
    def charges_to_datetime(self) -> Local:
        return self._local("charge", 1)

    @property
    def fixed_charges_from_datetime(self) -> Local:
        return self._local("fixed_charge", 0)

    @property
    def fixed_charges_to_datetime(self) -> Local:
        return self._local("fixed_charge", 1)
