"""An amount of money as commands print it: one cell, from which the table and the JSON both come.

People read `10.50 EUR`. In JSON the amount is `"10.50"`, as it stands on documents, beside its currency: as many
decimals as the currency has, never a float, never minor units.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from domain.errors import Invalid
from domain.money import minor, with_currency, written


@dataclass(frozen=True)
class Money:
    """One amount. Units: `units` in minor units of `currency`."""

    units: int
    currency: str

    def __str__(self) -> str:
        return with_currency(self.units, self.currency)

    @property
    def decimal(self) -> str:
        """The amount without its currency, which stands beside it."""
        return written(self.units, self.currency)


def units_of(text: str, currency: str, option: str) -> int:
    """Minor units of an amount as it was typed. Raises: Invalid, with the option that it was typed for."""
    try:
        return minor(text, currency)
    except Invalid as error:
        raise Invalid(f"{option}: {error}") from None


def money(units: int | None, currency: str) -> Money | None:
    """An amount, or nothing where nothing is known."""
    return None if units is None else Money(units, currency)


def by_currency(amounts: Mapping[str, int]) -> dict[str, Money]:
    """Amounts that are kept by their currency."""
    return {currency: Money(units, currency) for currency, units in amounts.items()}


def in_currency(amounts: Mapping[str, int], currency: str) -> dict[str, Money]:
    """Amounts of one currency by what they are of."""
    return {name: Money(units, currency) for name, units in amounts.items()}


class Listing(NamedTuple):
    """Rows of which some columns are amounts of the column `currency`.

    Shapes: `hidden` columns are in JSON only; so is `currency`, which people read in each amount. `terms` columns have
    terms of ours, such as delivery_off, which people read as words.
    """

    columns: Sequence[str]
    amounts: Collection[str]
    hidden: Collection[str] = ()
    terms: Collection[str] = ()

    def filled(self, row: Sequence[Any]) -> list[Any]:
        """A row with its amounts as such."""
        currency = row[self.columns.index("currency")]
        cells = zip(self.columns, row, strict=True)
        return [money(cell, currency) if column in self.amounts else cell for column, cell in cells]

    @property
    def shown(self) -> list[str]:
        """What people see."""
        return [column for column in self.columns if column != "currency" and column not in self.hidden]

    def cells(self, filled: Sequence[Any]) -> list[Any]:
        """What people see of a row."""
        cells = [one for one in zip(self.columns, filled, strict=True) if one[0] in self.shown]
        return [cell.replace("_", " ") if column in self.terms and cell else cell for column, cell in cells]
