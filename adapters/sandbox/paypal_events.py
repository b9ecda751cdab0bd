"""PayPal's events in the sandbox: a list that can be asked for, and webhooks signed by a CA made at the start."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from uuid import UUID, uuid5

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.sandbox.courier import Courier
from adapters.sandbox.desk import Clock
from adapters.sandbox.paypal_words import Json, instant, link

WEBHOOK_ID = "8PT597110X687430L"
CERTIFICATE = "/v1/notifications/certs/CERT-360caa42-fca2a594-sandbox"
ROOT = "/v1/notifications/certs/ROOT"
SIGNER = "messageverificationcerts.sandbox.paypal.com"
LISTED_FOR = 30 * 86400.0


@dataclass
class Events:
    """What happened, in order. Shapes: `base` is the desk's address, `url` where webhooks go, "" for nowhere."""

    clock: Clock
    courier: Courier
    base: str
    url: str = ""
    happened: list[tuple[float, Json]] = field(default_factory=list)

    def tell(self, kind: str, resource_type: str, resource: Mapping[str, object]) -> None:
        """Something happened: it is listed, and sent."""
        event = {
            "id": f"WH{len(self.happened) + 1:016d}", "create_time": instant(self.clock.now), "event_type": kind,
            "resource_type": resource_type, "event_version": "1.0", "resource_version": "2.0", "summary": kind,
            "resource": json.loads(json.dumps(resource)), "links": [],
        }  # fmt: skip
        self.happened.append((self.clock.now, event))
        if self.url:
            self.courier.send(self.url, json.dumps(event).encode(), self.signer.sign)

    def listed(self, query: Mapping[str, str]) -> Json:
        """Events since an instant, the newest first, in pages."""
        since = datetime.fromisoformat(query.get("start_time", instant(0))).timestamp()
        size, page = int(query.get("page_size", 10)), int(query.get("page", 0))
        kept = max(since, self.clock.now - LISTED_FOR)
        found = [event for at, event in reversed(self.happened) if at >= kept]
        shown = found[page * size : (page + 1) * size]
        address = f"{self.base}/v1/notifications/webhooks-events?page_size={size}&start_time={instant(since)}"
        more = [link(f"{address}&page={page + 1}", "next")] if len(found) > (page + 1) * size else []
        return {"events": shown, "count": len(shown), "links": [link(f"{address}&page={page}", "self"), *more]}

    @cached_property
    def signer(self) -> Signer:
        """Who signs; made when it is first needed."""
        return Signer(self.base, datetime.fromtimestamp(self.clock.now, UTC))


class Signer:
    """A certificate authority, and the certificate by which webhooks are signed."""

    def __init__(self, base: str, start: datetime, name: str = SIGNER) -> None:
        self.base, self.webhook_id, self._sent = base, WEBHOOK_ID, 0
        authority, self.key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        self.root = certificate(authority, authority, "Sandbox Root", "Sandbox Root", start, authority=True)
        self.leaf = certificate(self.key, authority, name, "Sandbox Root", start)

    @property
    def pem(self) -> str:
        """What the address of the certificate answers."""
        return pem(self.leaf) + pem(self.root)

    def sign(self, body: bytes, at: float) -> dict[str, str]:
        """The headers of a delivery."""
        self._sent += 1
        name, when = str(uuid5(UUID(int=0), f"{at} {self._sent}")), instant(at)
        message = f"{name}|{when}|{self.webhook_id}|{zlib.crc32(body)}".encode()
        signature = self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return {
            "PAYPAL-TRANSMISSION-ID": name, "PAYPAL-TRANSMISSION-TIME": when,
            "PAYPAL-TRANSMISSION-SIG": base64.b64encode(signature).decode(), "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-CERT-URL": self.base + CERTIFICATE,
        }  # fmt: skip


def certificate(
    key: rsa.RSAPrivateKey, issuer: rsa.RSAPrivateKey, name: str, issuer_name: str, start: datetime,
    authority: bool = False, life: timedelta = timedelta(days=3650),
) -> x509.Certificate:  # fmt: skip
    """A certificate for `name`, good from a day before `start` on."""
    common = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer_name)]
    made = (
        x509.CertificateBuilder().subject_name(common[0]).issuer_name(common[1]).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start - timedelta(days=1))
        .not_valid_after(start - timedelta(days=1) + life)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .add_extension(_usage(authority), critical=True)
    )  # fmt: skip
    if not authority:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return made.sign(issuer, hashes.SHA256())


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def pem(one: x509.Certificate) -> str:
    """A certificate as text."""
    return one.public_bytes(serialization.Encoding.PEM).decode()
