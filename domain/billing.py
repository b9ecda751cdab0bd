"""One license from its facts to what is to be issued, and many of one payer to a document: what a run and a preview do.

There is no other path: a preview is this without the append, a what-if is this with other facts, an as-of is this with
facts up to an instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec

from domain.account import Account
from domain.charge import Missing
from domain.difference import Difference, NewLine, difference
from domain.document import Bill, Draft, draft
from domain.errors import NotFound
from domain.history import Located
from domain.owed import charges
from domain.standing import Standing
from domain.terms import Packages, Stream, nameless_terms, stream_of


class Found(msgspec.Struct, frozen=True):
    """What is to be issued for one license, and the periods that could not be billed."""

    standing: Standing
    difference: Difference
    missing: Sequence[Missing]


class Issue(msgspec.Struct, frozen=True):
    """One document to be issued."""

    payer: Account
    currency: str
    draft: Draft

    @property
    def is_credit(self) -> bool:
        """A document that gives more back than it charges is a credit note."""
        return self.draft.gross < 0


def found(standing: Standing, target: date, packages: Packages) -> Found:
    """The difference of one license on a day."""
    on, billed = target.toordinal(), standing.coverage()
    terms = nameless_terms(standing.history, standing.account, packages)
    owed, missing = charges(terms, standing.counted, on, billed.horizon())
    lacking = [Missing(stream_of(standing.history, one.stream), one.counter, one.start, one.end) for one in missing]
    return Found(standing, difference(owed, billed, on), lacking)


def by_payer(found: Iterable[Found]) -> Iterable[tuple[UUID, str, list[Bill]]]:
    """The lines of many licenses by who pays them, in which currency: one document each."""
    sorted_out: dict[tuple[int, str], tuple[UUID, str, list[Bill]]] = {}
    for one in found:
        for stream, own in _by_payer(one.difference.lines):
            payer, currency = one.standing.payer(stream), stream.currency
            sorted_out.setdefault((payer.int, currency), (payer, currency, []))[2].append(Bill(one.standing, own))
    return sorted_out.values()


def _by_payer(lines: tuple[NewLine, ...]) -> Iterable[tuple[Stream, tuple[NewLine, ...]]]:
    """The lines of one license by their payer; a stream of each."""
    if len(lines) == 1:
        return [(lines[0].stream, lines)]
    parts: dict[tuple[int, str], list[NewLine]] = {}
    for line in lines:
        parts.setdefault((line.stream.payer.int, line.stream.currency), []).append(line)
    return [(own[0].stream, tuple(own)) for own in parts.values()]


def documents(found: Iterable[Found], accounts: Mapping[UUID, Sequence[Located]], issued_on: date) -> list[Issue]:
    """The documents that say what was found.

    Raises: NotFound when a payer's account is not known.
    """
    result = []
    for payer, currency, bills in by_payer(found):
        facts = accounts.get(payer)
        if not facts:
            raise NotFound(f"payer {payer} is not known")
        account = account_of(facts)
        result.append(Issue(account, currency, draft(bills, account.tax_percent_on(issued_on))))
    return result


def account_of(facts: Sequence[Located]) -> Account:
    """An account from its facts."""
    account = Account(facts[0].ref[0])
    for (_, account.version), body in facts:
        account.when(body)
    return account
