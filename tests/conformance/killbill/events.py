"""Kill Bill's billing events and the invoices made of them: each event is other terms from a day on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any
from uuid import uuid5

from domain.billing import documents, found
from domain.events import Event
from domain.events import account as account_events
from domain.events import license as events
from domain.events.documents import Line, Ref
from domain.history import Located, history_of
from domain.package_version import Component, PackageVersion
from domain.price import Flat, Price
from domain.standing import Standing
from domain.terms import Stream, billed_to
from tests.books import ACCOUNT, NAMESPACE
from tests.conformance.items import Item, compare
from tests.conformance.verdict import Case, Forgiven, NotExpressible, expect
from tests.conformance.words import MODES, cadence, cents, day, decimal

BillingEvent = dict[str, Any]


def play(case: Case, forgiven: Forgiven) -> None:
    """One case: each generation sees the events that it lists, and what earlier ones issued."""
    generator, compared = Generator(case), 0
    for step in case["steps"]:
        asked = step["generate"]
        existing = asked.get("existing_invoices_from_steps") or range(1, len(generator.issued) + 1)
        lines = generator.generate(asked["events"], day(asked["target"]), existing)
        compared += len(step["expect"])
        _compare(lines, step["expect"], case["currency"], forgiven)
    if not compared:
        raise NotExpressible("nothing to compare")


class Generator:
    """What was issued by each step so far, as the lines of each license."""

    def __init__(self, case: Case) -> None:
        self.currency, self.mode = case["currency"], MODES[case["mode"]]
        self.issued: list[list[tuple[Ref, Stream, Line]]] = []
        self.packages: dict[tuple[str, int], PackageVersion] = {}

    def generate(self, listed: Sequence[BillingEvent], target: date, existing: Sequence[int]) -> list[Line]:
        """The lines of one invoice for all the events; nothing when nothing is owed."""
        before = [line for step in existing for line in self.issued[step - 1]]
        due = []
        for name in dict.fromkeys(event["subscription"] for event in listed):
            own = [event for event in listed if event["subscription"] == name]
            due.append(found(self._standing(name, own, before), target, lambda *of: self.packages[of]))
        account = [Located((ACCOUNT, 1), self._opened(listed[0]))]
        drafts = [one.draft for one in documents(due, {ACCOUNT: account}, target)]
        lines = [line for draft in drafts for line in draft.lines]
        document = uuid5(NAMESPACE, f"step {len(self.issued)}")
        self.issued.append([
            ((document, line.number), Stream(line.license, line.component, ACCOUNT, self.currency), line)
            for line in lines
        ])  # fmt: skip
        return lines

    def _standing(self, name: str, own: Sequence[BillingEvent], before: list[tuple[Ref, Stream, Line]]) -> Standing:
        license = uuid5(NAMESPACE, name)
        facts = [Located((license, number), body) for number, body in enumerate(self._facts(name, own), 1)]
        days = [self._opened(own[0]), *(_moved(event) for event in own[1:])]
        account = [Located((ACCOUNT, number), body) for number, body in enumerate(days, 1)]
        lines = [line for line in before if line[1].license == license]
        return Standing(history_of(facts), billed_to(account, ACCOUNT), {}, lines)

    def _facts(self, name: str, own: Sequence[BillingEvent]) -> Iterator[Event]:
        for number, event in enumerate(own, 1):
            package = event["phase_type"]
            self.packages[package, number] = self._package(package, number, event)
            if number == 1:
                yield events.LicenseStarted(
                    reference=name, account=ACCOUNT, package=package, version=number, type="production",
                    start_on=day(event["date"]), currency=self.currency, quantities={},
                )  # fmt: skip
            else:
                yield events.LicenseChanged(
                    change=f"c{number}", effective_on=day(event["date"]), package=package, version=number,
                    type="production", quantities={}, direction="other",
                )  # fmt: skip

    def _package(self, name: str, version: int, event: BillingEvent) -> PackageVersion:
        """What an event says: a recurring price, a fee paid once, both, or none, which ends the billing."""
        fixed, recurring = event["fixed_price"], event["recurring_price"]
        parts, price = list[Component](), dict[str, Price]()
        if recurring is not None:
            price = {self.currency: Flat(decimal(recurring))}
            rhythm = cadence(event["billing_period"])
            parts.append(Component("recurring", "Recurring", price, cadence=rhythm, mode=self.mode))
        if fixed is not None:
            price = {self.currency: Flat(decimal(fixed))}
            parts.append(Component(f"fixed {fixed}", "Fixed", price, charge="one_time", reversible=False))
        return PackageVersion(name, version, name, date(2000, 1, 1), tuple(parts))

    def _opened(self, first: BillingEvent) -> account_events.AccountOpened:
        return account_events.AccountOpened(
            reference="account", party=account_events.Party(name="account"), parent=None, payer=None,
            currency=self.currency, billing_day=first["bill_cycle_day"], zone="UTC",
        )  # fmt: skip


def _moved(event: BillingEvent) -> Event:
    return account_events.BillingDayChanged(billing_day=event["bill_cycle_day"], effective_on=day(event["date"]))


def _compare(lines: list[Line], said: dict[str, Any], currency: str, forgiven: Forgiven) -> None:
    expect("no invoice", not lines, said.get("no_invoice", not lines))
    if "item_count" in said:
        expect("items", len(lines), said["item_count"])
    if "total" in said:
        expect("total", sum(line.amount for line in lines), cents(said["total"], currency))
    ours = sorted((line for line in lines if line.kind == "charge"), key=lambda line: line.start)
    for place, wanted in said.get("items", {}).items():
        line = ours[int(place)]
        start, end = (day(wanted[name]) if name in wanted else None for name in ("start", "end"))
        amount = cents(wanted["amount"], currency) if "amount" in wanted else line.amount
        whole = (line.start, line.end) == (line.base_start, line.base_end)
        mine = Item("recurring", line.start, line.end, line.amount, part=not whole)
        compare([mine], [Item("recurring", start, end, amount)], forgiven)
