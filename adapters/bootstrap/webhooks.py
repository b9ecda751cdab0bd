"""Wires the endpoints for webhooks that there are secrets for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.webhooks.stripe import StripeVerifier
from adapters.webhooks.verifier import Verifier
from domain.errors import Invalid

if TYPE_CHECKING:
    from adapters.settings import Settings


def verifiers_of(chosen: Settings) -> dict[str, Verifier]:
    """The endpoints for webhooks that there are secrets for.

    Raises: Invalid when a provider has a key and no secret: its webhooks could not be told from forged ones.
    """
    found: dict[str, Verifier] = {}
    if secrets := [secret.told for secret in chosen.stripe_webhook_secrets]:
        found["stripe"] = StripeVerifier(secrets, chosen.is_stripe_live)
    if chosen.stripe_key and "stripe" not in found:
        raise Invalid("TALLY_STRIPE_KEY is set and TALLY_STRIPE_WEBHOOK_SECRET is not: set it to the endpoint's secret")
    if chosen.paypal_webhook_id:
        from adapters.webhooks.paypal import paypal_verifier

        found["paypal"] = paypal_verifier(chosen.paypal_webhook_id, chosen.paypal_base)
    if chosen.paypal_secret and "paypal" not in found:
        raise Invalid("TALLY_PAYPAL_SECRET is set and TALLY_PAYPAL_WEBHOOK_ID is not: set it to the id of our webhook")
    return found
