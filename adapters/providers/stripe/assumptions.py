"""What we assume of Stripe, tried out one by one with a test key: what docs/providers.md says, and the sandbox does.

Each trial answers with what differs, "" when nothing does. No money moves: the key is one of a test account.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import stripe

from adapters.providers.findings import Finding, differ, findings
from adapters.providers.stripe import StripePayments
from adapters.providers.stripe.calls import key_of, name_of, reference
from domain.errors import Invalid
from domain.news import Hint
from domain.payment import Order, Refund, Reply, SetUp

BACK = "https://localhost/"
T = TypeVar("T")


@dataclass
class Trial:
    """A test account, a customer of it, and a card on file. Units: `patience` in seconds for what Stripe does later."""

    port: StripePayments
    patience: float = 20.0
    customer: str = ""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def api(self) -> Any:
        """Stripe's first version of its API."""
        return self.port.client.v1

    def card(self, name: str = "pm_card_visa") -> str:
        """A test card on file of the customer."""
        return str(self.api.payment_methods.attach(name, {"customer": self.customer}).id)

    def order(self, method: str, amount: int = 1000) -> Order:
        """An attempt of its own."""
        words = {"customer": self.customer, "method": method, "return_url": BACK, "opened_at": self.began}
        return Order(uuid4(), uuid4(), "INV-TRIAL", "trial", amount, "EUR", **words)  # type: ignore[arg-type]

    def paid(self, name: str = "pm_card_visa") -> tuple[Order, Reply]:
        """An attempt that was confirmed."""
        wanted = self.order(self.card(name))
        return wanted, self.port.confirm(wanted, self.port.create(wanted).object)

    def event(self, kind: str, about: str) -> Hint | None:
        """An event about an object, which Stripe may list some seconds later."""
        named, since = f'"{about}"'.encode(), self.began - timedelta(minutes=10)
        return self.soon(lambda: (one for one in self.port.hints(since) if one.kind == kind and named in one.body))

    def soon(self, look: Callable[[], Iterable[T]]) -> T | None:
        """The first of what is looked for, again and again while there is patience."""
        until = time.monotonic() + self.patience
        while True:
            for found in look():
                return found
            if time.monotonic() > until:
                return None
            time.sleep(1)


def confirm_assumptions(port: StripePayments, key: str, patience: float = 20.0) -> Iterator[Finding]:
    """Tries every assumption. Raises: Invalid for a key that is not one of a test account."""
    if not key.startswith("sk_test_"):
        raise Invalid("assumptions are tried with a key of a test account (sk_test_…), never with another one")
    trial = Trial(port, patience)
    trial.customer = trial.api.customers.create({"name": "Trial"}).id
    yield from findings("stripe", TRIALS, trial)


def _refusal(call: Callable[[], object]) -> tuple[str, str]:
    try:
        call()
    except stripe.StripeError as error:
        return type(error).__name__, error.code or ""
    return "nothing", ""


def created(trial: Trial) -> str:
    """An intent that was created moves no money, and the same key gives the same one."""
    wanted = trial.order(trial.card())
    first, again = trial.port.create(wanted), trial.port.create(wanted)
    return differ((first.state, first.amount, again.object), ("open", 0, first.object))


def other_words(trial: Trial) -> str:
    """A key that was used with other words is refused as an idempotency error."""
    wanted: Any = {"currency": "eur", "amount": 1000}
    key = key_of(uuid4(), "trial")
    trial.api.payment_intents.create(wanted, key)
    again = _refusal(lambda: trial.api.payment_intents.create({**wanted, "amount": 1001}, key))
    return differ(again[0], "IdempotencyError")


def confirmed_once(trial: Trial) -> str:
    """Confirming takes the money once; a second confirm is refused because of the intent's state."""
    _, seen = trial.paid()
    again = _refusal(lambda: trial.api.payment_intents.confirm(seen.object, {"return_url": BACK}))
    return differ((seen.state, seen.amount, again[1]), ("succeeded", 1000, "payment_intent_unexpected_state"))


def listed(trial: Trial) -> str:
    """The list of a customer's intents shows one just made, with our references."""
    wanted = trial.order(trial.card())
    made, found = trial.port.create(wanted), trial.port.find(wanted)
    return differ(found and found.object, made.object)


def cancelled(trial: Trial) -> str:
    """A cancelled intent is never confirmed."""
    wanted = trial.order(trial.card())
    made = trial.port.create(wanted)
    return differ(
        (trial.port.cancel(made.object).state, trial.port.confirm(wanted, made.object).state),
        ("cancelled", "cancelled"),
    )


def declined(trial: Trial) -> str:
    """A decline is 402, its reason stays on the intent, and the intent can be made dead."""
    _, seen = trial.paid("pm_card_chargeCustomerFail")
    return differ(
        (seen.state, seen.code, trial.port.cancel(seen.object).state), ("declined", "generic_decline", "cancelled")
    )


def approval(trial: Trial) -> str:
    """A bank that wants its customer leaves the intent open, and the same intent gives an address for him."""
    wanted, seen = trial.paid("pm_card_authenticationRequired")
    there = trial.port.authenticate(wanted, seen.object)
    trial.port.cancel(seen.object)
    return differ(
        (seen.state, seen.code, there.state, there.object, bool(there.url)),
        ("action_required", "authentication_required", "action_required", seen.object, True),
    )


def too_small(trial: Trial) -> str:
    """An amount below the minimum is refused, and nothing is made."""
    return differ(
        _refusal(lambda: trial.api.payment_intents.create({"currency": "eur", "amount": 10})),
        ("InvalidRequestError", "amount_too_small"),
    )


def too_fine(trial: Trial) -> str:
    """Amounts of KWD are taken in tens only."""
    seen = _refusal(lambda: trial.api.payment_intents.create({"currency": "kwd", "amount": 10_001}))
    return differ(seen[0], "InvalidRequestError")


def page(trial: Trial) -> str:
    """A page to pay on is open, found by our reference, and dead once it is expired."""
    wanted = trial.order("")
    opened, found = trial.port.create(wanted), trial.port.find(wanted)
    states = (opened.state, found and found.object, trial.port.cancel(opened.object).state)
    return differ((*states, trial.port.look(opened.object).state),
                   ("action_required", opened.object, "cancelled", "cancelled"))  # fmt: skip


def set_up(trial: Trial) -> str:
    """A page to leave a card or a mandate on can be opened for a customer."""
    opened = trial.port.set_up(SetUp("trial", "Trial", "", BACK, trial.customer))
    return differ((opened.state, bool(opened.url)), ("open", True))


def refunded(trial: Trial) -> str:
    """A refund moves at once, is found by our reference, and more than is left is refused."""
    _, seen = trial.paid()
    wanted = Refund(uuid4(), seen.payment, 400, "EUR")
    given, found = trial.port.refund(wanted), trial.port.find_refund(wanted)
    more = trial.port.refund(Refund(uuid4(), seen.payment, 601, "EUR"))
    return differ((given.state, found and found.object, more.state), ("succeeded", given.object, "failed"))


def refunded_whole(trial: Trial) -> str:
    """What was refunded whole is refused with charge_already_refunded."""
    _, seen = trial.paid()
    trial.port.refund(Refund(uuid4(), seen.payment, 1000, "EUR"))
    return differ(trial.port.refund(Refund(uuid4(), seen.payment, 1, "EUR")).code, "charge_already_refunded")


def disputed(trial: Trial) -> str:
    """A dispute names its charge and says what was withdrawn, without the fee."""
    _, seen = trial.paid("pm_card_createDispute")
    until = time.monotonic() + trial.patience
    while not (found := trial.api.disputes.list({"charge": seen.payment}).data) and time.monotonic() < until:
        time.sleep(1)
    hint = trial.event("charge.dispute.created", found[0].id) if found else None
    news = trial.port.news(hint) if hint else ()
    return differ([(getattr(one, "payment", ""), getattr(one, "withdrawn", 0)) for one in news], [(seen.payment, 1000)])


def news_of_payment(trial: Trial) -> str:
    """Events of a payment and of its charge lead to the intent and our references."""
    wanted, seen = trial.paid()
    hints = [trial.event("payment_intent.succeeded", seen.object), trial.event("charge.succeeded", seen.payment)]
    news = {one for hint in hints if hint for one in trial.port.news(hint)}
    found = [(getattr(one, "object", ""), getattr(one, "attempt", None)) for one in news]
    return differ((len(hints), found), (2, [(seen.object, wanted.attempt)]))


def detached(trial: Trial) -> str:
    """An event of a method that was detached says whose it was."""
    method = trial.card()
    trial.api.payment_methods.detach(method)
    hint = trial.event("payment_method.detached", method)
    news = trial.port.news(hint) if hint else ()
    return differ([getattr(one, "customer", "") for one in news], [trial.customer])


def deleted(trial: Trial) -> str:
    """A customer that was deleted is still read, as deleted."""
    made = trial.api.customers.create({"name": "Trial"})
    trial.api.customers.delete(made.id)
    return differ(getattr(trial.api.customers.retrieve(made.id), "deleted", False), True)


def balance(trial: Trial) -> str:
    """A charge has a line of the balance, whose source is the charge; captured in the background, it comes later."""
    _, seen = trial.paid()
    line: Any = trial.soon(lambda: trial.api.balance_transactions.list({"source": seen.payment}).data)
    return differ(line and (name_of(line.source), line.reporting_category), (seen.payment, "charge"))


def inherited(trial: Trial) -> str:
    """What is read of an intent bears our references as they were written."""
    wanted, seen = trial.paid()
    intent = trial.api.payment_intents.retrieve(seen.object)
    return differ(UUID(reference(intent, "attempt")), wanted.attempt)


TRIALS: tuple[Callable[[Trial], str], ...] = (
    created, other_words, confirmed_once, listed, inherited, cancelled, declined, approval, too_small, too_fine, page,
    set_up, refunded, refunded_whole, disputed, news_of_payment, detached, deleted, balance,
)  # fmt: skip
