"""What is issued for Kill Bill's subscriptions, and what stands: the path of a run, from facts to an invoice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID, uuid5

import msgspec

from domain.billing import Found, documents, found
from domain.charge import Rating
from domain.coverage import Coverage
from domain.difference import NewLine
from domain.document import Draft
from domain.events.documents import Line, Ref
from domain.history import Located
from domain.period import OPEN_END
from domain.period import day as date_of
from domain.terms import Stream
from tests.books import NAMESPACE
from tests.conformance.killbill.catalog import Catalog
from tests.conformance.killbill.history import Account, Subscription
from tests.conformance.killbill.license import Licenses, Settings, opened


class Row(NamedTuple):
    """A line of an invoice, and when the service that it is for ends; None where it has no end."""

    subscription: Subscription
    line: Line
    end: date | None


class Invoice(NamedTuple):
    """What was issued to an account on a day."""

    account: Account
    on: date
    target: date
    rows: list[Row]


class Ledger:
    """All subscriptions and the invoices issued for them, in order.

    Shapes: `waiting` credit notes by account, of subscriptions whose days are billed again with the next invoice.
    """

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self.catalog, self.settings, self.licenses = catalog, settings, Licenses(catalog, settings)
        self.subscriptions: list[Subscription] = []
        self.invoices: list[Invoice] = []
        self.waiting: dict[str, list[tuple[Subscription, tuple[Ref, Stream, Line]]]] = {}

    def of(self, account: Account) -> list[Subscription]:
        """The subscriptions that an account pays."""
        return [one for one in self.subscriptions if one.account is account]

    def due(self, account: Account, target: date, only: Sequence[Subscription] = ()) -> list[Found]:
        """What a run of a day would issue to an account, for all its subscriptions or only for some."""
        return [
            found(self.licenses.standing(one, target), target, self.licenses.package)
            for one in only or self.of(account)
        ]

    def draft(self, account: Account, target: date, only: Sequence[Subscription] = ()) -> Draft | None:
        """The invoice that a run of a day would issue; None when there is nothing to say."""
        due = self.due(account, target, only)
        if not any(self._is_said(one.standing.history.license, line) for one in due for line in one.difference.lines):
            return None
        (issue,) = documents(due, {account.id: [Located((account.id, 1), opened(account))]}, target)
        return issue.draft

    def _is_said(self, license: UUID, line: NewLine) -> bool:
        """Whether a line is a reason for an invoice: usage is where it is not nothing, and not cut by a new catalog."""
        if line.charge is None or line.charge.rating.occurrence in ("", "once"):
            return True
        if not self.settings.zero_usage and line.amount == 0 and not self._tells_units(line.charge.rating):
            return False
        subscription = next(one for one in self.subscriptions if one.id == license)
        cut = {one.start for one in self.licenses.segments(subscription)} - {
            one.start for one in subscription.segments()
        }
        of = (one.grid for one in self.licenses.terms(subscription) if one.stream.component == line.stream.component)
        return date_of(line.end) not in cut or any(grid.period(line.end)[0] == line.end for grid in of)

    def _tells_units(self, rating: Rating) -> bool:
        """Whether a row of usage tells how many units it is for: in detail, and not that of a capacity."""
        return self.settings.in_detail and all(one.measure != "peak" for one in rating.package.countings)

    def parked(self, account: Account, today: date) -> bool:
        """Whether an account waits because units were used, since what is charged, that its plans do not know."""
        return self.settings.parks and any(
            self.licenses.unknown(one, self.charged_through(one) or one.start, today) for one in self.of(account)
        )

    def preview(self, account: Account, target: date, on: date, only: Sequence[Subscription] = ()) -> Invoice | None:
        """The invoice of a run, not issued."""
        drafted = self.draft(account, target, only)
        if drafted is None:
            return None
        return Invoice(account, on, target, [self._row(account, line) for line in drafted.lines])

    def run(self, account: Account, target: date, on: date, only: Sequence[Subscription] = ()) -> Invoice | None:
        """Issues what a run of a day would."""
        if self.draft(account, target, only) is not None:
            self.release(account)
        invoice = self.preview(account, target, on, only)
        if invoice is None:
            return None
        document = uuid5(NAMESPACE, f"document {len(self.invoices)}")
        self.invoices.append(invoice)
        for subscription, line, _ in invoice.rows:
            stream = Stream(line.license, line.component, account.id, account.currency)
            subscription.lines.append(((document, line.number), stream, line))
        return invoice

    def release(self, account: Account) -> None:
        """Lets the days of void invoices be billed again."""
        for subscription, line in self.waiting.pop(account.name, ()):
            subscription.lines.append(line)

    def _row(self, account: Account, line: Line) -> Row:
        subscription = next(one for one in self.of(account) if one.id == line.license)
        if line.occurrence != "once":
            return Row(subscription, line, line.end)
        of = (one for one in self.licenses.terms(subscription) if one.stream.component == line.component)
        ends = next((one.end for one in of if one.start == line.start.toordinal()), line.end.toordinal())
        return Row(subscription, line, None if ends == OPEN_END else date_of(ends))

    def upcoming(self, account: Account, target: date, today: date) -> Invoice | None:
        """The invoice of the last day up to a target on which anything happens, once all before it are issued."""
        last: Invoice | None = None
        after = date_of(today.toordinal() - 1)
        while on := self.first_due(account, after, target):
            last, after = self.run(account, on, today), on
        happens = [on for one in self.of(account) for on in (*(cut.start for cut in one.segments()), one.ends()) if on]
        return last if not any(after < on <= target for on in happens) else None

    def next_due(self, account: Account, after: date, until: date) -> date | None:
        """The first day on which something new falls due: what was used late waits for that day too."""
        return self._first(account, after, until, (), self._owes(account, after, ()))

    def first_due(self, account: Account, after: date, until: date, only: Sequence[Subscription] = ()) -> date | None:
        """The first day on which a run would find something."""
        return self._first(account, after, until, only, set())

    def _first(
        self, account: Account, after: date, until: date, only: Sequence[Subscription], known: set[tuple[object, ...]]
    ) -> date | None:
        """The first day on which a run would find more than is known: whatever is due stays so until it is issued."""
        low, high = after.toordinal() + 1, until.toordinal()
        if low > high or self._owes(account, until, only) == known:
            return None
        while low < high:
            middle = (low + high) // 2
            found_by_then = self._owes(account, date_of(middle), only) != known
            low, high = (low, middle) if found_by_then else (middle + 1, high)
        return date_of(low)

    def _owes(self, account: Account, target: date, only: Sequence[Subscription]) -> set[tuple[object, ...]]:
        """What a run of a day would have a reason to say, as whose it is, for which days and how much."""
        return {
            (line.stream.component, license, line.kind, line.start, line.end, line.amount)
            for one in self.due(account, target, only)
            for license in [one.standing.history.license]
            for line in one.difference.lines
            if self._is_said(license, line)
        }

    def charged_through(self, subscription: Subscription) -> date | None:
        """The day up to which a subscription is charged; what is paid once is for its whole phase."""
        charges = Coverage(subscription.lines).charges
        ends = {id(row.line): row.end for invoice in self.invoices for row in invoice.rows}
        through = [
            ends[id(billed.line)] if billed.line.occurrence == "once" else date_of(billed.spans[-1][1])
            for billed in charges.values()
            if billed.spans
        ]
        return max((one for one in through if one), default=None)

    def adjust(self, invoice: Invoice, row: Row, amount: int | None, on: date) -> None:
        """Takes money off a line, all that is left of it unless said otherwise; its days stay billed."""
        subscription, number = row.subscription, len(invoice.rows) + 1
        ref, stream = next((ref, stream) for ref, stream, line in subscription.lines if line is row.line)
        taken = Coverage(subscription.lines).charges[ref].left if amount is None else amount
        line = msgspec.structs.replace(
            row.line, number=number, kind="adjustment", amount=-taken, start=on, end=on, link=ref
        )
        subscription.lines.append(((ref[0], number), stream, line))
        invoice.rows.append(Row(subscription, line, on))
