"""What trying an assumption about a provider came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Finding(NamedTuple):
    """One assumption and what the provider did: "" when it holds."""

    provider: str
    assumption: str
    differs: str


def findings(provider: str, trials: Iterable[Callable[[T], str]], trial: T) -> Iterator[Finding]:
    """Tries one after the other; each says by its docstring what is assumed, and answers with what differs."""
    for tried in trials:
        try:
            differs = tried(trial)
        except Exception as error:  # whatever it is, it is what differs
            differs = f"{type(error).__name__}: {error}"[:200]
        yield Finding(provider, (tried.__doc__ or "").strip().removesuffix("."), differs)


def differ(seen: object, expected: object) -> str:
    """What differs, "" when nothing does."""
    return "" if seen == expected else f"{seen}, not {expected}"
