"""The languages that people are written to in, and how each of them writes amounts, days, numbers and rates."""

from __future__ import annotations

import re
from copy import copy
from datetime import date, timedelta
from decimal import Decimal

from babel import Locale
from babel.dates import format_date, format_interval
from babel.numbers import format_decimal, format_percent

from domain.money import exponent, written

LANGUAGES = ("de", "en")
"""Each has a folder of letters (adapters/mail/templates) and a file of words (adapters/web/words)."""
FALLBACK = "en"
DAYS = "yMMMd"


def money(amount: int, currency: str, language: str) -> str:
    """An amount as the language writes it, with the decimals that the currency has by ISO 4217: CLDR rounds some.

    Units: minor units.
    """
    locale = Locale(language)
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (exponent(currency), exponent(currency))
    value = Decimal(written(amount, currency))
    shown = str(pattern.apply(value, locale, currency=currency, currency_digits=False))
    return re.sub(r"(?<=[A-Z])(?=\d)|(?<=\d)(?=[A-Z])", "\xa0", shown)


def day(value: date | str, language: str) -> str:
    """A day as the language writes it."""
    return format_date(value if isinstance(value, date) else date.fromisoformat(value), "long", locale=language)


def days(start: date, end: date, language: str) -> str:
    """The days of [start, end), the last one too, and what they have in common only once."""
    return str(format_interval(start, max(start, end - timedelta(days=1)), DAYS, locale=language))


def number(value: Decimal, language: str) -> str:
    """A number with all its decimals."""
    return format_decimal(value, locale=language, decimal_quantization=False)


def percent(value: Decimal, language: str) -> str:
    """A rate. Units: percent."""
    return format_percent(value.normalize() / 100, locale=language, decimal_quantization=False)
