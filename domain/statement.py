"""A bank's statement of an account: what it says, whether it adds up, and how its movements are told apart.

The one check that catches every misread sign, charge and reversal is that opening and movements come to the closing
balance; a statement that does not is refused whole. Source: ISO 20022 camt.053; SWIFT MT940.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import msgspec

from domain.errors import Fault
from domain.identity import digest
from domain.money import written

YEARS = range(1900, 3000)
MOST = 10**15
"""Minor units of one amount: more than any account has seen, and sums of them are whole numbers of any database."""


class Transfer(msgspec.Struct, frozen=True):
    """One movement on the account.

    Shapes: `reference` is the bank's own, empty where it gives none; `is_return` marks a reversal or a returned
    payment; `line` is where it stands in its file. Units: `amount` in minor units, above zero came in.
    """

    booked_on: date
    amount: int
    text: str = ""
    name: str = ""
    iban: str = ""
    reference: str = ""
    is_return: bool = False
    line: int = 0

    @property
    def is_named(self) -> bool:
        """Whether the bank gave it a reference that is one: some fill the field with the same word for all."""
        return bool(self.reference.strip("0")) and self.reference not in ("NONREF", "NOTPROVIDED")


class Statement(msgspec.Struct, frozen=True):
    """The movements between two balances of an account, which bears the currency. Units: minor units."""

    account: str
    number: str
    currency: str
    opening: int
    closing: int
    closed_on: date
    transfers: tuple[Transfer, ...]
    line: int = 0


def faults(file: str, statement: Statement) -> Iterator[Fault]:
    """What is wrong with a statement that could be read."""
    if not statement.account:
        yield Fault(file, statement.line, "account", "the statement names no account", "no_account")
    yield from _out_of_range(file, statement.line, statement.closed_on, statement.opening, statement.closing)
    for transfer in statement.transfers:
        yield from _out_of_range(file, transfer.line, transfer.booked_on, transfer.amount)
        if not transfer.amount:
            yield Fault(file, transfer.line, "amount", "a movement of nothing", "zero_amount")
    found = statement.opening + sum(transfer.amount for transfer in statement.transfers)
    if found != statement.closing:
        says = (written(amount, statement.currency) for amount in (statement.opening, found, statement.closing))
        message = "opening {} and the movements come to {}, but the statement closes with {}".format(*says)
        yield Fault(file, statement.line, "closing", message, "does_not_add_up")


def _out_of_range(file: str, line: int, on: date, *amounts: int) -> Iterator[Fault]:
    """A day or an amount that no bank means, and that could not be reckoned with; without movements there is no day."""
    if on.year not in YEARS and on != date.min:
        yield Fault(file, line, "date", f"{on} is before {YEARS[0]} or after {YEARS[-1]}", "range")
    if any(abs(amount) > MOST for amount in amounts):
        yield Fault(file, line, "amount", f"more than {MOST} minor units", "range")


def identities(statements: Iterable[Statement]) -> Iterator[list[str]]:
    """A name for each movement of statements in order, the same in every file that tells of it.

    A movement is what the bank says of it, not where: overlapping statements and a statement issued again name it the
    same. Genuinely equal movements of a day are numbered, so that both are kept; the numbering goes on where a
    statement opens with what the one before it closed with, for then they are pages and do not overlap.
    """
    seen: Counter[bytes] = Counter()
    before: tuple[str, int] | None = None
    for statement in statements:
        if before != (statement.account, statement.opening):
            seen = Counter()
        yield [_identity(statement, transfer, seen) for transfer in statement.transfers]
        before = (statement.account, statement.closing)


def _identity(statement: Statement, transfer: Transfer, seen: Counter[bytes]) -> str:
    said: Sequence[object] = (transfer.reference,) if transfer.is_named else (transfer.text, transfer.name)
    named = digest(statement.account, transfer.booked_on, transfer.amount, transfer.iban, *said)
    seen[named] += 1
    return f"{named.hex()[:20]}-{seen[named]}"
