"""Void invoices of Kill Bill: a credit note of the whole, which the domain writes when nothing of it is owed.

Ours never changes an issued invoice. Theirs bills the same days again only with its next invoice: until then the credit
note is money of the account, and its days wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from domain.coverage import Coverage
from domain.difference import difference
from domain.document import Bill, draft
from domain.events.documents import Line, Ref
from domain.history import History
from domain.standing import Standing
from domain.terms import Stream, billed_to
from tests.conformance.killbill.catalog import Refused
from tests.conformance.killbill.ledger import Invoice, Ledger
from tests.conformance.verdict import NotExpressible

Issued = tuple[Ref, Stream, Line]


def void(ledger: Ledger, invoice: Invoice) -> None:
    """Takes back all that an invoice charges.

    Raises: Refused when something of it was taken back before, so that it is no longer whole; NotExpressible when not
    only charges that can be taken back are on it.
    """
    waiting = ledger.waiting.setdefault(invoice.account.name, [])
    for row in invoice.rows:
        known = [*row.subscription.lines, *(line for of, line in waiting if of is row.subscription)]
        issued = next(one for one in known if one[2] is row.line)
        if row.line.kind != "charge":
            raise NotExpressible("an invoice is void that takes something back itself")
        if Coverage(known).charges[issued[0]].left != row.line.amount:
            raise Refused("something of it was taken back before")
        waiting += [(row.subscription, one) for one in _taken_back(issued, known)]


def _taken_back(issued: Issued, known: list[Issued]) -> Iterator[Issued]:
    """The credit note of a line, as the difference between what is billed and that nothing of it is owed."""
    (document, number), stream, line = issued
    found = difference([], Coverage(known), line.end.toordinal()).lines
    taken = tuple(one for one in found if one.link and one.link.ref == issued[0])
    lines = draft([Bill(_standing(stream), taken)], Decimal(0)).lines
    if sum(one.amount for one in lines) != -line.amount:
        raise NotExpressible("an invoice is void with a charge that is not taken back")
    for place, one in enumerate(lines, 1):
        yield (document, -number * len(lines) - place), stream, one


def _standing(stream: Stream) -> Standing:
    """Whose the line is; all else that a document says of it is on the line."""
    return Standing(History(stream.license, stream.payer, b""), billed_to((), stream.payer), {}, ())
