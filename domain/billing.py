"""One license from its facts to what is to be issued, and many of one payer to a document: what a run and a preview do.

There is no other path: a preview is this without the append, a what-if is this with other facts, an as-of is this with
facts up to an instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from domain.account import Account
from domain.charge import Charge, Counts, Missing
from domain.counting import DayCounts
from domain.coverage import Coverage
from domain.difference import Difference, NewLine, difference
from domain.document import Draft, draft
from domain.errors import NotFound
from domain.events import account as account_events
from domain.events.documents import Line, Ref
from domain.history import History, Located
from domain.owed import charges
from domain.terms import BilledTo, Packages, Stream, nameless_terms, refs_of, stream_of

NOTHING = DayCounts()


class Standing(NamedTuple):
    """All that is known of one license: its history, who pays, its counts, and the lines issued for it."""

    history: History
    account: BilledTo
    counts: Mapping[str, DayCounts]
    lines: Sequence[tuple[Ref, Stream, Line]]


class Found(NamedTuple):
    """What is to be issued for one license, and the periods that could not be billed."""

    difference: Difference
    missing: Sequence[Missing]


def found(standing: Standing, target: date, packages: Packages) -> Found:
    """The difference of one license on a day."""
    history, account, counts, lines = standing
    on, billed = target.toordinal(), Coverage(lines)
    owed, missing = charged(
        history, account, packages, lambda counter: counts.get(counter, NOTHING), on, billed.horizon()
    )
    return Found(difference(owed, billed, on), missing)


def charged(
    history: History, account: BilledTo, packages: Packages, counts: Counts, target: int, horizon: int
) -> tuple[list[Charge], list[Missing]]:
    """What one license owes, and what could not be told: names are put on last, what is nameless is shared."""
    owed, missing = charges(nameless_terms(history, account, packages), counts, target, horizon)
    return (
        [Charge(stream_of(history, one.stream), one.rating, refs_of(history, one.reasons)) for one in owed],
        [Missing(stream_of(history, one.stream), one.counter, one.start, one.end) for one in missing],
    )


def by_payer(lines: Iterable[NewLine]) -> Iterable[tuple[UUID, str, list[NewLine]]]:
    """Lines of many licenses by who pays them, in which currency: one document each."""
    sorted_out: dict[tuple[int, str], tuple[UUID, str, list[NewLine]]] = {}
    for line in lines:
        _, _, payer, currency = line.stream
        sorted_out.setdefault((payer.int, currency), (payer, currency, []))[2].append(line)
    return sorted_out.values()


def documents(
    lines: Iterable[NewLine], accounts: Mapping[UUID, Sequence[Located]], issued_on: date
) -> list[tuple[Account, str, Draft]]:
    """The documents that say what was found: payer, currency, draft.

    Raises: NotFound when a payer's account is not known.
    """
    result = []
    for payer, currency, owed in by_payer(lines):
        facts = accounts.get(payer)
        if not facts:
            raise NotFound(f"payer {payer} is not known")
        account = account_as_of(facts, issued_on)
        result.append((account, currency, draft(owed, account.tax_percent)))
    return result


def account_as_of(facts: Sequence[Located], on: date) -> Account:
    """An account as its documents of a day have to print it: a rate of tax that is yet to come does not count."""
    account = Account(facts[0].ref[0])
    for (_, account.version), body in facts:
        if not (isinstance(body, account_events.TaxRateChanged) and body.effective_on > on):
            account.when(body)
    return account
