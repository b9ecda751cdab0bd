"""The HTTP to PayPal: `paypalrestsdk` for tokens and kinds of errors, mended where it would hang, recurse or leak.

What the SDK does without this: no time-outs, a connection for each call, a token for each thread that comes first, an
endless recursion while a key is refused, 400 as an answer, bodies of `null`, our headers sent along for the token, and
headers with the token in its log. Source: ADR-0029.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from threading import Lock, local
from typing import Any, NamedTuple

import paypalrestsdk
import requests
from paypalrestsdk import exceptions

from adapters.settings import PAYPAL, PAYPAL_OR_LOOPBACK, PAYPAL_SANDBOX
from domain.errors import Invalid

EARLY = 0.8
"""A token is renewed when this part of its life is over, so that none expires on its way."""


class Told(NamedTuple):
    """What PayPal answered. Shapes: `status` is 0 when there was no answer that can be read: anything may be true."""

    status: int
    body: Mapping[str, Any] = {}
    text: str = ""

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether the request will never be taken, and certainly did nothing."""
        return self.status in (400, 404, 422)

    @property
    def issue(self) -> str:
        """PayPal's code of what is wrong: of the first detail, else of the whole."""
        details = self.body.get("details")
        first = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
        return str(first.get("issue") or self.body.get("name") or "")


class Transport(paypalrestsdk.Api):  # type: ignore[misc]
    """A merchant's connection to PayPal, for any number of threads. Units: `timeout` in seconds for each call."""

    def __init__(self, client: str, secret: str, base: str = PAYPAL, timeout: float = 25) -> None:
        if not PAYPAL_OR_LOOPBACK.fullmatch(base):
            raise Invalid(f"PayPal is at {PAYPAL}, {PAYPAL_SANDBOX} or on loopback, not at {base!r}")
        mode = "live" if base == PAYPAL else "sandbox"
        super().__init__(mode=mode, client_id=client, client_secret=secret, endpoint=base)
        self._timeout, self._local, self._lock, self._renew_at = timeout, local(), Lock(), 0.0

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Told:
        """One call, with what it came to as a value; it raises nothing for what the world may do.

        Shapes: `key` is sent as PayPal-Request-Id.
        """
        headers = {"Prefer": "return=representation"} | ({"PayPal-Request-Id": key} if key else {})
        try:
            return _told(200, self.request(f"{self.endpoint}{path}", method, body, headers))
        except exceptions.ConnectionError as error:
            return _refusal(error)
        except (requests.RequestException, ValueError) as error:
            return Told(0, text=type(error).__name__)

    def request(self, url: str, method: str, body: Any = None, headers: Any = None, refresh_token: None = None) -> Any:
        """Makes a call with the token there is, and once more with a new one when that is refused."""
        data = None if body is None else json.dumps(body)
        for attempt in (1, 2):
            own = self.headers()
            try:
                return self.http_call(url, method, data=data, headers={**own, **(headers or {})})
            except exceptions.UnauthorizedAccess:
                if attempt == 2:
                    raise
                self._forget(own["Authorization"])
        raise AssertionError("the second attempt answers or raises")

    def http_call(self, url: str, method: str, **words: Any) -> Any:
        """One exchange: with a time-out, on the thread's own connection, to where it was sent and nowhere else."""
        response = self._session().request(method, url, timeout=self._timeout, allow_redirects=False, **words)
        return self.handle_response(response, response.content.decode())

    def get_token_hash(self, authorization_code: None = None, refresh_token: None = None, headers: Any = None) -> Any:
        """The token: fetched by one thread while the others wait, renewed early, and without headers of other calls."""
        with self._lock:
            if time.monotonic() >= self._renew_at:
                self.token_hash = None
            if self.token_hash is None:
                found = super().get_token_hash(headers={})
                if not isinstance(found, dict) or not {"access_token", "token_type", "expires_in"} <= found.keys():
                    self.token_hash = None
                    raise ValueError("PayPal gave no token")
                self._renew_at = time.monotonic() + float(found["expires_in"]) * EARLY
            return self.token_hash

    def _forget(self, authorization: str) -> None:
        """Drops the token that was refused, but not one that another thread has fetched since."""
        with self._lock:
            held = self.token_hash
            if held and f"{held['token_type']} {held['access_token']}" == authorization:
                self.token_hash = None

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            # Without it, a .netrc file of the machine would replace our Authorization.
            self._local.session.auth = _as_it_is
        session: requests.Session = self._local.session
        return session


def _as_it_is(request: Any) -> Any:
    return request


def _told(status: int, body: Any) -> Told:
    return Told(status, body) if isinstance(body, dict) else Told(0, text="no object")


def _refusal(error: exceptions.ConnectionError) -> Told:
    """An error that PayPal answered with. An error page of something in between is no answer of PayPal."""
    status = int(error.response.status_code)
    try:
        body = json.loads(error.content)
    except (TypeError, ValueError):
        return Told(0, text=f"{status} without JSON")
    return _told(status, body)
