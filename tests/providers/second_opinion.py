"""What is asked of two servers that speak Stripe's protocol, step by step, and what of their answers is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import stripe

from adapters.providers.stripe.calls import client_of, name_of

CARD: dict[str, Any] = {"payment_method_types": ["card"]}
CREATED = {"amount": 1000, "currency": "eur", **CARD}
FIELDS = {
    "customer": ("name", "email", "metadata", "deleted"),
    "payment_method": ("type", "customer", "card.last4", "card.brand"),
    "setup_intent": ("status", "usage", "customer", "payment_method", "next_action.type", "last_setup_error.code"),
    "payment_intent": ("status", "amount", "currency", "customer", "capture_method", "latest_charge",
                       "next_action.type", "last_payment_error.code"),
    "charge": ("status", "amount", "currency", "paid", "captured", "amount_refunded", "refunded", "failure_code"),
    "refund": ("status", "amount", "currency", "charge"),
    "event": ("type", "data.object.status"),
}  # fmt: skip
REFUSED = ("type", "code", "decline_code")
NAMES = ("customer", "payment_method", "latest_charge", "charge")
"""Of these only whether there is one can be the same."""
Seen = dict[str, Any]


@dataclass
class Side:
    """One of the two. Shapes: `approved` gives a method whose bank wants the customer; `seen` is what was answered."""

    url: str
    approved: Callable[[Any], str]
    seen: dict[str, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api: Any = client_of("sk_test_1", self.url, 10).v1

    def see(self, step: str, call: Callable[[], Any]) -> Any:
        """Takes a step, and keeps what is compared of its answer."""
        try:
            found = call()
        except stripe.StripeError as error:
            found = None
            told: dict[str, Any] = dict((error.json_body or {}).get("error") or {})
            self.seen[step] = {"http": error.http_status, **{key: told.get(key) for key in REFUSED}}
        else:
            self.seen[step] = facts(found)
        return found

    def customer(self) -> str:
        """Somebody."""
        return str(self.api.customers.create({"name": "Somebody"}).id)

    def card(self, customer: str, name: str = "pm_card_visa") -> str:
        """A card on file."""
        return str(self.api.payment_methods.attach(name, {"customer": customer}).id)

    def paid(self) -> Any:
        """A payment of 1000 that succeeded."""
        return self.api.payment_intents.create({**CREATED, "payment_method": "pm_card_visa", "confirm": True})


def facts(found: Any) -> Seen:
    """What is compared of an object, or of the objects of a list."""
    if found.object == "list":
        return {"listed": sorted((facts(one) for one in found.data), key=str)}
    return {path: _at(found, path) for path in FIELDS[found.object]}


def _at(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = getattr(found, name, None)
    if path in NAMES:
        return bool(found)
    return found.to_dict() if isinstance(found, stripe.StripeObject) else found


def customers(side: Side) -> None:
    """A customer is made, changed and deleted."""
    api = side.api.customers
    made = side.see("made", lambda: api.create({"name": "A", "email": "a@a.example", "metadata": {"a": "1"}}))
    side.see("changed", lambda: api.update(made.id, {"name": "B", "metadata": {"b": "2"}}))
    side.see("read", lambda: api.retrieve(made.id))
    side.see("address taken away", lambda: api.update(made.id, {"email": ""}))
    side.see("deleted", lambda: api.delete(made.id))
    side.see("read when deleted", lambda: api.retrieve(made.id))
    side.see("deleted again", lambda: api.delete(made.id))
    side.see("changed when deleted", lambda: api.update(made.id, {"name": "C"}))
    side.see("never there", lambda: api.retrieve("cus_nobody"))


def methods(side: Side) -> None:
    """Cards come to a customer and go."""
    api, customer = side.api.payment_methods, side.customer()
    left = side.see("attached", lambda: api.attach("pm_card_visa", {"customer": customer}))
    side.see("read", lambda: api.retrieve(left.id))
    side.see("listed", lambda: api.list({"customer": customer, "type": "card"}))
    side.see("attached to nobody", lambda: api.attach("pm_card_visa", {"customer": "cus_nobody"}))
    side.see("detached", lambda: api.detach(left.id))
    side.see("listed when detached", lambda: api.list({"customer": customer, "type": "card"}))
    side.see("detached again", lambda: api.detach(left.id))
    side.see("attached again", lambda: api.attach(left.id, {"customer": customer}))
    side.see("declined when attached", lambda: api.attach("pm_card_visa_chargeDeclined", {"customer": customer}))
    side.see("declined when charged", lambda: api.attach("pm_card_chargeCustomerFail", {"customer": customer}))
    side.see("never there", lambda: api.retrieve("pm_nothing"))


def set_ups(side: Side) -> None:
    """Methods are left for later."""
    api, customer = side.api.setup_intents, side.customer()
    wanted = {"customer": customer, "usage": "off_session", **CARD}
    made = side.see("made", lambda: api.create(wanted))
    side.see("confirmed without method", lambda: api.confirm(made.id))
    side.see("confirmed", lambda: api.confirm(made.id, {"payment_method": "pm_card_visa"}))
    side.see("its method", lambda: side.api.payment_methods.retrieve(name_of(api.retrieve(made.id).payment_method)))
    side.see("confirmed again", lambda: api.confirm(made.id, {"payment_method": "pm_card_visa"}))
    side.see("cancelled too late", lambda: api.cancel(made.id))
    other = api.create(wanted)
    side.see("its bank wants the customer", lambda: api.confirm(other.id, {"payment_method": side.approved(side.api)}))
    side.see("cancelled", lambda: api.cancel(other.id))
    side.see("confirmed when cancelled", lambda: api.confirm(other.id, {"payment_method": "pm_card_visa"}))
    last = api.create(wanted)
    side.see("declined", lambda: api.confirm(last.id, {"payment_method": "pm_card_visa_chargeDeclined"}))
    side.see("read when declined", lambda: api.retrieve(last.id))
    side.see("never there", lambda: api.retrieve("seti_nothing"))


def payments(side: Side) -> None:
    """Cards on file are charged."""
    api, customer = side.api.payment_intents, side.customer()
    wanted = {**CREATED, "customer": customer, "payment_method": side.card(customer)}
    made = side.see("made", lambda: api.create(wanted))
    side.see("confirmed", lambda: api.confirm(made.id))
    side.see("its charge", lambda: side.api.charges.retrieve(name_of(api.retrieve(made.id).latest_charge)))
    side.see("confirmed again", lambda: api.confirm(made.id))
    side.see("cancelled too late", lambda: api.cancel(made.id))
    side.see("at once, off session", lambda: api.create({**wanted, "confirm": True, "off_session": True}))
    empty = side.see("made without method", lambda: api.create(CREATED))
    side.see("confirmed without method", lambda: api.confirm(empty.id))
    side.see("cancelled", lambda: api.cancel(empty.id))
    side.see("cancelled again", lambda: api.cancel(empty.id))
    side.see("confirmed when cancelled", lambda: api.confirm(empty.id))
    side.see("of nothing", lambda: api.create({**wanted, "amount": 0}))
    side.see("of half a cent", lambda: api.create({**wanted, "amount": "10.5"}))
    side.see("without currency", lambda: api.create({"amount": 1000}))
    side.see("of nobody", lambda: api.create({**CREATED, "customer": "cus_nobody"}))
    side.see("by nothing", lambda: api.create({**CREATED, "payment_method": "pm_nothing"}))
    side.see("never there", lambda: api.retrieve("pi_nothing"))


def declines(side: Side) -> None:
    """A card on file is declined."""
    api, customer = side.api.payment_intents, side.customer()
    wanted = {**CREATED, "customer": customer, "payment_method": side.card(customer, "pm_card_chargeCustomerFail")}
    made = api.create(wanted)
    side.see("declined", lambda: api.confirm(made.id))
    side.see("read", lambda: api.retrieve(made.id))
    side.see("its charge", lambda: side.api.charges.retrieve(name_of(api.retrieve(made.id).latest_charge)))
    side.see("refunded", lambda: side.api.refunds.create({"payment_intent": made.id}))
    side.see("confirmed again", lambda: api.confirm(made.id))
    side.see("cancelled", lambda: api.cancel(made.id))
    side.see("at once, off session", lambda: api.create({**wanted, "confirm": True, "off_session": True}))


def approvals(side: Side) -> None:
    """A card's bank wants the customer."""
    api, customer = side.api.payment_intents, side.customer()
    wanted = {**CREATED, "customer": customer, "payment_method": side.approved(side.api), "confirm": True}
    made = side.see("on session", lambda: api.create(wanted))
    side.see("cancelled", lambda: api.cancel(made.id))
    side.see("confirmed when cancelled", lambda: api.confirm(made.id))
    side.see("off session", lambda: api.create({**wanted, "off_session": True}))


def captures(side: Side) -> None:
    """Money is authorized first, and taken or let go."""
    api = side.api.payment_intents
    wanted = {**CREATED, "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
    made = side.see("authorized", lambda: api.create(wanted))
    side.see("its charge", lambda: side.api.charges.retrieve(name_of(made.latest_charge)))
    side.see("captured", lambda: api.capture(made.id))
    side.see("its charge when captured", lambda: side.api.charges.retrieve(name_of(made.latest_charge)))
    side.see("captured again", lambda: api.capture(made.id))
    side.see("cancelled too late", lambda: api.cancel(made.id))
    other = api.create(wanted)
    side.see("cancelled", lambda: api.cancel(other.id))
    side.see("its charge when cancelled", lambda: side.api.charges.retrieve(name_of(other.latest_charge)))
    side.see("captured when cancelled", lambda: api.capture(other.id))


def refunds(side: Side) -> None:
    """Money goes back, never more than came."""
    api, charge = side.api.refunds, name_of(side.paid().latest_charge)
    side.see("a part", lambda: api.create({"charge": charge, "amount": 300}))
    side.see("its charge", lambda: side.api.charges.retrieve(charge))
    side.see("another part", lambda: api.create({"charge": charge, "amount": 200, "metadata": {"why": "more"}}))
    side.see("listed", lambda: api.list({"charge": charge}))
    side.see("more than the rest", lambda: api.create({"charge": charge, "amount": 501}))
    side.see("the rest", lambda: api.create({"charge": charge}))
    whole = side.paid()
    made = side.see("the whole", lambda: api.create({"payment_intent": whole.id}))
    side.see("read", lambda: api.retrieve(made.id))
    side.see("its charge when whole", lambda: side.api.charges.retrieve(name_of(whole.latest_charge)))
    side.see("again", lambda: api.create({"payment_intent": whole.id}))
    side.see("of nothing", lambda: api.create({"charge": name_of(side.paid().latest_charge), "amount": 0}))
    side.see("of no charge", lambda: api.create({"charge": "ch_nothing"}))
    side.see("never there", lambda: api.retrieve("re_nothing"))


def events(side: Side) -> None:
    """What happened is told."""
    customer = side.customer()
    made = side.api.payment_intents.create(
        {**CREATED, "customer": customer, "payment_method": side.card(customer), "confirm": True}
    )
    found = [one for one in side.api.events.list({"limit": 100}).data if one.data.object.id in (customer, made.id)]
    side.seen["told"] = {"types": [one.type for one in found]}
    paid = [one for one in found if one.type == "payment_intent.succeeded"]
    side.see("read", lambda: side.api.events.retrieve(paid[0].id))
    side.see("never there", lambda: side.api.events.retrieve("evt_nothing"))


PLAYS = (customers, methods, set_ups, payments, declines, approvals, captures, refunds, events)


def differences(ours: dict[str, Seen], theirs: dict[str, Seen]) -> dict[str, tuple[Any, Any]]:
    """Where two answers differ, by step and field; where only one refuses, that is the difference."""
    found: dict[str, tuple[Any, Any]] = {}
    for step in ours:
        mine, other = ours[step], theirs[step]
        if ("http" in mine) != ("http" in other):
            found[step] = (outcome(mine), outcome(other))
        else:
            found |= {f"{step}: {key}": (mine[key], other[key]) for key in mine if mine[key] != other[key]}
    return found


def outcome(seen: Seen) -> str:
    """Refused by its status and code, or taken."""
    refused = f"{seen.get('http')} {seen.get('code') or ''}".strip()
    return refused if "http" in seen else str(seen.get("status", "taken"))
