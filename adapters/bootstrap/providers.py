"""Wires the providers of payments that there are keys for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING

from domain.errors import Conflict
from domain.provider import Provider

if TYPE_CHECKING:
    from adapters.bootstrap import Tally
    from adapters.providers.findings import Finding
    from adapters.settings import Settings

NOWHERE = "https://localhost/"
"""Where customers come back to while nobody said where our pages are."""


class OnDemand(Mapping[str, Provider]):
    """Providers by name, each made when it is first asked: their SDKs are heavy to load, and most commands ask none."""

    def __init__(self, makers: Mapping[str, Callable[[], Provider]]) -> None:
        self._makers, self._made, self._lock = makers, dict[str, Provider](), Lock()

    def __getitem__(self, name: str) -> Provider:
        with self._lock:
            if name not in self._made:
                self._made[name] = self._makers[name]()
            return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def providers_of(chosen: Settings) -> Mapping[str, Provider]:
    """The providers of payments that there are keys for."""
    makers: dict[str, Callable[[], Provider]] = {}
    if chosen.stripe_key is not None:
        makers["stripe"] = lambda: _stripe(chosen)
    if chosen.paypal_secret is not None:
        makers["paypal"] = lambda: _paypal(chosen)
    return OnDemand(makers)


def _stripe(chosen: Settings) -> Provider:
    from adapters.providers.stripe import StripePayments

    assert chosen.stripe_key
    return StripePayments(chosen.stripe_key.told, chosen.stripe_base, return_url=chosen.public_url or NOWHERE)


def _paypal(chosen: Settings) -> Provider:
    from adapters.providers.paypal import PayPalPayments, Transport

    assert chosen.paypal_secret
    return PayPalPayments(Transport(chosen.paypal_client, chosen.paypal_secret.told, chosen.paypal_base))


def provider_of(tally: Tally, name: str) -> Provider:
    """A provider that is set up. Raises: Conflict when there is no key for it."""
    if name not in tally.providers:
        raise Conflict(f"there is no key for {name!r}: see docs/providers.md, or `tally sandbox` to try it")
    return tally.providers[name]


def assumptions_of(chosen: Settings, patience: float, paypal_method: str = "") -> Iterator[Finding]:
    """Tries what we assume of the providers that there are keys for.

    Raises: Conflict without a key; Invalid for one that is not for tests.
    """
    if chosen.stripe_key is None and chosen.paypal_secret is None:
        raise Conflict(
            "set TALLY_STRIPE_KEY, or TALLY_PAYPAL_CLIENT and TALLY_PAYPAL_SECRET, to keys of a test account"
        )
    if chosen.stripe_key is not None:
        from adapters.providers.stripe import StripePayments, assumptions

        key = chosen.stripe_key.told
        yield from assumptions.confirm_assumptions(StripePayments(key, chosen.stripe_base), key, patience)
    if chosen.paypal_secret is not None:
        from adapters.providers.paypal import Transport
        from adapters.providers.paypal import assumptions as paypal

        transport = Transport(chosen.paypal_client, chosen.paypal_secret.told, chosen.paypal_base)
        yield from paypal.confirm_assumptions(transport, paypal_method)
