"""The peers' words for what we have: billing periods, modes, money."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from domain.grid import Cadence
from domain.money import exact, rounded, scale
from domain.package_version import Mode
from tests.conformance.verdict import NotExpressible

CADENCES = {
    "daily": Cadence(days=1),
    "weekly": Cadence(days=7),
    "biweekly": Cadence(days=14),
    "thirty_days": Cadence(days=30),
    "thirty_one_days": Cadence(days=31),
    "sixty_days": Cadence(days=60),
    "ninety_days": Cadence(days=90),
    "monthly": Cadence(months=1),
    "bimestrial": Cadence(months=2),
    "bimonthly": Cadence(months=2),
    "quarterly": Cadence(months=3),
    "triannual": Cadence(months=4),
    "biannual": Cadence(months=6),
    "semiannual": Cadence(months=6),
    "annual": Cadence(months=12),
    "yearly": Cadence(months=12),
    "sesquiennial": Cadence(months=18),
    "sesquiannual": Cadence(months=18),
    "biennial": Cadence(months=24),
    "triennial": Cadence(months=36),
}
MODES: dict[str, Mode] = {
    "in_advance": "in_advance",
    "in_arrear": "in_arrears",
    "in_arrears": "in_arrears",
    "in_arrear_greedy": "in_arrears_greedy",
}


def cadence(name: str) -> Cadence:
    """Raises: NotExpressible for a period that is not one of months or days."""
    try:
        return CADENCES[name.lower()]
    except KeyError:
        raise NotExpressible(f"no such billing period: {name}") from None


def day(text: str) -> date:
    """A date as the cases write it."""
    return date.fromisoformat(text[:10])


def number(written: object) -> Fraction:
    """An exact number from any of JSON's ways to write one, or from ours."""
    return written if isinstance(written, Fraction) else Fraction(str(written))


def is_number(written: object) -> bool:
    """Whether something written is a number: an event that tells none has nothing to count."""
    try:
        return Decimal(str(written)).is_finite()
    except InvalidOperation:
        return False


def cents(written: object, currency: str) -> int:
    """An amount in major units, in minor ones."""
    units = number(written) * scale(currency)
    return rounded(units.numerator, units.denominator)


def decimal(written: object) -> Decimal:
    """A price as a catalog would write it."""
    exact(str(written))
    return Decimal(str(written))
