"""Wires the providers of payments that there are keys for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from domain.errors import Conflict
from domain.provider import Provider
from jobs.collect import Collector
from jobs.payout import Payer
from jobs.refund import Refunder

if TYPE_CHECKING:
    from adapters.bootstrap import Tally
    from adapters.providers.findings import Finding
    from adapters.settings import Settings

NOWHERE = "https://localhost/"
"""Where customers come back to while nobody said where our pages are."""


def providers_of(chosen: Settings) -> dict[str, Provider]:
    """The providers of payments that there are keys for. Their SDKs are heavy to load, and most commands ask none."""
    found: dict[str, Provider] = {}
    if chosen.stripe_key is not None:
        from adapters.providers.stripe import StripePayments

        key, back = chosen.stripe_key.get_secret_value(), chosen.public_url or NOWHERE
        found["stripe"] = StripePayments(key, chosen.stripe_base, return_url=back)
    if chosen.paypal_secret is not None:
        from adapters.providers.paypal import PayPalPayments, Transport

        secret = chosen.paypal_secret.get_secret_value()
        found["paypal"] = PayPalPayments(Transport(chosen.paypal_client, secret, chosen.paypal_base))
    return found


def provider_of(tally: Tally, name: str) -> Provider:
    """A provider that is set up. Raises: Conflict when there is no key for it."""
    if name not in tally.providers:
        raise Conflict(f"there is no key for {name!r}: see docs/providers.md, or `tally sandbox` to try it")
    return tally.providers[name]


def collector_of(tally: Tally) -> Collector:
    """Who collects by the providers that are set up. Raises: Conflict when there are none."""
    _some_provider(tally)
    return Collector(tally.billing, tally.providers)


def refunder_of(tally: Tally) -> Refunder:
    """Who gives money back by the providers that are set up. Raises: Conflict when there are none."""
    _some_provider(tally)
    return Refunder(tally.billing, tally.providers)


def payer_of(tally: Tally) -> Payer:
    """Who pays credit out: by the providers that are set up, if any, and by bank."""
    refunder = Refunder(tally.billing, tally.providers)
    return Payer(refunder, tally.pool, tally.packages, tally.follower().catch_up)


def _some_provider(tally: Tally) -> None:
    if not tally.providers:
        keys = "TALLY_STRIPE_KEY, or TALLY_PAYPAL_CLIENT and TALLY_PAYPAL_SECRET"
        raise Conflict(f"no provider of payments is set up: set {keys} (`tally sandbox` shows how to try it)")


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

        key = chosen.stripe_key.get_secret_value()
        yield from assumptions.confirm_assumptions(StripePayments(key, chosen.stripe_base), key, patience)
    if chosen.paypal_secret is not None:
        from adapters.providers.paypal import Transport
        from adapters.providers.paypal import assumptions as paypal

        secret = chosen.paypal_secret.get_secret_value()
        transport = Transport(chosen.paypal_client, secret, chosen.paypal_base)
        yield from paypal.confirm_assumptions(transport, paypal_method)
