"""What amounts a provider takes, and how it writes them: the one place for the odd currencies of each.

Source: docs/providers.md, which names the providers' own tables.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from domain.errors import Invalid
from domain.money import exponent


class TooSmall(Invalid):
    """The provider takes no payment of so little."""

    code = "amount_too_small"


class TooFine(Invalid):
    """The provider cannot write so exact an amount of this currency."""

    code = "amount_too_fine"


class Rules(NamedTuple):
    """How one provider writes amounts of one currency.

    Units: `exponent` is how many decimals the provider counts in; `step` and `minimum` in its own units.
    """

    exponent: int
    step: int = 1
    minimum: int = 1


# Stripe counts in ISO 4217's minor units, but for two currencies that lost their decimals and kept the place of them,
# one whose decimals ISO 4217 keeps and Stripe does not, and its networks take three decimals only in tens.
STRIPE_ODD = {
    "ISK": Rules(2, 100), "UGX": Rules(2, 100), "BHD": Rules(3, 10), "JOD": Rules(3, 10), "KWD": Rules(3, 10),
    "OMR": Rules(3, 10), "TND": Rules(3, 10), "MGA": Rules(0),
}  # fmt: skip
STRIPE_MINIMUM = {
    "USD": 50, "AED": 200, "AUD": 50, "BGN": 100, "BRL": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50,
    "GBP": 30, "HKD": 400, "HUF": 17500, "INR": 50, "JPY": 50, "MXN": 1000, "MYR": 200, "NOK": 300, "NZD": 50,
    "PLN": 200, "RON": 200, "SEK": 300, "SGD": 50, "THB": 1000,
}  # fmt: skip
PAYPAL = frozenset({
    "AUD", "BRL", "CAD", "CNY", "CZK", "DKK", "EUR", "HKD", "HUF", "ILS", "JPY", "MYR", "MXN", "TWD", "NZD", "NOK",
    "PHP", "PLN", "GBP", "SGD", "SEK", "CHF", "THB", "USD",
})  # fmt: skip
PAYPAL_WHOLE = frozenset({"HUF", "JPY", "TWD"})


def rules(provider: str, currency: str) -> Rules:
    """How a provider writes amounts of a currency. Raises: Invalid when it does not take the currency."""
    if provider == "stripe":
        odd = STRIPE_ODD.get(currency, Rules(exponent(currency)))
        return odd._replace(minimum=STRIPE_MINIMUM.get(currency, 1))
    if currency not in PAYPAL:
        raise Invalid(f"{provider} does not take {currency}")
    return Rules(0 if currency in PAYPAL_WHOLE else 2)


def units(provider: str, amount: int, currency: str, part: bool = False) -> int:
    """An amount in the provider's units; a `part` of a payment, which is to go back, may be below the minimum.

    Units: `amount` in minor units of ISO 4217. Raises: Invalid for what the provider cannot take in one payment.
    """
    wanted = rules(provider, currency)
    count, rest = divmod(amount * _ten(wanted.exponent), _ten(exponent(currency)))
    if rest or count % wanted.step:
        raise TooFine(f"{provider} does not take so fine an amount of {currency}")
    if count < wanted.minimum and not part:
        raise TooSmall(f"{provider} takes {Decimal(wanted.minimum).scaleb(-wanted.exponent)} {currency} at least")
    return count


def amount_of(provider: str, count: int, currency: str) -> int:
    """An amount in minor units of ISO 4217, from the provider's units. Raises: Invalid when it is finer than those."""
    wanted = rules(provider, currency)
    amount, rest = divmod(count * _ten(exponent(currency)), _ten(wanted.exponent))
    if rest:
        raise Invalid(f"{count} of {provider} is no whole amount of {currency}")
    return amount


def _ten(power: int) -> int:
    return int(10**power)
