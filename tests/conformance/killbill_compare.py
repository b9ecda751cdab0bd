"""What Kill Bill's cases expect, beside what the ledger says: rows of invoices, what is charged through, what holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from domain.events.documents import Line
from domain.period import OPEN_END
from tests.conformance.items import Item, compare
from tests.conformance.killbill_actions import Actions
from tests.conformance.killbill_history import Account, Subscription
from tests.conformance.killbill_ledger import Invoice, Ledger, Row
from tests.conformance.verdict import Differs, Forgiven, expect
from tests.conformance.words import cents

CREDIT = {"cba_adj", "credit_adj"}
ENDED = {"CANCELLED": "ended", "EXPIRED": "ended"}


class Expectations:
    """Compares; what we have no word for is counted as not compared."""

    def __init__(self, ledger: Ledger, actions: Actions, forgiven: Forgiven) -> None:
        self.ledger, self.actions, self.forgiven = ledger, actions, forgiven
        self.compared = 0

    def check(self, said: dict[str, Any], preview: Invoice | None, triggered: Invoice | None) -> None:
        """Raises: Differs when an expectation is not met."""
        self.named = {"dry_run": preview, "triggered_invoice": triggered}
        if isinstance(said.get("items"), list):
            self._any_account(said, lambda account: self._items(said, account))
        elif "value" in said:
            self._any_account(said, lambda account: self._value(**said["value"], account=account))
        elif "charged_through" in said:
            of = said["charged_through"]
            self._value(f"{of['subscription'].split('.')[0]}.charged_through_date", of["date"], None)
        elif "no_more_invoice_to_generate" in said:
            self._nothing_more()
        else:
            self.forgiven["not compared"] += 1

    def _any_account(self, said: dict[str, Any], check: Any) -> None:
        """The account that is named; a case that does not say whose invoice it means, means one of them."""
        accounts = self.actions.accounts
        candidates = [accounts[said["account"]]] if said.get("account") else list(accounts.values())
        for account in candidates:
            try:
                check(account)
            except Differs:
                if account is candidates[-1]:
                    raise
                continue
            self.forgiven["unnamed account"] += len(candidates) > 1
            return

    def _invoice(self, name: str, account: Account | None) -> Invoice:
        if name in self.named:
            invoice = self.named[name]
        else:
            number = int(name.split("[")[1].rstrip("]"))
            own = [one for one in self.ledger.invoices if one.account is account]
            invoice = own[number - 1] if number <= len(own) else None
        if invoice is None:
            raise Differs(f"ours has no {name}")
        return invoice

    def _items(self, said: dict[str, Any], account: Account) -> None:
        self.compared += 1
        invoice = self._invoice(said["invoice"], account)
        rows = [row for row in said["items"] if row["type"] not in CREDIT]
        used: Forgiven = type(self.forgiven)({"credit row": len(said["items"]) - len(rows)})
        try:
            compare(items(invoice.rows), [_theirs(row, account.currency) for row in rows], used)
        except Differs as error:
            raise Differs(f"{said['invoice']}: {error}") from error
        self.forgiven.update(used)

    def _nothing_more(self) -> None:
        self.compared += 1
        for account in self.actions.accounts.values():
            if account.invoicing and self.ledger.draft(account, account.local(self.actions.at)):
                raise Differs("ours has more to bill")

    def _value(self, of: str, equals: Any, account: Account | None) -> None:
        for pattern, read in VALUES.items():
            found = re.fullmatch(pattern, of)
            if found and (name := found.groupdict()) is not None and _is_plain(equals):
                self.compared += 1
                expect(of, read(self, account, **name), ENDED.get(equals, equals))
                return
        self.forgiven["not compared"] += 1

    # What is asked for.

    def _own(self, account: Account) -> list[Invoice]:
        return [one for one in self.ledger.invoices if one.account is account]

    def invoice_count(self, account: Account) -> int:
        return len(self._own(account))

    def count_of_items(self, account: Account, invoice: str) -> int:
        return len(list(items(self._invoice(invoice, account).rows)))

    def charged_through(self, account: Account, subscription: str) -> str | None:
        through = self.ledger.charged_through(self.actions.subscription(subscription))
        return through.isoformat() if through else None

    def state(self, account: Account, subscription: str) -> str:
        """Whether there is service on the day, as the terms say."""
        of = self.actions.subscription(subscription)
        today = self.actions.today(of)
        terms, ordinal = self.ledger.terms(of), today.toordinal()
        if today < of.start:
            return "PENDING"
        if any(one.start <= ordinal < one.end for one in terms):
            return "ACTIVE"
        return "ended" if (end := of.ends()) and end <= today else "BLOCKED"


def _is_plain(value: Any) -> bool:
    """Whether what is expected is said, not computed."""
    return not (isinstance(value, str) and "(" in value)


VALUES: dict[str, Any] = {
    r"invoice_count": Expectations.invoice_count,
    r"(?P<invoice>.*invoice.*)\.(items\.count|number_of_items)": Expectations.count_of_items,
    r"(?P<subscription>sub\d+)\.charged_through_date": Expectations.charged_through,
    r"(?P<subscription>sub\d+)\.state": Expectations.state,
}


def items(rows: Iterable[Row]) -> Iterator[Item]:
    """Our lines in the peer's words; the pieces of one period at one price are one row, as the peer writes them."""
    for group in _grouped(rows):
        line, last = group[0].line, group[-1]
        whole = (line.base_start, line.base_end)
        yield Item(
            _kind(line), line.start, last.line.start if line.kind == "adjustment" else last.end,
            sum(row.line.amount for row in group), part=(line.start, last.line.end) != whole,
        )  # fmt: skip


def _grouped(rows: Iterable[Row]) -> list[list[Row]]:
    groups: list[list[Row]] = []
    for row in sorted(rows, key=lambda one: (str(one.line.license), one.line.component, one.line.kind, one.line.start)):
        if groups and _goes_on(groups[-1][-1], row):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _goes_on(before: Row, row: Row) -> bool:
    one, other = before.line, row.line
    return _of(one) == _of(other) and (one.end == other.start and not one.occurrence and one.kind != "adjustment")


def _of(line: Line) -> tuple[object, ...]:
    return line.license, line.component, line.kind, line.key, line.base_start


def _kind(line: Line) -> str:
    if line.kind != "charge":
        return {"reversal": "repair_adj", "adjustment": "item_adj"}[line.kind]
    name = line.component.rsplit("/", maxsplit=1)[1]
    return name if name in ("recurring", "fixed", "external_charge") else "usage"


def _theirs(row: dict[str, Any], currency: str) -> Item:
    start, end = (date.fromisoformat(row[name][:10]) if row.get(name) else None for name in ("start", "end"))
    return Item(row["type"], start, end, cents(row["amount"], currency))
