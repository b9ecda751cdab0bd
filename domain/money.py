"""Money: whole minor units of a currency, never a float. Only `rounded` and `allocate` round, and parts add up.

Prices per unit may be finer than a minor unit (0.0025 per message); they are exact fractions until `rounded`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from domain.errors import Invalid

EXPONENT_2 = (
    "AED ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
    "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN "
    "SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW"
)
EXPONENT_0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
EXPONENT_3 = "BHD IQD JOD KWD LYD OMR TND"
EXPONENT = {
    **dict.fromkeys(EXPONENT_2.split(), 2),
    **dict.fromkeys(EXPONENT_0.split(), 0),
    **dict.fromkeys(EXPONENT_3.split(), 3),
}
"""How many decimals a currency has. Source: ISO 4217, list one (active national currencies)."""


LONGEST = 100
"""Characters of a number as written: far more than any amount has, and less than Python refuses to write."""


def exponent(currency: str) -> int:
    """How many decimals the currency has.

    Raises: Invalid for anything that is not an ISO 4217 code of a national currency, in capitals.
    """
    try:
        return EXPONENT[currency]
    except KeyError:
        raise Invalid(f"{currency!r} is not a currency code of ISO 4217") from None


def scale(currency: str) -> int:
    """How many minor units one major unit has."""
    return int(10 ** exponent(currency))


def rounded(numerator: int, denominator: int = 1) -> int:
    """The nearest whole number; halves go away from zero, so that a reversal mirrors its charge.

    Units: numerator / denominator, denominator > 0. Source: ADR-0005.
    """
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def share(price: Fraction, start: int, end: int, whole: int) -> int:
    """The part of a full price that falls between two borders, rounded at the borders so that parts add up.

    Shapes: 0 ≤ start ≤ end ≤ whole, positions on one axis (days, instalments) that begins with the price's period.
    Units: `price` in minor units, exact; the result in minor units. Source: ADR-0005.
    """
    p, q = price.numerator, price.denominator * whole
    return rounded(p * end, q) - rounded(p * start, q)


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Splits an amount over weights so that the parts add up to it exactly, each within one unit of its share.

    Shapes: one part for each weight, in order; borders of the running weight are rounded, never the parts.
    Raises: Invalid when the weights add up to nothing but the amount is not zero.
    """
    whole = sum(weights)
    if not whole:
        if total:
            raise Invalid("an amount cannot be split over nothing")
        return [0] * len(weights)
    if len(weights) == 1:
        return [total]
    sign = 1 if whole > 0 else -1
    borders, running = [0], 0
    for weight in weights:
        running += weight
        borders.append(rounded(sign * total * running, abs(whole)))
    return [after - before for before, after in itertools.pairwise(borders)]


def exact(text: str | Decimal) -> Fraction:
    """A decimal as written, as an exact number.

    Raises: Invalid for anything but plain decimal notation in ASCII digits.
    """
    written = str(text)
    if len(written) > LONGEST:
        raise Invalid(f"a number has {LONGEST} characters at most, not {len(written)}")
    if not written.isascii() or not written.removeprefix("-").replace(".", "", 1).isdigit():
        raise Invalid(f"{written!r} is not a plain decimal number")
    try:
        return Fraction(Decimal(written))
    except InvalidOperation:
        raise Invalid(f"{written!r} is not a plain decimal number") from None


def minor(text: str | Decimal, currency: str) -> int:
    """An amount as written, in minor units of its currency.

    Raises: Invalid when it has more decimals than the currency.
    """
    units = exact(text) * scale(currency)
    if units.denominator != 1:
        raise Invalid(f"{text} has more decimals than {currency} ({exponent(currency)})")
    return units.numerator


def written(amount: int, currency: str) -> str:
    """Minor units as a person writes them, without the currency: 123456 of EUR is 1234.56."""
    decimals = exponent(currency)
    digits = str(abs(amount)).rjust(decimals + 1, "0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


def as_said(amount: int, currency: str) -> str:
    """An amount that somebody else named, also of a currency that we do not know: `2380 of 'usdc'`."""
    return with_currency(amount, currency) if currency in EXPONENT else f"{amount} of {currency!r}"


def with_currency(amount: int, currency: str) -> str:
    """Minor units as people are told of them: 123456 of EUR is `1234.56 EUR`."""
    return f"{written(amount, currency)} {currency}"
