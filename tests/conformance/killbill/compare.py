"""What Kill Bill's cases expect, beside what the ledger says: rows of invoices, single values, that nothing is left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.conformance.items import compare
from tests.conformance.killbill import paid
from tests.conformance.killbill.desk import Desk
from tests.conformance.killbill.ledger import Invoice, Ledger
from tests.conformance.killbill.rows import items, theirs
from tests.conformance.killbill.values import VALUES, Asked, Silent
from tests.conformance.verdict import Differs, Forgiven, expect

CREDIT = {"cba_adj", "credit_adj"}

Said = dict[str, Any]


class Expectations:
    """Compares; what ours has no word for is counted as not compared."""

    def __init__(self, ledger: Ledger, desk: Desk, forgiven: Forgiven) -> None:
        self.ledger, self.desk, self.forgiven = ledger, desk, forgiven
        self.named: dict[str, Invoice | None] = {}
        self.compared = 0

    def check(self, said: Said) -> None:
        """Raises: Differs when an expectation is not met."""
        if self.desk.tills and paid.check(self.desk, said):
            self.compared += 1
        elif isinstance(said.get("items"), list):
            self._of_any_account(said, self._rows)
        elif "value" in said:
            self._of_any_account(said, self._value)
        elif "charged_through" in said and self.desk.pays and self._has_no_end(said["charged_through"]):
            self.forgiven["not compared"] += 1
        elif "charged_through" in said:
            name = f"{said['charged_through']['subscription'].split('.')[0]}.charged_through_date"
            self._of_any_account({"value": {"of": name, "equals": said["charged_through"]["date"]}}, self._value)
        elif "no_more_invoice_to_generate" in said:
            self._nothing_more()
        else:
            self.forgiven["not compared"] += 1

    def _has_no_end(self, said: Said) -> bool:
        """Whether theirs gives what is paid once no end, though its phase has one: then it is charged to its start."""
        of = self.desk.subscription(said["subscription"])
        return said["date"] == of.start.isoformat() and all(line.occurrence for _, _, line in of.lines)

    def _of_any_account(self, said: Said, check: Callable[[Said, Asked], Forgiven]) -> None:
        """Of the account that is named; a case that does not say whose, means one of them."""
        accounts = self.desk.accounts
        asked = [accounts[said["account"]]] if said.get("account") else list(accounts.values())
        for account in asked:
            try:
                used = check(said, Asked(self.ledger, self.desk, account, self.named))
            except Differs:
                if account is asked[-1]:
                    raise
                continue
            self.forgiven.update(used)
            self.forgiven["unnamed account"] += len(asked) > 1
            self.compared += not used["not compared"]
            return

    def _rows(self, said: Said, asked: Asked) -> Forgiven:
        wanted = [row for row in said["items"] if row["type"] not in CREDIT]
        used: Forgiven = Counter({"credit row": len(said["items"]) - len(wanted)})
        rows = asked.invoice(said["invoice"]).rows
        try:
            compare(items(rows), [theirs(row, asked.account.currency) for row in wanted], used)
        except Differs as error:
            raise Differs(f"{said['invoice']}: {error}") from error
        return used

    def _value(self, said: Said, asked: Asked) -> Forgiven:
        of, equals = said["value"]["of"], said["value"]["equals"]
        for pattern, (read, theirs_as_ours) in VALUES.items():
            found = re.fullmatch(pattern, of)
            if found and not _computed(equals):
                try:
                    expect(of, read(asked, **found.groupdict()), theirs_as_ours(equals, asked.account))
                except Silent:
                    break
                return Counter()
        return Counter({"not compared": 1})

    def _nothing_more(self) -> None:
        self.compared += 1
        for account in self.desk.accounts.values():
            if account.invoicing and self.ledger.draft(account, account.local(self.desk.at)):
                raise Differs("ours has more to bill")


def _computed(value: Any) -> bool:
    """Whether an expected value is not said, but how it is come by."""
    return isinstance(value, str) and "(" in value
