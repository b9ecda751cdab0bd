"""Plays Kill Bill's dated actions: the clock goes on, what falls due is issued, an action becomes facts, and so on."""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from typing import Any

from domain.period import day as date_of
from tests.conformance.killbill.actions import changes_something, do, would
from tests.conformance.killbill.catalog import Catalog, Refused
from tests.conformance.killbill.compare import Expectations
from tests.conformance.killbill.desk import Desk
from tests.conformance.killbill.history import Account
from tests.conformance.killbill.ledger import Invoice, Ledger
from tests.conformance.killbill.license import Settings
from tests.conformance.verdict import Case, Differs, Forgiven, NotExpressible

WAITS = ("record_usage", "remove_usage")
"""What is not billed by itself: units that are told late are on the next invoice."""
HORIZON = 400
"""How many days ahead the next invoice is looked for."""


def play(case: Case, forgiven: Forgiven) -> None:
    """One case: its steps in order, with everything due issued before and after each."""
    World(case, forgiven).play()


class World:
    """The peer's world on one day after the other."""

    def __init__(self, case: Case, forgiven: Forgiven) -> None:
        config = case.get("config") or {}
        fixed = config.get("org.killbill.invoice.proration.fixed.days", "0")
        aligned = config.get("org.killbill.subscription.align.effectiveDateForExistingSubscriptions") == "true"
        settings = Settings(month_days=int(fixed), aligned=aligned)
        self.case, self.forgiven = case, forgiven
        self.ledger = Ledger(Catalog(case), settings)
        self.desk = Desk(self.ledger, case)
        self.reached: dict[str, date] = {}
        self.preview: Invoice | None = None
        self.triggered: Invoice | None = None

    def play(self) -> None:
        """Raises: Differs at the first expectation that is not met, NotExpressible when there was none to compare."""
        expectations = Expectations(self.ledger, self.desk, self.forgiven)
        for step in self.case["steps"]:
            self.desk.at = step["at"]
            self._advance(step["at"])
            if "expect" in step:
                expectations.named = {"dry_run": self.preview, "triggered_invoice": self.triggered}
                expectations.check(step["expect"])
            else:
                self._do(step)
                if step["do"] not in WAITS:
                    self._run_all(step["at"])
        if not expectations.compared:
            raise NotExpressible("nothing to compare")

    def _advance(self, at: str) -> None:
        """Lets the days go by, with a run on each that finds something."""
        for account in self.desk.accounts.values():
            today = account.local(at)
            after = self.reached.get(account.name, today)
            while self._bills(account, today) and (on := self.ledger.next_due(account, after, today)):
                self._pay(account, after, date_of(on.toordinal() - 1))
                if not self._bills(account, today):
                    after = date_of(on.toordinal() - 1)
                    continue
                self.ledger.run(account, on, on)
                self._pay(account, date_of(on.toordinal() - 1), on)
                after = on
            self._pay(account, after, today)
            self.reached[account.name] = today

    def _bills(self, account: Account, today: date) -> bool:
        paid = account.name not in self.desk.tills or self.desk.tills[account.name].bills
        return account.invoicing and paid and not self.ledger.parked(account, today)

    def _pay(self, account: Account, after: date, until: date) -> None:
        """What is paid and chased on the days behind one, where the case tells of payments."""
        till = self.desk.tills.get(account.name)
        for day in range(after.toordinal() + 1, until.toordinal() + 1) if till else ():
            till.day(date_of(day))

    def _run_all(self, at: str) -> None:
        for account in self.desk.accounts.values():
            today, till = account.local(at), self.desk.tills.get(account.name)
            if till:
                till.day(today)
            if self._bills(account, today):
                self.ledger.run(account, today, today)
            if till:
                till.day(today)

    def _do(self, step: dict[str, Any]) -> None:
        """Raises: Differs when what the peer refuses is done, or what it does is refused."""
        name = step["do"]
        if not changes_something(self.desk, step):
            self.forgiven["not compared"] += bool(step.get("expect_error"))
            return
        asked = {"dry_run_invoice": self._dry_run, "trigger_invoice": self._trigger}.get(name)
        try:
            if asked:
                asked(step)
            else:
                do(self.desk, step)
        except Refused as error:
            if not (step.get("expect_error") or step.get("error_tolerated")):
                raise Differs(f"{name} is refused: {error}") from error
            self.forgiven["refusal"] += 1
            return
        if step.get("expect_error"):
            raise Differs(f"{name} is refused by theirs")

    def _trigger(self, step: dict[str, Any]) -> None:
        account = self.desk.account(step)
        today = account.local(step["at"])
        self.ledger.release(account)
        self.triggered = self.ledger.run(account, date.fromisoformat(step["target_date"][:10]), today)
        if self.triggered is None and step.get("expect_error"):
            raise Refused("nothing to bill")

    def _dry_run(self, step: dict[str, Any]) -> None:
        """What would be issued, on a copy of everything."""
        args, world = step["args"], deepcopy(self)
        account = world.desk.account(step)
        today = account.local(step["at"])
        if args["type"] == "SUBSCRIPTION_ACTION":
            would(world.desk, args, step)
        target = date.fromisoformat(step["target_date"][:10]) if step.get("target_date") else None
        if args["type"] == "UPCOMING_INVOICE":
            target = world.next_invoice(account, today, args.get("subscription"))
        self.preview = world.ledger.upcoming(account, target, today) if target else None
        if self.preview is None:
            raise Refused("nothing to bill")

    def next_invoice(self, account: Account, today: date, subscription: str | None) -> date | None:
        """The next day with an invoice for the account, or for one of its subscriptions."""
        name, until = (subscription or "").split(".")[0], date_of(today.toordinal() + HORIZON)
        alone = [one for one in self.ledger.subscriptions if one.name == name]
        return self.ledger.first_due(account, today, until, alone)
