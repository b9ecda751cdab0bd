"""What we read of PayPal's objects: the few fields that say where money is. The rest may be as it likes.

Source: PayPal's OpenAPI documents Orders 2.13, Payments 2.5, Vault 3.1, Webhooks 1.11; the Disputes API's reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from domain.chargeable import amount_of, rules, units
from domain.errors import Invalid

VALUE = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,3})?", re.ASCII)
NAME = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
S = TypeVar("S")


class Money(msgspec.Struct, frozen=True):
    """An amount as PayPal writes it."""

    currency_code: str
    value: str

    @property
    def minor(self) -> int:
        """Units: minor units. Raises: Invalid for what is no plain amount of the currency."""
        if not VALUE.fullmatch(self.value):
            raise Invalid(f"{self.value!r} is no amount")
        count = Decimal(self.value).scaleb(rules("paypal", self.currency_code).exponent)
        if count != int(count):
            raise Invalid(f"{self.value} is finer than {self.currency_code} is")
        return amount_of("paypal", int(count), self.currency_code)


def money(amount: int, currency: str) -> dict[str, str]:
    """An amount for PayPal. Units: minor units. Raises: Invalid when it does not take it."""
    exponent = rules("paypal", currency).exponent
    return {"currency_code": currency, "value": f"{Decimal(units('paypal', amount, currency)).scaleb(-exponent):f}"}


class Link(msgspec.Struct, frozen=True):
    """Where PayPal says something is; only its last part is ever used, or it is shown to the customer."""

    href: str
    rel: str = ""


class Why(msgspec.Struct, frozen=True):
    """Why something stands where it does."""

    reason: str = ""


class Related(msgspec.Struct, frozen=True):
    """What a capture belongs to."""

    order_id: str = ""


class More(msgspec.Struct, frozen=True):
    """What PayPal adds to a capture."""

    related_ids: Related = Related()


class Capture(msgspec.Struct, frozen=True):
    """Money that moved to us, or is about to."""

    id: str
    status: str
    amount: Money
    custom_id: str = ""
    status_details: Why = Why()
    supplementary_data: More = More()
    links: Sequence[Link] = ()

    @property
    def order(self) -> str:
        """The order that it was captured for, "" when PayPal does not say."""
        return self.supplementary_data.related_ids.order_id or above(self.links, "orders")


class Refund(msgspec.Struct, frozen=True):
    """Money that went back, or is about to."""

    id: str
    status: str
    amount: Money
    custom_id: str = ""
    invoice_id: str = ""
    status_details: Why = Why()
    links: Sequence[Link] = ()

    @property
    def ours(self) -> UUID | None:
        """Our reference, None when somebody else made it."""
        for text in (self.custom_id, self.invoice_id):
            if (found := uuid_in(text)) is not None:
                return found
        return None


class Payments(msgspec.Struct, frozen=True):
    """What moved for an order."""

    captures: Sequence[Capture] = ()
    refunds: Sequence[Refund] = ()


class Unit(msgspec.Struct, frozen=True):
    """What is bought: one invoice."""

    custom_id: str = ""
    payments: Payments = Payments()


class Order(msgspec.Struct, frozen=True):
    """A payment object."""

    id: str
    status: str
    intent: str = "CAPTURE"
    purchase_units: Sequence[Unit] = ()
    links: Sequence[Link] = ()

    @property
    def captures(self) -> list[Capture]:
        return [one for unit in self.purchase_units for one in unit.payments.captures]

    @property
    def refunds(self) -> list[Refund]:
        return [one for unit in self.purchase_units for one in unit.payments.refunds]


class Customer(msgspec.Struct, frozen=True):
    """Whose method of payment it is; `merchant_customer_id` is our account."""

    id: str = ""
    merchant_customer_id: str = ""


class Wallet(msgspec.Struct, frozen=True):
    """A PayPal account."""

    email_address: str = ""


class Source(msgspec.Struct, frozen=True):
    """By what a token pays."""

    paypal: Wallet = Wallet()


class Token(msgspec.Struct, frozen=True):
    """A set-up that waits for the customer, or a method that may be charged."""

    id: str
    status: str = ""
    customer: Customer = Customer()
    payment_source: Source = Source()
    links: Sequence[Link] = ()


class Transaction(msgspec.Struct, frozen=True):
    """What a dispute is about."""

    seller_transaction_id: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """How a dispute ended."""

    outcome_code: str = ""
    amount_refunded: Money | None = None


class MoneyMovement(msgspec.Struct, frozen=True):
    """Money that moved for a dispute."""

    affected_party: str
    type: str
    amount: Money
    reason: str = ""


class Dispute(msgspec.Struct, frozen=True):
    """A case of a buyer or his bank against a payment."""

    dispute_id: str
    status: str
    dispute_amount: Money
    reason: str = ""
    disputed_transactions: Sequence[Transaction] = ()
    dispute_outcome: Outcome = Outcome()
    money_movements: Sequence[MoneyMovement] = ()

    def moved(self, kind: str) -> int:
        """What was taken from us ("DEBIT") or given to us ("CREDIT") for it, fees left out. Units: minor units."""
        return sum(
            one.amount.minor
            for one in self.money_movements
            if (one.affected_party, one.type) == ("SELLER", kind) and "FEE" not in one.reason
        )


def read(shape: type[S], body: Any) -> S:
    """An object of PayPal. Raises: Invalid when it is not of that shape."""
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise Invalid(f"PayPal's answer is not as it was: {error}") from None


def named(found: object) -> str:
    """An id that may stand in a path. Raises: Invalid."""
    if not isinstance(found, str) or not NAME.fullmatch(found):
        raise Invalid("that is no id of PayPal")
    return found


def uuid_in(text: str) -> UUID | None:
    """A reference of ours that stands alone."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def references(custom_id: str) -> tuple[UUID | None, UUID | None]:
    """Invoice and attempt, as we wrote them on an order; None for both when it is not ours."""
    invoice, _, attempt = custom_id.partition(",")
    found = uuid_in(invoice), uuid_in(attempt)
    return found if all(found) else (None, None)


def above(links: Sequence[Link], kind: str) -> str:
    """The id of what an object belongs to (kind: orders, captures), "" when it does not say."""
    return next(_ids(links, kind), "")


def _ids(links: Sequence[Link], kind: str) -> Iterator[str]:
    for link in links:
        found = re.search(rf"/{kind}/([0-9A-Za-z_-]{{1,64}})$", link.href, re.ASCII)
        if link.rel == "up" and found:
            yield found[1]


def where_to_go(links: Sequence[Link]) -> str:
    """Where the customer approves."""
    return next((link.href for link in links if link.rel in ("payer-action", "approve")), "")
