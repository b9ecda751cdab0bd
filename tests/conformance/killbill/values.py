"""Single values that Kill Bill's cases ask for, as the ledger and the domain's terms tell them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

from domain.terms import Terms
from tests.conformance.items import Item
from tests.conformance.killbill.desk import Desk
from tests.conformance.killbill.history import Account, Segment, Subscription, in_force
from tests.conformance.killbill.ledger import Invoice, Ledger
from tests.conformance.killbill.rows import items
from tests.conformance.verdict import Differs
from tests.conformance.words import cents, day


class Silent(Exception):
    """Ours does not say: days have no hours, invoices no order of lines."""


class Asked(NamedTuple):
    """What a value is asked of."""

    ledger: Ledger
    desk: Desk
    account: Account
    named: dict[str, Invoice | None]

    def invoice(self, name: str) -> Invoice:
        """An invoice by its number in the account, or the one just triggered or previewed.

        Raises: Differs when ours has none.
        """
        invoice = self.named.get(name)
        if name not in self.named:
            number = int(name.split("[")[1].rstrip("]"))
            own = self.invoices()
            invoice = own[number - 1] if number <= len(own) else None
        if invoice is None:
            raise Differs(f"ours has no {name}")
        return invoice

    def invoices(self) -> list[Invoice]:
        return [one for one in self.ledger.invoices if one.account is self.account]

    def only(self, invoice: str) -> Item:
        """The row of an invoice that has one.

        Raises: Silent when it has more, because rows have no order.
        """
        rows = list(items(self.invoice(invoice).rows))
        if len(rows) != 1:
            raise Silent
        return rows[0]

    def today(self, subscription: str) -> tuple[Subscription, date]:
        of = self.desk.subscription(subscription)
        return of, self.desk.today(of)


def _invoice_count(asked: Asked) -> int:
    return len(asked.invoices())


def _rows(asked: Asked, invoice: str) -> int:
    return len(list(items(asked.invoice(invoice).rows)))


def _total(asked: Asked, invoice: str) -> int:
    return sum(row.line.amount for row in asked.invoice(invoice).rows)


def _charged_through(asked: Asked, subscription: str) -> date | None:
    return asked.ledger.charged_through(asked.desk.subscription(subscription))


def _state(asked: Asked, subscription: str) -> str:
    """Whether there is service on the day, as the terms say; what is over, however it ended, has ended."""
    of, today = asked.today(subscription)
    if today < of.start:
        return "PENDING"
    if today == of.start and "T" in of.begins and asked.desk.at < of.begins:
        raise Silent
    if _holding(asked, of, today):
        return "ACTIVE"
    end = of.ends()
    return "ended" if end and end <= today else "BLOCKED"


def _holding(asked: Asked, of: Subscription, today: date) -> list[Terms]:
    return [one for one in asked.ledger.licenses.terms(of) if one.start <= today.toordinal() < one.end]


def _segment(asked: Asked, subscription: str) -> Segment:
    """The phase that the terms are of, on the day or at the end."""
    of, today = asked.today(subscription)
    begun = [one for one in asked.ledger.licenses.terms(of) if one.start <= today.toordinal()]
    package = max(begun, key=lambda one: one.start).package.package
    return next(one for one in asked.ledger.licenses.segments(of) if one.plan.package(one.phase) == package)


def _phase(asked: Asked, subscription: str) -> str:
    segment = _segment(asked, subscription)
    return segment.plan.phases[segment.phase].kind


def _cycle_day(asked: Asked) -> int:
    return int(in_force(asked.account.cycle_days, asked.account.local(asked.desk.at)) or 0)


def _target(asked: Asked) -> date:
    return asked.invoice("dry_run").target


def _day(written: Any, account: Account) -> date | None:
    return day(written) if written else None


def _money(written: Any, account: Account) -> int:
    return cents(written, account.currency)


def _word(written: Any, account: Account) -> Any:
    return {"CANCELLED": "ended", "EXPIRED": "ended"}.get(written, written)


def _kind(written: Any, account: Account) -> str:
    return str(written).lower()


INVOICE, SUBSCRIPTION = r"(?P<invoice>invoice\[\d+\]|dry_run|triggered_invoice)", r"(?P<subscription>sub\d+)"
VALUES: dict[str, tuple[Callable[..., Any], Callable[[Any, Account], Any]]] = {
    r"invoice_count": (_invoice_count, _word),
    rf"{INVOICE}\.(items\.count|number_of_items)": (_rows, _word),
    rf"{INVOICE}\.charged_amount": (_total, _money),
    rf"{INVOICE}\.items\[0\]\.start_date": (lambda asked, invoice: asked.only(invoice).start, _day),
    rf"{INVOICE}\.items\[0\]\.end_date": (lambda asked, invoice: asked.only(invoice).end, _day),
    rf"{INVOICE}\.items\[0\]\.amount": (lambda asked, invoice: asked.only(invoice).amount, _money),
    rf"{INVOICE}\.items\[0\]\.invoice_item_type": (lambda asked, invoice: asked.only(invoice).kind, _kind),
    rf"{SUBSCRIPTION}\.charged_through_date": (_charged_through, _day),
    rf"{SUBSCRIPTION}\.state": (_state, _word),
    rf"{SUBSCRIPTION}\.last_active_phase\.phase_type": (_phase, _word),
    rf"{SUBSCRIPTION}\.last_active_plan\.name": (
        lambda asked, subscription: _segment(asked, subscription).plan.name,
        _word,
    ),
    rf"{SUBSCRIPTION}\.last_active_product\.name": (
        lambda asked, subscription: _segment(asked, subscription).plan.product,
        _word,
    ),
    r"account\.bill_cycle_day_local": (_cycle_day, _word),
    r"dry_run\.target_date": (_target, _day),
}
