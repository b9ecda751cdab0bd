"""Methods of payment that customers leave at PayPal: approved on its page, then kept as a token that may be charged."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from adapters.providers.paypal.orders import request_id
from adapters.providers.paypal.shapes import Token, named, read, where_to_go
from adapters.providers.paypal.transport import Told, Transport
from domain.errors import Invalid
from domain.payment import SetUp, SetUpReply

ACCOUNT = re.compile(r"[0-9A-Za-z\-_.^*$@#]{1,64}", re.ASCII)
"""What PayPal takes as our name of a customer."""
SET_UPS = UUID("6f1b7c0e-9d0c-5f7e-8a43-5d2a1c6f1f90")


class Vault:
    """PayPal's vault."""

    def __init__(self, transport: Transport) -> None:
        self._to = transport

    def set_up(self, wanted: SetUp) -> SetUpReply:
        """Opens the page; asked again when the customer has been there, it keeps the method and says what to charge."""
        if not ACCOUNT.fullmatch(wanted.account):
            return SetUpReply("over", text=f"PayPal does not take {wanted.account!r} as the name of a customer")
        key = request_id(SET_UPS, f"{wanted.account} {wanted.customer} {wanted.return_url}")
        told = self._to.ask("POST", "/v3/vault/setup-tokens", _wanted(wanted), key)
        if not told.done:
            return _refusal(told)
        try:
            return self._standing(read(Token, told.body).id)
        except Invalid as error:
            return SetUpReply("unknown", text=str(error)[:200])

    def kept(self, set_up: str) -> Told:
        """Keeps the method of a set-up that its customer approved; the answer is the token, the same one each time."""
        body = {"payment_source": {"token": {"id": named(set_up), "type": "SETUP_TOKEN"}}}
        return self._to.ask("POST", "/v3/vault/payment-tokens", body, request_id(SET_UPS, f"keep {set_up}"))

    def _standing(self, set_up: str) -> SetUpReply:
        """Raises: Invalid for an answer that cannot be read."""
        told = self._to.ask("GET", f"/v3/vault/setup-tokens/{named(set_up)}")
        if not told.done:
            return _refusal(told, set_up)
        seen = read(Token, told.body)
        if seen.status not in ("APPROVED", "VAULTED"):
            return SetUpReply("open", seen.id, where_to_go(seen.links))
        kept = self.kept(set_up)
        return SetUpReply("ready", read(Token, kept.body).id) if kept.done else _refusal(kept, set_up)


def _wanted(wanted: SetUp) -> dict[str, Any]:
    customer = {"id": wanted.customer} if wanted.customer else {}
    pages = {"return_url": wanted.return_url, "cancel_url": wanted.return_url}
    wallet = {
        "usage_type": "MERCHANT",
        "experience_context": {"shipping_preference": "NO_SHIPPING", **pages},
    }
    return {"customer": {**customer, "merchant_customer_id": wanted.account}, "payment_source": {"paypal": wallet}}


def _refusal(told: Told, set_up: str = "") -> SetUpReply:
    text = f"{told.status or 'lost'} {told.issue or told.text}"[:200]
    return SetUpReply("over" if told.refused else "unknown", set_up, text=text)
