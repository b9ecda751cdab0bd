"""PayPal's vault in the sandbox: set-ups that a customer approves, and tokens that he may take back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.sandbox.desk import Answer
from adapters.sandbox.paypal_events import Events
from adapters.sandbox.paypal_words import PAYERS, Json, Payer, link, refused


@dataclass
class Tokens:
    """Methods on file. Shapes: `payers` by token; the test payers are there from the start."""

    events: Events
    set_ups: dict[str, Json] = field(default_factory=dict)
    tokens: dict[str, Json] = field(default_factory=lambda: {name: _test_token(name) for name in PAYERS})
    payers: dict[str, Payer] = field(default_factory=lambda: dict(PAYERS))
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def set_up(self, wanted: Mapping[str, Any]) -> Answer:
        """Opens a page on which a customer leaves a method."""
        number, wallet = f"SETUP{next(self.numbers):08d}", wanted["payment_source"].get("paypal")
        if wallet is None:
            return refused(422, "PAYMENT_SOURCE_NOT_SUPPORTED")
        page = link(f"{self.events.base}/agreements/approve?approval_session_id={number}", "approve")
        body = {
            "id": number, "status": "PAYER_ACTION_REQUIRED", "payment_source": {"paypal": wallet},
            "customer": self._customer(wanted.get("customer", {})), "links": [self._itself(number), page],
        }  # fmt: skip
        self.set_ups[number] = {"body": body, "return_url": wallet.get("experience_context", {}).get("return_url", "")}
        return Answer(201, body)

    def approve(self, number: str, payer: str) -> None:
        """The customer agrees."""
        held = self.set_ups[number]
        if held["body"]["status"] == "PAYER_ACTION_REQUIRED":
            held["body"]["status"], held["payer"], held["body"]["links"] = "APPROVED", payer, [self._itself(number)]

    def keep(self, wanted: Mapping[str, Any]) -> Answer:
        """Makes a token of an approved set-up, once."""
        held = self.set_ups.get(wanted["payment_source"].get("token", {}).get("id", ""))
        if held is None or held["body"]["status"] not in ("APPROVED", "VAULTED"):
            return refused(422, "TOKEN_NOT_APPROVED" if held else "TOKEN_NOT_FOUND")
        if held["body"]["status"] == "APPROVED":
            number = f"vault-{next(self.numbers):08d}"
            email = {"email_address": f"{held['payer']}@example.com"}
            held["token"] = {"id": number, "customer": held["body"]["customer"], "payment_source": {"paypal": email}}
            self.tokens[number], self.payers[number] = held["token"], PAYERS[held["payer"]]
            held["body"]["status"] = "VAULTED"
            self.events.tell("VAULT.PAYMENT-TOKEN.CREATED", "payment_token", held["token"])
        return Answer(201, held["token"])

    def revoke(self, token: str) -> None:
        """The customer, or we, take a method back: nothing can be charged by it any more."""
        held = self.tokens.pop(token, None)
        self.payers.pop(token, None)
        if held:
            of = {"id": token, "customer": held["customer"]}
            self.events.tell("VAULT.PAYMENT-TOKEN.DELETED", "payment_token", of)

    def _itself(self, number: str) -> Json:
        return link(f"{self.events.base}/v3/vault/setup-tokens/{number}", "self")

    def _customer(self, given: Mapping[str, str]) -> Json:
        return {"id": f"customer-{next(self.numbers)}", **given}


def _test_token(name: str) -> Json:
    wallet = {"email_address": f"{name}@example.com"}
    return {"id": name, "customer": {"id": "customer-1"}, "payment_source": {"paypal": wallet}}
