"""A license that ends where it is renewed ends with a period: nothing is taken back of what was billed before."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import license as events
from domain.period import day
from domain.renewal import running
from domain.terms import billed_to
from tests.books import ACCOUNT, START, Books
from tests.property.histories import days, facts, packages
from tests.property.test_convergence import END
from tests.property.test_counted_anew import moves
from tests.property.test_oracle import Oracle


def known_by(books: Books, happened, moves, on: date) -> None:
    """What has happened by a day, every pause and every move of the billing day, however late."""
    for whose, body in happened:
        later = isinstance(body, events.LicenseChanged) and body.effective_on > on
        stopped = isinstance(body, (events.LicenseCancelled, events.CancellationWithdrawn))
        if not (later or stopped):
            books.record(whose, body)
    for move in moves:
        books.record("account", move)


@settings(max_examples=250)
@given(packages(), facts(), moves, st.integers(1, 31), days)
def test_who_ends_where_he_would_be_renewed_is_given_nothing_back(packages, happened, moves, billing_day, on):
    books = Books(packages, billing_day)
    known_by(books, happened, moves, on)
    version = packages[Oracle(books, billing_day).change(on).package, 1]
    account = billed_to(books.account_facts, ACCOUNT)
    _, end = running(books.license_facts, account, lambda name, number: packages[name, number], version, on)
    assert on.toordinal() < end
    books.run(day(end - 1))
    books.record("license", events.LicenseCancelled(notice_on=START, end_on=day(end)))
    of = f"{version.package}/{version.components[0].id}"
    assert [line for line in books.run(END) if line.kind == "reversal" and line.component == of] == []
