"""Where Kill Bill's actions are done: the accounts, the bundles, what time it is, and the ledger that they change."""

from __future__ import annotations

from datetime import date
from typing import Any

from tests.conformance.killbill.history import Account, Subscription
from tests.conformance.killbill.ledger import Ledger
from tests.conformance.killbill.overdue import ladder_of, states_of
from tests.conformance.killbill.till import Plugin, Till
from tests.conformance.verdict import Case, NotExpressible

Step = dict[str, Any]


class Desk:
    """What actions are done to.

    Shapes: `at` is when it is; `acted` the account, `last` the subscription that something was last done to; `tills`
    the money of accounts, of cases that tell of payments.
    """

    def __init__(self, ledger: Ledger, case: Case) -> None:
        self.ledger, self.at, self.acted, self.last = ledger, "", "", ""
        self.plugin, self.tills = Plugin(), dict[str, Till]()
        self.pays = bool(case.get("tells_of_payments"))
        config = case.get("config") or {}
        self.pays_nothing = config.get("org.killbill.payment.allow.emptyInvoice") == "true"
        self.ladder, self.states = ladder_of(case if self.pays else {}), states_of(case)
        self.accounts: dict[str, Account] = {}
        self.bundles: dict[str, list[Subscription]] = {}

    def account(self, step: Step) -> Account:
        """The account that a step names, else the last one that something was done to."""
        self.acted = step.get("account") or self.acted
        return self.accounts[self.acted]

    def subscription(self, name: str) -> Subscription:
        """A subscription by its name, `sub1` or `sub1.id` or `sub1.bundle`."""
        found = next((one for one in self.ledger.subscriptions if one.name == name.split(".")[0]), None)
        if found is None:
            raise NotExpressible(f"no subscription {name}")
        self.acted, self.last = found.account.name, found.name
        return found

    def today(self, subscription: Subscription) -> date:
        return subscription.account.local(self.at)
