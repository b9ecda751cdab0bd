"""PayPal's webhooks: each bad input is refused by its own code, and what is verified still settles nothing."""

from __future__ import annotations

import base64
import json
import time
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.sandbox.paypal_events import SIGNER, WEBHOOK_ID, Signer, certificate, pem
from adapters.webhooks import paypal as webhook
from adapters.webhooks.paypal import PayPalVerifier, paypal_verifier, pinned_roots
from adapters.webhooks.verifier import Headers, Rejected
from domain.application.payments import collection, issued, receivables
from domain.errors import Invalid
from jobs.collect import Collector
from jobs.news import Reader
from tests.providers.conftest import paypal_at
from tests.store.test_collect import invoices

NOW = datetime(2025, 2, 1, 9, tzinfo=UTC)
BODY = json.dumps({
    "id": "WH1", "event_type": "PAYMENT.CAPTURE.DENIED", "create_time": "2025-02-01T08:59:00Z", "resource": {"id": "C1"}
}).encode()  # fmt: skip


class World:
    """A verifier of live PayPal whose certificates come from where a test says, and a signer that PayPal might be."""

    def __init__(self, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.signer, self.addresses, self.fetched = signer, dict[str, str](), list[str]()
        self.verifier = PayPalVerifier(WEBHOOK_ID, "https://api-m.paypal.com", lambda: [signer.root])

        def fetch(address: str) -> bytes:
            self.fetched.append(address)
            return self.addresses.get(address, self.signer.pem).encode()

        monkeypatch.setattr(webhook, "fetch", fetch)

    def headers(self, body: bytes = BODY, at: datetime = NOW, **other: str | None) -> list[tuple[bytes, bytes]]:
        """What arrives; `other` replaces a header by its last word, None takes it away."""
        names = {name.lower(): value for name, value in self.signer.sign(body, at.timestamp()).items()}
        for word, value in other.items():
            name = next(one for one in names if one.endswith(word.replace("_", "-")))
            names[name] = value  # type: ignore[assignment]
        return [(name.encode(), value.encode()) for name, value in names.items() if value is not None]

    def refused(self, headers: Headers, body: bytes = BODY, now: datetime = NOW) -> str:
        with pytest.raises(Rejected) as refusal:
            self.verifier.verify(headers, body, now)
        return str(refusal.value.code)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer("https://api.paypal.com", NOW, "messageverificationcerts.paypal.com")


@pytest.fixture
def world(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> World:
    signer.webhook_id = WEBHOOK_ID
    return World(signer, monkeypatch)


def test_a_genuine_webhook_is_a_hint_and_its_certificate_is_fetched_once(world):
    for _ in range(25):  # PayPal delivers so often, each time under another transmission id
        hint = world.verifier.verify(world.headers(), BODY, NOW)
    assert (hint.provider, hint.event, hint.kind, hint.body) == ("paypal", "WH1", "PAYMENT.CAPTURE.DENIED", BODY)
    assert hint.at == NOW - timedelta(minutes=1)
    assert len(world.fetched) == 1
    upper = [(name.upper(), value) for name, value in world.headers()]
    assert world.verifier.verify(upper, BODY, NOW) == hint


CERT = "/v1/notifications/certs/CERT-360caa42-fca2a594-sandbox"
URLS = [
    f"http://api.paypal.com{CERT}",
    f"https://api.paypal.com@evil.example{CERT}",
    f"https://api.paypal.com.evil.example{CERT}",
    f"https://api.paypal.com\\@evil.example{CERT}",
    f"https://evil.example{CERT}#api.paypal.com",
    f"https://api.paypal.com%2eevil.example{CERT}",
    f"https://API.PAYPAL.COM.{CERT}",
    f"https://API.PAYPAL.COM{CERT}",
    "https://api.paypal.com/v1/notifications/certs/../../../redirect?u=https://evil.example",
    f"https://api.paypal.com{CERT}/../x",
    f"https://api.paypal.com:8443{CERT}",
    f"https://api.sandbox.paypal.com{CERT}",
    f"https://api.paypal.com{CERT}?x=1",
    f"https://api.paypal.com{CERT}\n",
    f" https://api.paypal.com{CERT}",
    f"http://127.0.0.1{CERT}",
    "",
]


@pytest.mark.parametrize("url", URLS)
def test_a_certificate_comes_from_paypal_and_nothing_else_is_even_asked(world, url):
    assert world.refused(world.headers(cert_url=url)) == "cert_url_malformed"
    assert world.fetched == []


@pytest.mark.parametrize("base", ["https://api-m.sandbox.paypal.com", "http://127.0.0.1:1/paypal"])
def test_each_mode_knows_the_others_certificates_for_strange(world, base):
    other = PayPalVerifier(world.signer.webhook_id, base, lambda: [world.signer.root])
    with pytest.raises(Rejected) as refusal:
        other.verify(world.headers(), BODY, NOW)
    assert refusal.value.code == "cert_url_malformed"
    # A certificate of the other mode behind a right address has another name.
    address = {"https://api-m.sandbox.paypal.com": "https://api.sandbox.paypal.com"}.get(base, base) + CERT
    with pytest.raises(Rejected) as refusal:
        other.verify(world.headers(cert_url=address), BODY, NOW)
    assert refusal.value.code == "certificate_untrusted"


BAD_HEADERS: list[tuple[str, str | None, str]] = [
    ("transmission_id", None, "transmission_id_missing"),
    ("time", None, "transmission_time_missing"),
    ("sig", None, "signature_missing"),
    ("cert_url", None, "cert_url_missing"),
    ("auth_algo", None, "algorithm_missing"),
    ("transmission_id", "", "transmission_id_malformed"),
    ("transmission_id", "a|b|c", "transmission_id_malformed"),
    ("transmission_id", "b0b5c6a1-x\r\n y", "transmission_id_malformed"),
    ("time", "2025-02-01 09:00:00", "transmission_time_malformed"),
    ("time", "2025-02-30T09:00:00Z", "transmission_time_malformed"),
    ("time", "٢٠٢٥-02-01T09:00:00Z", "transmission_time_malformed"),
    ("auth_algo", "none", "algorithm_unknown"),
    ("auth_algo", "SHA1withRSA", "algorithm_unknown"),
    ("auth_algo", "HS256", "algorithm_unknown"),
    ("auth_algo", "sha256withrsa", "algorithm_unknown"),
    ("sig", "", "signature_malformed"),
    ("sig", "AAAA AAAA", "signature_malformed"),
    ("sig", "AAB=", "signature_malformed"),  # junk in the bits that nobody reads
    ("sig", "A" * 5000, "signature_malformed"),
    ("sig", "AAAA", "signature_mismatch"),
    ("transmission_id", "b0b5c6a1-0000", "signature_mismatch"),
    ("time", "2025-02-01T09:00:01Z", "signature_mismatch"),
]


@pytest.mark.parametrize(("name", "value", "code"), BAD_HEADERS)
def test_a_header_that_is_missing_or_wrong_is_refused(world, name, value, code):
    assert world.refused(world.headers(**{name: value})) == code


@pytest.mark.parametrize("number", range(5))
def test_a_header_that_is_there_twice_is_refused_whichever_it_is(world, number):
    headers = world.headers()
    name, value = headers[number]
    assert world.refused([*headers, (name.title(), value)]).endswith("_twice")


@pytest.mark.parametrize(
    ("ahead", "code"),
    [
        (timedelta(days=4), "too_old"),
        (timedelta(days=3, hours=1, seconds=1), "too_old"),
        (-timedelta(minutes=5, seconds=1), "in_the_future"),
        (-timedelta(days=3650), "in_the_future"),
    ],
)
def test_a_webhook_of_another_time_is_refused(world, ahead, code):
    assert world.refused(world.headers(), now=NOW + ahead) == code
    assert world.fetched == []
    assert world.verifier.verify(world.headers(), BODY, NOW + timedelta(days=3))
    assert world.verifier.verify(world.headers(), BODY, NOW - timedelta(minutes=5))


def test_another_body_another_webhook_and_paypals_simulator_are_refused(world):
    headers = world.headers()
    for body in (BODY + b"\n", json.dumps(json.loads(BODY), indent=1).encode(), BODY.replace(b"DENIED", b"COMPLETED")):
        assert world.refused(headers, body) == "signature_mismatch"
    world.signer.webhook_id = "7AA00000XX000000Z"
    assert world.refused(world.headers()) == "signature_mismatch"
    world.signer.webhook_id = "WEBHOOK_ID"
    assert world.refused(world.headers()) == "simulated"
    for missing in ("", "WEBHOOK_ID", "a|b"):
        with pytest.raises(Invalid):
            paypal_verifier(missing, "https://api-m.paypal.com")


@pytest.mark.parametrize("write", ["{:x}".format, "{:010d}".format, lambda crc: str(crc - 2**32)])
def test_the_checksum_is_a_plain_decimal(world, write):
    headers = dict(world.headers())
    crc = write(zlib.crc32(BODY))
    message = b"|".join([
        headers[b"paypal-transmission-id"], headers[b"paypal-transmission-time"], world.signer.webhook_id.encode(),
        crc.encode(),
    ])  # fmt: skip
    signature = world.signer.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    assert world.refused(world.headers(sig=base64.b64encode(signature).decode())) == "signature_mismatch"


KEY = rsa.generate_private_key(65537, 2048)


NAME = "messageverificationcerts.paypal.com"


def bad_certificates(signer: Signer) -> dict[str, str]:
    """What stands behind a right address, and ought not to; all but the last are of nobody we know."""
    own = rsa.generate_private_key(65537, 2048)
    return {
        "self-made": pem(certificate(own, own, NAME, NAME, NOW)),
        "in the root's name": pem(certificate(KEY, own, NAME, "Sandbox Root", NOW)),
        "its own root beside it": pem(certificate(KEY, own, NAME, "Other", NOW))
        + pem(certificate(own, own, "Other", "Other", NOW, authority=True)),
        "the root itself": pem(signer.root),
    }


def test_a_certificate_that_is_selfmade_or_of_another_authority_is_not_trusted(world, signer, monkeypatch):
    for what, text in bad_certificates(signer).items():
        made = World(signer, monkeypatch)
        made.addresses["https://api.paypal.com" + CERT] = text
        assert made.refused(made.headers()) == "certificate_untrusted", what


@pytest.mark.parametrize("name", ["evil.example", "api.paypal.com", SIGNER])
def test_a_good_certificate_of_another_name_is_not_trusted(name, monkeypatch):
    made = World(Signer("https://api.paypal.com", NOW, name), monkeypatch)
    assert made.refused(made.headers()) == "certificate_untrusted"


@pytest.mark.parametrize("years", [11, -1])
def test_a_certificate_is_not_trusted_before_or_after_its_time(world, years):
    then = NOW + timedelta(days=365 * years)
    assert world.refused(world.headers(at=then), now=then) == "certificate_untrusted"


def test_ten_thousand_addresses_of_certificates_fetch_a_few(world):
    codes = [
        world.refused(
            world.headers(cert_url=f"https://api.paypal.com/v1/notifications/certs/CERT-{number}", sig="AAAA")
        )
        for number in range(200)
    ]
    assert len(world.fetched) == 6
    assert codes == ["signature_mismatch"] * 6 + ["too_many_certificates"] * 194


@pytest.mark.parametrize(
    "text", ["", "<html>busy</html>", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_an_address_without_certificates_is_tried_again_later(world, text):
    world.addresses["https://api.paypal.com" + CERT] = text
    with pytest.raises(Rejected) as refusal:
        world.verifier.verify(world.headers(), BODY, NOW)
    assert (refusal.value.code, refusal.value.status) == ("certificate_unavailable", 503)
    world.addresses.clear()
    assert world.verifier.verify(world.headers(), BODY, NOW)


def dribble(asked: Any) -> tuple[int, bytes, dict[str, str]]:
    """A byte now and then, until nobody listens any more."""
    asked.send_response(200)
    asked.send_header("Content-Length", "10000")
    asked.end_headers()
    while True:
        asked.wfile.write(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize(
    "say",
    [
        lambda asked: (302, b"", {"Location": "/elsewhere"}),
        lambda asked: (200, b"x" * 10_000_000, {}),
        lambda asked: (200, b"x", {"Content-Length": "100"}),
        lambda asked: (404, b"", {}),
        dribble,
    ],
    ids=["redirect", "huge", "hangs up", "missing", "dribble"],
)
def test_a_certificate_is_fetched_without_redirects_and_within_bounds(far, monkeypatch, say):
    monkeypatch.setattr(webhook, "PATIENCE", 0.3)
    far.say = say
    with pytest.raises(Rejected) as refusal:
        webhook.fetch(f"{far.url}/v1/notifications/certs/CERT-1")
    assert (refusal.value.code, refusal.value.status) == ("certificate_unavailable", 503)
    assert len(far.asked) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff", "not_utf8"),
        (b"[]", "not_an_object"),
        (b"{}", "not_an_event"),
        (b'{"id": 1, "event_type": "A.B", "create_time": "2025-02-01T09:00:00Z"}', "not_an_event"),
        (b'{"id": "WH1", "event_type": "a b", "create_time": "2025-02-01T09:00:00Z"}', "not_an_event"),
        (b'{"id": "WH1", "event_type": "A.B", "create_time": "yesterday"}', "not_an_event"),
        (BODY.replace(b'"id": "WH1"', b'"id": "WH1", "id": "WH2"'), "duplicate_key"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "too_deep"),
    ],
)
def test_a_signed_body_that_is_no_event_is_refused(world, body, code):
    assert world.refused(world.headers(body), body) == code


def test_the_pinned_roots_are_of_one_authority():
    roots = pinned_roots()
    assert len(roots) >= 2
    assert all("DigiCert" in one.subject.rfc4514_string() for one in roots)
    assert all(one.public_bytes(serialization.Encoding.DER) for one in roots)


def same_checksum(target: int, template: bytes, places: list[int]) -> bytes:
    """A body like the template whose CRC32 is the target: letters at the places are chosen, for a CRC is linear."""
    start = zlib.crc32(template)
    rows: list[tuple[int, int]] = []  # what a change of letters does to the CRC, reduced, and which changes it is
    for number, place in enumerate(places):
        changed = bytearray(template)
        changed[place] ^= 1
        effect, which = zlib.crc32(bytes(changed)) ^ start, 1 << number
        for other, others in rows:
            if effect ^ other < effect:
                effect, which = effect ^ other, which ^ others
        if effect:
            rows = sorted([*rows, (effect, which)], reverse=True)
    wanted, chosen = target ^ start, 0
    for effect, which in rows:
        if wanted ^ effect < wanted:
            wanted, chosen = wanted ^ effect, chosen ^ which
    assert wanted == 0
    forged = bytearray(template)
    for number, place in enumerate(places):
        forged[place] ^= chosen >> number & 1
    return bytes(forged)


def test_a_forged_body_of_the_same_checksum_is_verified_and_still_settles_nothing(tally, sandbox):
    """With one captured delivery anybody can write another body that passes: only what is read at PayPal counts."""
    (invoice,) = invoices(tally, 1)
    paypal, events = paypal_at(sandbox), sandbox.paypal.events
    collector = Collector(tally.billing, {"paypal": paypal}, lambda: NOW)
    attempt = collector.begin(invoice, "paypal", "customer-1", "payer-bounces")
    (_, captured), now = events.happened[-1], datetime.fromtimestamp(sandbox.clock.now, UTC)
    body = json.dumps(captured).encode()
    headers = [(name.encode(), value.encode()) for name, value in events.signer.sign(body, now.timestamp()).items()]
    letters = "a" * 48
    capture = captured["resource"] | {"status": "COMPLETED", "amount": {"currency_code": "EUR", "value": "9999.00"}}
    lie = captured | {"event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": capture, "summary": letters}
    template = json.dumps(lie).encode()
    at = template.index(letters.encode())
    forged = same_checksum(zlib.crc32(body), template, list(range(at, at + len(letters))))
    assert zlib.crc32(forged) == zlib.crc32(body)
    assert json.loads(forged)["resource"]["amount"]["value"] == "9999.00"
    hint = paypal_verifier(events.signer.webhook_id, f"{sandbox.url}/paypal").verify(headers, forged, now)
    assert hint.kind == "PAYMENT.CAPTURE.COMPLETED"
    assert [Reader(collector, tally.pool, "paypal").take_in(one)[0] for one in paypal.news(hint)] == ["done"]
    found = issued(tally.billing, invoice)
    assert collection(tally.billing, invoice).attempt(attempt.opened.attempt).state == "pending"
    assert receivables(tally.billing, found.account, "EUR").receipts == {}


def test_the_sandboxs_deliveries_are_verified_by_its_own_root(sandbox, far):
    sandbox.paypal.events.url = far.url
    sandbox.paypal.tokens.revoke("payer-good")
    assert sandbox.courier.deliver_due() == 1
    ((_, _, names, body),) = far.asked
    headers = [(name.encode(), value.encode()) for name, value in names.items()]
    now = datetime.fromtimestamp(sandbox.clock.now, UTC)
    verifier = paypal_verifier(sandbox.paypal.events.signer.webhook_id, f"{sandbox.url}/paypal")
    assert verifier.verify(headers, body, now).kind == "VAULT.PAYMENT-TOKEN.DELETED"
