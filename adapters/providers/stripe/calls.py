"""How Stripe is called: no retries of the SDK's own, keys of what a call is for, and errors as what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid5

import stripe

from domain.chargeable import amount_of
from domain.errors import Invalid, Unavailable
from domain.payment import Order, Reply

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


def unknown(error: stripe.StripeError, object_id: str = "") -> Reply:
    """Nothing is known for certain."""
    return Reply("unknown", object=object_id, text=told(error))


def made(make: Callable[[], Reply]) -> Reply:
    """What came of making an object; a request that Stripe refuses, or would refuse, made nothing."""
    try:
        return make()
    except Invalid as error:
        return Reply("cancelled", code=error.code, text=str(error))
    except stripe.InvalidRequestError as error:
        return Reply("cancelled", code=code_of(error), text=told(error))
    except stripe.StripeError as error:
        return unknown(error)


def found(order: Order, listed: Callable[[], Iterable[Any]], read: Callable[[Any], Reply]) -> Reply | None:
    """The object that bears the attempt's id, among those that are listed; None where Stripe knows no such list."""
    try:
        ours = (one for one in listed() if reference(one, "attempt") == str(order.attempt))
        return next(map(read, ours), None)
    except stripe.InvalidRequestError:
        # There is no such customer, so there is no object of it.
        return None
    except stripe.StripeError as error:
        return unknown(error)


@contextmanager
def reading() -> Iterator[None]:
    """Reading where the caller can wait. Raises: Unavailable for everything that Stripe does not answer."""
    try:
        yield
    except stripe.StripeError as error:
        raise Unavailable(f"Stripe did not answer: {told(error)}") from error
