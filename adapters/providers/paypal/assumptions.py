"""What we assume of PayPal, tried out with keys of its sandbox: what docs/providers.md says, and our sandbox does.

What needs a buyer's method on file is tried when one is given; what needs days or a dispute is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from adapters.providers.findings import Finding, differ, findings
from adapters.providers.paypal import PayPalPayments, Transport
from adapters.settings import PAYPAL
from domain.errors import Invalid
from domain.payment import Order, Refund, SetUp

BACK = "https://localhost/"


@dataclass
class Trial:
    """An account of PayPal's sandbox. Shapes: `method` is a vault id that may be charged, "" for none."""

    transport: Transport
    method: str = ""

    @property
    def port(self) -> PayPalPayments:
        return PayPalPayments(self.transport)

    def order(self, method: str = "", amount: int = 1000) -> Order:
        """An attempt of its own."""
        return Order(uuid4(), uuid4(), "INV-TRIAL", "trial", amount, "EUR", method=method, return_url=BACK)

    def capture(self, order: str, method: str = "", key: str = "") -> tuple[int, str]:
        """A capture as it would be sent by a worker that looks at nothing."""
        body = {"payment_source": {"paypal": {"vault_id": method}}} if method else {}
        told = self.transport.ask("POST", f"/v2/checkout/orders/{order}/capture", body, key or str(uuid4()))
        return told.status, told.issue


def confirm_assumptions(transport: Transport, method: str = "") -> Iterator[Finding]:
    """Tries every assumption. Raises: Invalid for keys of a live account."""
    if transport.endpoint == PAYPAL:
        raise Invalid("assumptions are tried with keys of PayPal's sandbox, a test account, never with live ones")
    return findings("paypal", TRIALS + (WITH_METHOD if method else ()), Trial(transport, method))


def created(trial: Trial) -> str:
    """An order that was created moves no money, and the same request id gives the same one."""
    wanted = trial.order("some-method")
    first, again = trial.port.create(wanted), trial.port.create(wanted)
    return differ((first.state, first.amount, again.object), ("open", 0, first.object))


def killed(trial: Trial) -> str:
    """An order whose intent was replaced is not captured any more."""
    made = trial.port.create(trial.order("some-method")).object
    seen = trial.port.cancel(made).state, trial.port.look(made).state, trial.capture(made, "some-method")
    return differ(seen, ("cancelled", "cancelled", (422, "ACTION_DOES_NOT_MATCH_INTENT")))


def with_customer(trial: Trial) -> str:
    """An order that is with its customer has a page, is not captured, and cannot be changed."""
    waits = trial.port.create(trial.order())
    seen = waits.state, bool(waits.url), trial.capture(waits.object), trial.port.cancel(waits.object).state
    return differ(seen, ("action_required", True, (422, "ORDER_NOT_APPROVED"), "action_required"))


def approval(trial: Trial) -> str:
    """An order for a method on file can be given to its customer instead, with a page of its own."""
    wanted = trial.order("some-method")
    made = trial.port.create(wanted).object
    page = trial.port.authenticate(wanted, made)
    return differ((page.state, page.object, bool(page.url)), ("action_required", made, True))


def no_such_method(trial: Trial) -> str:
    """A method that is not there is a decline, and moves nothing."""
    wanted = trial.order("nobody-knows-it")
    seen = trial.port.confirm(wanted, trial.port.create(wanted).object)
    return differ((seen.state, seen.code), ("declined", "TOKEN_ID_NOT_FOUND"))


def not_there(trial: Trial) -> str:
    """An order that is not there answers 404, and a capture that is not there has no refunds."""
    refund = Refund(uuid4(), "4040404040404040A", 100, "EUR")
    seen = trial.port.look("4040404040404040A").state, trial.port.find_refund(refund), trial.port.refund(refund).state
    return differ(seen, ("cancelled", None, "failed"))


def too_fine(trial: Trial) -> str:
    """Amounts of JPY have no decimals."""
    unit: Any = {"amount": {"currency_code": "JPY", "value": "10.50"}}
    told = trial.transport.ask("POST", "/v2/checkout/orders", {"intent": "CAPTURE", "purchase_units": [unit]})
    return differ((told.status, told.issue.startswith("DECIMAL")), (422, True))


def set_up(trial: Trial) -> str:
    """A page to leave a method on can be opened, and the same one again."""
    wanted = SetUp("trial", "Trial", "", f"{BACK}{uuid4()}")
    opened, again = trial.port.set_up(wanted), trial.port.set_up(wanted)
    return differ((opened.state, bool(opened.url), again.object), ("open", True, opened.object))


def listed(trial: Trial) -> str:
    """Events and transactions can be listed."""
    now = datetime.now(UTC)
    list(trial.port.hints(now - timedelta(days=1)))
    list(trial.port.movements(now - timedelta(days=40), now))
    return ""


def captured_once(trial: Trial) -> str:
    """Capturing takes the money once; again, under any request id, is ORDER_ALREADY_CAPTURED."""
    wanted = trial.order(trial.method)
    seen = trial.port.confirm(wanted, trial.port.create(wanted).object)
    again = trial.capture(seen.object, trial.method)
    return differ((seen.state, seen.amount, again), ("succeeded", 1000, (422, "ORDER_ALREADY_CAPTURED")))


def refunded(trial: Trial) -> str:
    """A refund is found by our reference in the order, and more than is left is refused."""
    wanted = trial.order(trial.method)
    paid = trial.port.confirm(wanted, trial.port.create(wanted).object)
    refund = Refund(uuid4(), paid.payment, 400, "EUR")
    given, found = trial.port.refund(refund), trial.port.find_refund(refund)
    more = trial.port.refund(Refund(uuid4(), paid.payment, 601, "EUR"))
    return differ((given.state, found and found.object, more.state), ("succeeded", given.object, "failed"))


TRIALS: tuple[Callable[[Trial], str], ...] = (
    created, killed, with_customer, approval, no_such_method, not_there, too_fine, set_up, listed,
)  # fmt: skip
WITH_METHOD: tuple[Callable[[Trial], str], ...] = (captured_once, refunded)
