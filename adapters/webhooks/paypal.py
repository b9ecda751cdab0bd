"""PayPal's webhooks: the certificate is fetched from PayPal only, chained to pinned roots, and the signature checked.

The signature covers a CRC32 of the body, so that another body with the same one passes: what this verifies is that
PayPal sent something for us, and no more. The hint names objects, which are read. Source: ADR-0029.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import certifi
import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from adapters.settings import PAYPAL, PAYPAL_SANDBOX
from adapters.webhooks.strict_json import read_object
from adapters.webhooks.verifier import Headers, Rejected, only_header
from domain.errors import Invalid
from domain.news import Hint

SIGNERS = {PAYPAL: "messageverificationcerts.paypal.com"}
TEST_SIGNER = "messageverificationcerts.sandbox.paypal.com"
CERTIFICATE = r"/v1/notifications/certs/CERT-[0-9A-Za-z-]{1,80}"
HOSTS = {PAYPAL: r"https://api(?:-m)?\.paypal\.com", PAYPAL_SANDBOX: r"https://api(?:-m)?\.sandbox\.paypal\.com"}
ROOT_OWNER = "DigiCert Inc"
ALGORITHM = b"SHA256withRSA"
SIMULATOR = "WEBHOOK_ID"
OLDEST, NEWEST = timedelta(days=3, hours=1), timedelta(minutes=5)
MOST_BYTES, PATIENCE, MOST_CERTIFICATES = 16 * 1024, 5.0, 6
CACHED, MINUTE = 8, 60.0

TRANSMISSION = re.compile(rb"[0-9A-Za-z-]{8,64}")
TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")
SIGNATURE = re.compile(rb"[0-9A-Za-z+/]{1,1024}={0,2}")
EVENT = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
KIND = re.compile(r"[A-Z][A-Z0-9._-]{1,100}", re.ASCII)

Roots = Callable[[], Sequence[x509.Certificate]]


class Sent(NamedTuple):
    """What the headers say."""

    transmission: bytes
    time: bytes
    signature: bytes
    address: str


class PayPalVerifier:
    """PayPal's endpoint.

    Shapes: `base` is the API that our keys are for: live, sandbox or on loopback; `roots` are asked for once.
    """

    provider = "paypal"

    def __init__(self, webhook_id: str, base: str, roots: Roots, fetches_a_minute: int = 6) -> None:
        if not EVENT.fullmatch(webhook_id) or webhook_id == SIMULATOR:
            raise Invalid("PayPal's webhooks need the id that PayPal gave our webhook")
        self._id, self._roots, self._store = webhook_id, roots, list[x509.Certificate]()
        self._address = re.compile(HOSTS.get(base, re.escape(base)) + CERTIFICATE, re.ASCII)
        self._signer = SIGNERS.get(base, TEST_SIGNER)
        self._cache: dict[str, list[x509.Certificate]] = {}
        self._fetched: deque[float] = deque(maxlen=fetches_a_minute)
        self._lock = Lock()

    def verify(self, headers: Headers, body: bytes, now: datetime) -> Hint:
        """The hint of a webhook that PayPal sent for us. Raises: Rejected."""
        sent = self._sent(headers)
        _check_time(sent.time, now)
        self._check(sent, self._key(sent.address, now), body)
        return _hint(read_object(body), body)

    def _sent(self, headers: Headers) -> Sent:
        if only_header(headers, b"paypal-auth-algo", "algorithm") != ALGORITHM:
            raise Rejected("algorithm_unknown", f"the algorithm is not {ALGORITHM.decode()}")
        address = _matching(headers, b"paypal-cert-url", "cert_url", re.compile(self._address.pattern.encode()))
        return Sent(
            _matching(headers, b"paypal-transmission-id", "transmission_id", TRANSMISSION),
            _matching(headers, b"paypal-transmission-time", "transmission_time", TIME),
            _decoded(_matching(headers, b"paypal-transmission-sig", "signature", SIGNATURE)),
            address.decode(),
        )

    def _check(self, sent: Sent, key: rsa.RSAPublicKey, body: bytes) -> None:
        if self._is_signed(sent, key, self._id, body):
            return
        if self._is_signed(sent, key, SIMULATOR, body):
            raise Rejected("simulated", "this is an event of PayPal's simulator, which means nothing")
        raise Rejected("signature_mismatch", "the signature is not for this body and our webhook")

    @staticmethod
    def _is_signed(sent: Sent, key: rsa.RSAPublicKey, webhook: str, body: bytes) -> bool:
        message = b"|".join([sent.transmission, sent.time, webhook.encode(), str(zlib.crc32(body)).encode()])
        try:
            key.verify(sent.signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    def _key(self, address: str, now: datetime) -> rsa.RSAPublicKey:
        """The key of a certificate that was issued to PayPal's signer and is good now."""
        leaf, *between = self._chain(address)
        policy = PolicyBuilder().store(self._trusted()).time(now.astimezone(UTC).replace(tzinfo=None))
        try:
            policy.build_server_verifier(x509.DNSName(self._signer)).verify(leaf, between)
        except (VerificationError, ValueError) as error:
            with self._lock:
                self._cache.pop(address, None)  # PayPal may put a better one there
            raise Rejected("certificate_untrusted", f"the certificate is not good: {error}"[:300]) from None
        key = leaf.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise Rejected("certificate_untrusted", "the certificate is not for RSA")
        return key

    def _trusted(self) -> Store:
        with self._lock:
            if not self._store:
                self._store.extend(self._roots())
            return Store(self._store)

    def _chain(self, address: str) -> list[x509.Certificate]:
        """The certificates at an address, the signer's first; fetched seldom, whatever addresses arrive."""
        with self._lock:
            if address in self._cache:
                return self._cache[address]
            oldest, full = (self._fetched[0] if self._fetched else 0.0), len(self._fetched) == self._fetched.maxlen
            if full and time.monotonic() - oldest < MINUTE:
                raise Rejected("too_many_certificates", "too many certificates were asked for", 503)
            self._fetched.append(time.monotonic())
        found = certificates(fetch(address))
        with self._lock:
            while len(self._cache) >= CACHED:
                self._cache.pop(next(iter(self._cache)))
            self._cache[address] = found
        return found


def paypal_verifier(webhook_id: str, base: str) -> PayPalVerifier:
    """The verifier for the API that our keys are for. Raises: Invalid without a webhook id."""
    roots = pinned_roots if base in (PAYPAL, PAYPAL_SANDBOX) else partial(sandbox_roots, base)
    return PayPalVerifier(webhook_id, base, roots)


def pinned_roots() -> Sequence[x509.Certificate]:
    """The roots of the one authority that PayPal's certificates are from."""
    with open(certifi.where(), encoding="ascii") as file:
        blocks = file.read().split("# Issuer: ")
    # Others of the bundle are not even parsed: some break today's rules.
    found = [x509.load_pem_x509_certificate(one.encode()) for one in blocks if f"O={ROOT_OWNER} " in one]
    return [one for one in found if _owners(one) == [ROOT_OWNER]]


def sandbox_roots(base: str) -> Sequence[x509.Certificate]:
    """The root that a sandbox on loopback made at its start. Raises: Rejected when it does not answer."""
    return certificates(fetch(f"{base}/v1/notifications/certs/ROOT"))


def _owners(one: x509.Certificate) -> list[Any]:
    return [name.value for name in one.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]


def fetch(address: str) -> bytes:
    """What is at an address: without redirects, bounded in size and time. Raises: Rejected, to be delivered again."""
    until, found = time.monotonic() + PATIENCE, bytearray()
    try:
        with requests.get(
            address, timeout=PATIENCE, allow_redirects=False, stream=True, headers={"Accept-Encoding": "identity"},
            auth=lambda request: request,
        ) as response:  # fmt: skip
            if response.status_code != 200:
                raise Rejected("certificate_unavailable", f"its address answers {response.status_code}", 503)
            # Byte by byte, so that one that dribbles is left in time.
            for byte in response.iter_content(1):
                found += byte
                if len(found) > MOST_BYTES or time.monotonic() > until:
                    raise Rejected("certificate_unavailable", "it is too large, or comes too slowly", 503)
    except requests.RequestException as error:
        raise Rejected("certificate_unavailable", f"it cannot be fetched: {type(error).__name__}", 503) from None
    return bytes(found)


def certificates(pem: bytes) -> list[x509.Certificate]:
    """The certificates in a PEM file. Raises: Rejected."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        found = []
    if not 1 <= len(found) <= MOST_CERTIFICATES:
        raise Rejected("certificate_unavailable", "its address holds no certificates", 503)
    return found


def _matching(headers: Headers, name: bytes, code: str, shape: re.Pattern[bytes]) -> bytes:
    value = only_header(headers, name, code)
    if not shape.fullmatch(value):
        raise Rejected(f"{code}_malformed", f"the header {name.decode()} is not as PayPal writes it")
    return value


def _decoded(signature: bytes) -> bytes:
    """Base64 in the one way that it can be written."""
    try:
        found = base64.b64decode(signature, validate=True)
    except binascii.Error:
        found = b""
    if not found or base64.b64encode(found) != signature:
        raise Rejected("signature_malformed", "the signature is not plain base64")
    return found


def _check_time(written: bytes, now: datetime) -> None:
    try:
        at = datetime.fromisoformat(written.decode())
    except ValueError:
        raise Rejected("transmission_time_malformed", "there is no such time") from None
    if now - at > OLDEST:
        raise Rejected("too_old", "it was sent longer ago than PayPal tries")
    if at - now > NEWEST:
        raise Rejected("in_the_future", "it was sent in the future")


def _hint(event: dict[str, Any], body: bytes) -> Hint:
    name, kind, created = (event.get(one) for one in ("id", "event_type", "create_time"))
    try:
        if not EVENT.fullmatch(name or "") or not KIND.fullmatch(kind or ""):
            raise ValueError
        at = datetime.fromisoformat(created or "").astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Rejected("not_an_event", "the body is no event of PayPal") from None
    return Hint("paypal", str(name), str(kind), at, body)
