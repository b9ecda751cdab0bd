"""One price in many spellings, and processes that have seen none of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec


def respelled(value: Any, spell: Callable[[Decimal], Decimal]) -> Any:
    """The same value with every decimal in it spelled anew."""
    if isinstance(value, Decimal):
        return spell(value)
    if isinstance(value, msgspec.Struct):
        fields = {name: respelled(getattr(value, name), spell) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, tuple):
        return tuple(respelled(one, spell) for one in value)
    return {name: respelled(one, spell) for name, one in value.items()} if isinstance(value, dict) else value


def with_zeros(zeros: int) -> Callable[[Decimal], Decimal]:
    """Spells with so many zeros at the end; below none as short as can be, where 10 is 1E+1."""

    def spell(amount: Decimal) -> Decimal:
        if zeros < 0:
            return amount.normalize()
        sign, digits, exponent = amount.as_tuple()
        return Decimal((sign, (*digits, *[0] * zeros), int(exponent) - zeros))

    return spell


def forget() -> None:
    """Empties what the domain keeps in memory, as in a process that has just begun."""
    for name, module in list(sys.modules.items()):
        if name.startswith("domain"):
            for held in vars(module).values():
                if hasattr(held, "cache_clear"):
                    held.cache_clear()
