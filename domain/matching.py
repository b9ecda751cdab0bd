"""Which invoices a bank transfer pays: decided only when it is certain, else left to a person with suggestions.

The invoice's number is the reference. People write it with other dashes, without zeros, and O for 0; nobody else's
invoice is ever paid by a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from domain.statement import Transfer

OWN_PAYOUT = re.compile(r"\b(STRIPE|PAYPAL)\b.*\b(PAYOUT|TRANSFER|AUSZAHLUNG)\b", re.IGNORECASE | re.DOTALL)

PAYOUT = re.compile(r"(?<![A-Z0-9])PO[\s./:-]*([0-9A-F]{12})(?![A-Z0-9])")
"""The reference of a payout of ours, as banks write it."""


class Owed(NamedTuple):
    """An invoice that a transfer may be for. Units: `left` in minor units; 0 when it is settled."""

    invoice: UUID
    account: UUID
    number: str
    currency: str
    left: int


class Match(NamedTuple):
    """Whose money a transfer is and which invoices it pays, in order; without an account it is left to a person."""

    account: UUID | None
    invoices: tuple[UUID, ...] = ()
    why: str = ""


def numbers_in(text: str, series: Sequence[str]) -> list[str]:
    """The invoice numbers that a text names, as they are written on invoices, in the order of the text.

    Shapes: where a text can be read as of two series, both readings: `INV12` is the 12th of INV and the 2nd of INV1.
    """
    read: dict[int, list[tuple[int, str]]] = {}
    for name in series:
        said = rf"(?<![A-Z0-9]){re.escape(name)}[\s./:#-]*([0-9O]{{1,12}})(?![A-Z0-9])"
        for one in re.finditer(said, text.upper()):
            read.setdefault(one.start(), []).append((one.end(), f"{name}-{int(one[1].replace('O', '0')):06d}"))
    longest = [
        [number for end, number in sorted(readings) if end == max(readings)[0]] for _, readings in sorted(read.items())
    ]
    return list(dict.fromkeys(number for numbers in longest for number in numbers))


def payouts_in(text: str) -> list[str]:
    """The references of payouts that a text names, as we write them."""
    return list(dict.fromkeys(f"PO-{digits}" for digits in PAYOUT.findall(text.upper())))


def match(transfer: Transfer, currency: str, named: Sequence[Owed]) -> Match:
    """What a transfer is for, from the invoices that its text names.

    Shapes: `named` in the order of the text; `why` says what keeps a match from being certain.
    """
    if transfer.amount < 0 or transfer.is_return:
        return Match(None, why="money that went out or came back")
    if OWN_PAYOUT.search(f"{transfer.name} {transfer.text}"):
        return Match(None, why="a payout of a provider of payments")
    if not named:
        return Match(None, why="no invoice is named")
    if {one.currency for one in named} != {currency}:
        return Match(None, why=f"the invoice is not in {currency}")
    if len({one.account for one in named}) > 1:
        return Match(None, why="invoices of several accounts are named")
    return Match(named[0].account, tuple(one.invoice for one in named))
