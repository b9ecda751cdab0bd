"""How PayPal's desk in the sandbox speaks: errors, amounts and instants as PayPal writes them, and its test payers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from adapters.sandbox.desk import Answer
from domain.chargeable import PAYPAL_WHOLE

HOUR, DAY = 3600.0, 86400.0
Json = dict[str, Any]


class Payer(NamedTuple):
    """What happens when a payer's method is charged.

    Shapes: `issue` refuses the capture; else it has `status` for `reason`, and after `after` seconds `ends`. Refunds to
    him have `refund`, and after three days `refund_ends`.
    """

    about: str
    issue: str = ""
    status: str = "COMPLETED"
    reason: str = ""
    after: float = 0
    ends: str = "COMPLETED"
    refund: str = "COMPLETED"
    refund_ends: str = "COMPLETED"


PAYERS = {
    "payer-good": Payer("pays"),
    "payer-declined": Payer("his card is declined", issue="INSTRUMENT_DECLINED"),
    "payer-locked": Payer("his account is locked", issue="PAYER_ACCOUNT_LOCKED_OR_CLOSED"),
    "payer-refused": Payer("the capture itself is declined", status="DECLINED"),
    "payer-echeck": Payer("pays by bank, three days later", status="PENDING", reason="ECHECK", after=3 * DAY),
    "payer-bounces": Payer("his bank refuses five days later", "", "PENDING", "ECHECK", 5 * DAY, "DECLINED"),
    "payer-review": Payer("PayPal looks at it for a day", status="PENDING", reason="PENDING_REVIEW", after=DAY),
    "payer-approves": Payer("has to approve on PayPal's page", issue="PAYER_ACTION_REQUIRED"),
    "payer-slow-refund": Payer("pays; refunds take three days", refund="PENDING"),
    "payer-no-refund": Payer("pays; refunds fail after three days", refund="PENDING", refund_ends="FAILED"),
}
"""By the test id of the method, which `tally accounts pay-by ACCOUNT paypal customer-1 ID` takes."""

SAID = {
    400: ("INVALID_REQUEST", "Request is not well-formed, syntactically incorrect, or violates schema."),
    401: (
        "AUTHENTICATION_FAILURE",
        "Authentication failed due to missing authorization header, or invalid authentication credentials.",
    ),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    409: ("RESOURCE_CONFLICT", "The server has detected a conflict while processing this request."),
    422: (
        "UNPROCESSABLE_ENTITY",
        "The requested action could not be performed, semantically incorrect, or failed business validation.",
    ),
    500: ("INTERNAL_SERVER_ERROR", "An internal server error occurred."),
}


def refused(status: int, issue: str = "", links: Sequence[Json] = ()) -> Answer:
    """An error as PayPal words it."""
    name, message = SAID[status]
    details: Json = {"details": [{"issue": issue}]} if issue else {}
    more: Json = {"links": list(links)} if links else {}
    return Answer(status, {"name": name, "message": message, "debug_id": "90957fca61718", **details, **more})


def money(amount: int, currency: str) -> Json:
    """An amount as PayPal writes it. Units: PayPal's own."""
    exponent = 0 if currency in PAYPAL_WHOLE else 2
    return {"currency_code": currency, "value": f"{Decimal(amount).scaleb(-exponent):f}"}


def units(written: Mapping[str, str]) -> int:
    """An amount in PayPal's own units; -1 for what is none."""
    exponent = 0 if written["currency_code"] in PAYPAL_WHOLE else 2
    count = Decimal(written["value"]).scaleb(exponent)
    return int(count) if count == int(count) else -1


def instant(seconds: float) -> str:
    """An instant as PayPal writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def link(href: str, rel: str, method: str = "GET") -> Json:
    """A link as PayPal writes it."""
    return {"href": href, "rel": rel, "method": method}
