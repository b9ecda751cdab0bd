"""Wires who collects, gives back and pays out by the providers that are set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import Conflict
from jobs.collect import Collector
from jobs.payout import Payer
from jobs.refund import Refunder

if TYPE_CHECKING:
    from adapters.bootstrap import Tally


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
