"""PayPal's counter in the sandbox: paths, tokens, keys and pages, as PayPal's OpenAPI documents have them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from copy import deepcopy
from threading import Lock, RLock
from typing import Any

from adapters.sandbox.courier import Courier
from adapters.sandbox.desk import Answer, Asked, Clock, Keys
from adapters.sandbox.paypal_books import Books
from adapters.sandbox.paypal_cases import Cases
from adapters.sandbox.paypal_events import CERTIFICATE, ROOT, Events, pem
from adapters.sandbox.paypal_pages import page
from adapters.sandbox.paypal_report import transactions
from adapters.sandbox.paypal_vault import Tokens
from adapters.sandbox.paypal_words import DAY, HOUR, refused

TOKEN_LIVES = 9 * HOUR
ORDER = re.compile(r"/v2/checkout/orders/([A-Z0-9]{1,36})(?:/(capture|confirm-payment-source))?")
CAPTURE = re.compile(r"/v2/payments/captures/([A-Z0-9]+)(?:/(refund))?")
REFUND = re.compile(r"/v2/payments/refunds/([A-Z0-9]+)")
SET_UP = re.compile(r"/v3/vault/setup-tokens/([0-9A-Za-z_-]{7,36})")
TOKEN = re.compile(r"/v3/vault/payment-tokens/([0-9A-Za-z_-]{7,36})")
DISPUTE = re.compile(r"/v1/customer/disputes/([0-9A-Z-]+)")
Read = Callable[[Asked], Answer | None]


class PayPalDesk:
    """One merchant's account.

    Shapes: `books` is what really happened; `observe` sees every request with its answer; `busy` is called while a
    writing request is under way, with nothing locked. Units: `base` is the address of this desk.
    """

    def __init__(self, clock: Clock, courier: Courier, base: str) -> None:
        self.clock, self.events = clock, Events(clock, courier, base)
        self.books, self.tokens = Books(clock, self.events), Tokens(self.events)
        self.cases = Cases(self.books)
        self.keys = {
            "/v2/checkout/": Keys(clock, 6 * HOUR), "/v2/payments/": Keys(clock, 45 * DAY),
            "/v3/vault/": Keys(clock, 3 * HOUR),
        }  # fmt: skip
        self.access: dict[str, float] = {}
        self.token_calls = 0
        self.observe: Callable[[Asked, Answer], None] = lambda asked, answer: None
        self.busy: Callable[[], None] = lambda: None
        self.lock, self._under_way, self._guard = RLock(), set[str](), Lock()

    def tick(self) -> None:
        """Lets happen what the clock has passed."""
        with self.lock:
            self.books.settle()

    def answer(self, asked: Asked, saved_error: bool) -> Answer:
        answer = self._open(asked) or self._known(asked) or self._answer(asked, saved_error)
        self.observe(asked, answer)
        return answer

    def _open(self, asked: Asked) -> Answer | None:
        """What is answered without a token: the token itself, certificates, and pages."""
        self.tick()
        with self.lock:
            if asked.path == "/v1/oauth2/token":
                return self._grant(asked)
            if asked.path == CERTIFICATE:
                return Answer(200, self.events.signer.pem)
            if asked.path == ROOT:
                return Answer(200, pem(self.events.signer.root))
            return page(asked, self.books, self.tokens)

    def _grant(self, asked: Asked) -> Answer:
        self.token_calls += 1
        given = asked.headers.get("authorization", "").partition(" ")[2]
        client = base64.b64decode(given, validate=False).decode(errors="replace").partition(":")[0]
        if not client.startswith("sandbox") or "paypal-request-id" in asked.headers:
            return Answer(401, {"error": "invalid_client", "error_description": "Client Authentication failed"})
        token = f"A21AA{self.token_calls:06d}"
        self.access[token] = self.clock.now + TOKEN_LIVES
        return Answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": int(TOKEN_LIVES)})

    def _known(self, asked: Asked) -> Answer | None:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        return None if self.access.get(token, 0.0) > self.clock.now else refused(401)

    def _answer(self, asked: Asked, saved_error: bool) -> Answer:
        key = asked.headers.get("paypal-request-id", "")
        if asked.method == "GET":
            with self.lock:
                return deepcopy(self._read(asked)) or refused(404, "INVALID_RESOURCE_ID")
        with self._guard:
            if key and key in self._under_way:
                return refused(409, "PREVIOUS_REQUEST_IN_PROGRESS")
            self._under_way.add(key)
        try:
            self.busy()
            with self.lock:
                return deepcopy(self._once(asked, key, saved_error))
        finally:
            self._under_way.discard(key)

    def _once(self, asked: Asked, key: str, saved_error: bool) -> Answer:
        try:
            wanted = json.loads(asked.body or b"null")
        except ValueError:
            return refused(400, "MALFORMED_REQUEST_JSON")
        keys = next((one for prefix, one in self.keys.items() if asked.path.startswith(prefix)), None)

        def write() -> Answer:
            answer = deepcopy(self._write(asked, wanted))
            return refused(500) if saved_error else answer

        # PayPal gives the saved answer for the id, whatever else is asked under it.
        return keys.once(key, asked.path, write, write) if keys and asked.method == "POST" else write()

    def _read(self, asked: Asked) -> Answer | None:
        path = asked.path
        if (found := ORDER.fullmatch(path)) and (held := self.books.order(found[1])):
            return Answer(200, held["order"])
        for kind, shape in (("capture", CAPTURE), ("refund", REFUND)):
            if (found := shape.fullmatch(path)) and self.books.found.get(found[1], {}).get("kind") == kind:
                return Answer(200, self.books.found[found[1]]["body"])
        if (found := SET_UP.fullmatch(path)) and found[1] in self.tokens.set_ups:
            return Answer(200, self.tokens.set_ups[found[1]]["body"])
        if (found := TOKEN.fullmatch(path)) and found[1] in self.tokens.tokens:
            return Answer(200, self.tokens.tokens[found[1]])
        if (found := DISPUTE.fullmatch(path)) and found[1] in self.cases.disputes:
            return Answer(200, self.cases.disputes[found[1]])
        return self._list(asked)

    def _list(self, asked: Asked) -> Answer | None:
        if asked.path == "/v1/customer/disputes":
            return Answer(200, self.cases.about(asked.query.get("disputed_transaction_id", "")))
        if asked.path == "/v1/notifications/webhooks-events":
            return Answer(200, self.events.listed(asked.query))
        if asked.path == "/v1/reporting/transactions":
            return Answer(200, transactions(self.books.balance, asked.query))
        return None

    def _write(self, asked: Asked, wanted: Any) -> Answer:
        if asked.path == "/v2/checkout/orders":
            return self.books.create(wanted)
        if (found := ORDER.fullmatch(asked.path)) and self.books.order(found[1]):
            return self._order(asked.method, found[1], found[2] or "", wanted)
        if (found := CAPTURE.fullmatch(asked.path)) and found[1] in self.books.found and found[2]:
            return self.books.refund(found[1], wanted)
        if asked.path == "/v3/vault/setup-tokens":
            return self.tokens.set_up(wanted)
        if asked.path == "/v3/vault/payment-tokens":
            return self.tokens.keep(wanted)
        if (found := TOKEN.fullmatch(asked.path)) and asked.method == "DELETE":
            self.tokens.revoke(found[1])
            return Answer(204)
        return refused(404, "INVALID_RESOURCE_ID")

    def _order(self, method: str, number: str, verb: str, wanted: Any) -> Answer:
        if method == "PATCH":
            return self.books.patch(number, wanted)
        wallet = (wanted or {}).get("payment_source", {}).get("paypal")
        if verb == "capture":
            on_file = self.tokens.payers.get(wallet.get("vault_id", "")) if wallet else None
            return self.books.capture(number, on_file, by_method=wallet is not None)
        status = self.books.orders[number]["order"]["status"]
        if status != "CREATED":
            return refused(422, "ORDER_CANNOT_BE_CONFIRMED" if status == "COMPLETED" else "PAYMENT_ALREADY_APPROVED")
        return self.books.send_to_page(number, wallet or {})
