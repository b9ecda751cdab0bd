"""How Stripe is called: no retries of the SDK's own, keys of what a call is for, and errors as what they mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid5

import stripe

from domain.chargeable import amount_of
from domain.errors import Unavailable

WRONG_STATES = frozenset({"payment_intent_unexpected_state", "setup_intent_unexpected_state"})


def client_of(key: str, base: str, timeout: float) -> stripe.StripeClient:
    """Stripe's client, which asks once: what to repeat is ours to decide. Its connections are one for each thread."""
    return stripe.StripeClient(
        key,
        base_addresses={"api": base},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


def key_of(reference: UUID, step: str) -> Any:
    """The options of a call under the idempotency key of one step."""
    return {"idempotency_key": str(uuid5(reference, step))}


def told(error: stripe.StripeError) -> str:
    """What Stripe said, for people."""
    return f"{type(error).__name__}: {error.user_message or error}"[:200]


def code_of(error: stripe.StripeError) -> str:
    """Stripe's code of a refusal."""
    return error.code or "refused"


def reference(found: Any, name: str) -> str:
    """One of our references in an object's metadata, "" when it bears none."""
    return str(found.metadata[name]) if found.metadata and name in found.metadata else ""


def name_of(found: Any) -> str:
    """The id of an object that Stripe gives either whole or by its id, "" for none."""
    return found if isinstance(found, str) else found.id if found else ""


def minor(count: int, currency: str) -> int:
    """Stripe's units as minor units. Raises: Invalid when it is no whole amount of them."""
    return amount_of("stripe", count, currency.upper())


@contextmanager
def reading() -> Iterator[None]:
    """Reading where the caller can wait. Raises: Unavailable for everything that Stripe does not answer."""
    try:
        yield
    except stripe.StripeError as error:
        raise Unavailable(f"Stripe did not answer: {told(error)}") from error
