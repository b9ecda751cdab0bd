"""By which ways an account's credit is paid out: a pure function of its receipts.

Money goes back to the instrument that paid it, as a refund, up to what is left of the
receipt; what no provider can give back is paid out by bank. Source: ADR-0033.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from domain.receipt import Receipt
from domain.receivables import Receivables

REFUNDABLE = timedelta(days=180)
"""How long a payment can be given back by its provider: PayPal's limit, after which cards are often gone too."""


class Part(NamedTuple):
    """So much of the credit of one receipt. Units: minor units."""

    receipt: str
    amount: int


class Exchange(NamedTuple):
    """A credit note is to pay for a part of an invoice instead of a receipt that can be given back."""

    receipt: str
    instead_of: str
    invoice: UUID
    amount: int


class Plan(NamedTuple):
    """By which ways credit goes out; what is in none of them waits for a provider that there is no key for."""

    exchanges: tuple[Exchange, ...]
    refunds: tuple[Part, ...]
    by_bank: tuple[Part, ...]

    @property
    def amount(self) -> int:
        """All that goes out."""
        return sum(part.amount for part in (*self.refunds, *self.by_bank))


def plan(money: Receivables, on: date, providers: Collection[str]) -> Plan:
    """How all credit of an account goes out on a day.

    A credit note brought no money: it takes the place of the newest payments, which then can be given back.
    Shapes: `providers` those that there is a key for.
    """
    refunds, by_bank, exchanges = dict[str, int](), list[Part](), list[Exchange]()
    for name, receipt in money.receipts.items():
        left = receipt.credit
        if receipt.booked.source == "credit_note":
            for one in _exchanges(money, Part(name, left), exchanges, on, providers):
                exchanges.append(one)
                refunds[one.instead_of] = refunds.get(one.instead_of, 0) + one.amount
                left -= one.amount
        elif can_refund(money, receipt, on):
            if receipt.booked.source in providers and left:
                refunds[name] = refunds.get(name, 0) + left
            left = 0
        if left:
            by_bank.append(Part(name, left))
    return Plan(tuple(exchanges), tuple(Part(*one) for one in refunds.items()), tuple(by_bank))


def can_refund(money: Receivables, receipt: Receipt, on: date) -> bool:
    """Whether a receipt can still be given back by the provider that brought it, as far as we know."""
    booked = receipt.booked
    if booked.source not in ("stripe", "paypal") or booked.received_on + REFUNDABLE < on:
        return False
    refused = any(one.state == "failed" and one.opened.receipt == booked.receipt for one in money.refunds.values())
    return not refused and not money.disputed(booked.receipt)


def _exchanges(
    money: Receivables, wanted: Part, before: Iterable[Exchange], on: date, providers: Collection[str]
) -> Iterator[Exchange]:
    used = {(one.instead_of, one.invoice): 0 for one in before}
    for one in before:
        used[one.instead_of, one.invoice] += one.amount
    left = wanted.amount
    for name, receipt in reversed(list(money.receipts.items())):
        if receipt.booked.source not in providers or not can_refund(money, receipt, on):
            continue
        for invoice, paid in receipt.paid.items():
            amount = min(left, paid - used.get((name, invoice), 0))
            if amount > 0:
                left -= amount
                yield Exchange(wanted.receipt, name, invoice, amount)
