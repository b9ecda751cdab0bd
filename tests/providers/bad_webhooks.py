"""What must not be taken in at a webhook endpoint: one row for each, with the code that it is refused with.

Another provider adds its own rows to `BAD`; the test in `test_bad_webhooks.py` sends each to the endpoint of `path` and
sees that it is refused with 4xx and this code, and that no row of any table changed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import NamedTuple

from tests.deliveries import AT, Headers, body_of, event, mac, sent, signed

GOOD = body_of(event())
STRIPE = "/webhooks/stripe"


class Bad(NamedTuple):
    """One bad delivery. Shapes: `body` in the parts that it comes in, when it comes in parts."""

    name: str
    code: str
    headers: Headers
    body: bytes | Sequence[bytes]
    path: str = STRIPE
    method: str = "POST"


def with_signature(name: str, code: str, signature: str | bytes | None, body: bytes = GOOD) -> Bad:
    """A genuine body under a bad signature header."""
    return Bad(name, code, sent(signature), body)


def with_body(name: str, code: str, body: bytes) -> Bad:
    """A bad body under a genuine signature."""
    return Bad(name, code, signed(body), body)


def with_event(name: str, code: str, **more: object) -> Bad:
    """An event that is signed and not for us."""
    return with_body(name, code, body_of(event(**more)))  # type: ignore[arg-type]


def _at(value: object, body: bytes = GOOD) -> str:
    return f"t={value},v1={mac(body, value)}"


GENUINE = mac(GOOD)
TEN_YEARS = 10 * 365 * 86400
TWICE = GOOD.replace(b'"id": "evt_1"', b'"id": "evt_0", "id": "evt_1"')

SIGNATURES = [
    with_signature("no signature header", "signature_missing", None),
    with_signature("an empty one", "signature_malformed", ""),
    with_signature("garbage", "signature_malformed", "garbage"),
    with_signature("names without values", "signature_malformed", "t=,v1="),
    with_signature("no time", "signature_malformed", f"v1={GENUINE}"),
    with_signature("no signature", "signature_malformed", f"t={AT}"),
    with_signature("only the scheme v0", "signature_malformed", f"t={AT},v0={GENUINE}"),
    with_signature("301 seconds old", "too_old", _at(AT - 301)),
    with_signature("301 seconds ahead", "in_the_future", _at(AT + 301)),
    with_signature("ten years ahead", "in_the_future", _at(AT + TEN_YEARS)),
    with_signature("Arabic digits", "signature_malformed", _at("".join(chr(0x660 + int(one)) for one in str(AT)))),
    with_signature("a padded time", "signature_malformed", _at(f" {AT}")),
    with_signature("a time with a sign", "signature_malformed", _at(f"+{AT}")),
    with_signature("a time with a zero before it", "signature_malformed", _at(f"0{AT}")),
    with_signature("a time with a point", "signature_malformed", _at(f"{AT}.0")),
    with_signature("a negative time", "signature_malformed", _at(-AT)),
    with_signature("a time of 4,000 digits", "signature_malformed", _at("1" * 4000)),
    with_signature("two times", "signature_malformed", f"t={AT - 9999},{_at(AT)}"),
    with_signature("upper-case hex", "signature_malformed", f"t={AT},v1={GENUINE.upper()}"),
    with_signature("63 digits", "signature_malformed", f"t={AT},v1={GENUINE[:-1]}"),
    with_signature("65 digits", "signature_malformed", f"t={AT},v1={GENUINE}0"),
    with_signature("a genuine one beside one that is none", "signature_malformed", f"t={AT},v1={GENUINE},v1=x"),
    with_signature("not ASCII", "signature_malformed", f"t={AT},v1=".encode() + b"\xe9" * 64),
    with_signature("nine signatures", "signature_malformed", f"t={AT}" + f",v1={GENUINE}" * 9),
    with_signature("spaces behind commas", "signature_malformed", f"t={AT}, v1={GENUINE}"),
    with_signature("of another body", "signature_mismatch", f"t={AT},v1={mac(b'{}')}"),
    with_signature("of another time", "signature_mismatch", f"t={AT - 1},v1={GENUINE}"),
    with_signature("of another endpoint", "signature_mismatch", f"t={AT},v1={mac(GOOD, secret='whsec_of_another')}"),
    with_signature("under an empty secret", "signature_mismatch", f"t={AT},v1={mac(GOOD, secret='')}"),
    with_signature("under a secret that is out", "signature_mismatch", f"t={AT},v1={mac(GOOD, secret='whsec_out')}"),
    with_signature("eight that are not", "signature_mismatch", f"t={AT}" + f",v1={mac(b'')}" * 8),
    Bad("the header twice", "signature_twice", [*signed(GOOD), (b"stripe-signature", b"t=1,v1=0")], GOOD),
    Bad("in another case, twice", "signature_twice", [*signed(GOOD), (b"Stripe-Signature", b"t=1,v1=0")], GOOD),
    Bad(
        "a header that chooses the secret", "signature_mismatch",
        [*signed(GOOD, secret="whsec_of_another"), (b"stripe-webhook-secret", b"whsec_of_another")], GOOD,
    ),
]  # fmt: skip

BODIES = [
    Bad("written anew on its way", "signature_mismatch", signed(GOOD), json.dumps(json.loads(GOOD)).encode()),
    Bad("a byte behind", "signature_mismatch", signed(GOOD), GOOD + b"\n"),
    Bad("a byte less", "signature_mismatch", signed(GOOD), GOOD[:-1]),
    with_body("empty", "not_json", b""),
    with_body("not UTF-8", "not_utf8", GOOD.replace(b"evt_1", b"evt_\xff")),
    with_body("in UTF-16", "not_utf8", GOOD.decode().encode("utf-16")),
    with_body("behind a byte order mark", "not_utf8", b"\xef\xbb\xbf" + GOOD),
    with_body("a key twice", "duplicate_key", TWICE),
    with_body("NaN", "not_json", GOOD.replace(b"2380", b"NaN")),
    with_body("minus infinity", "not_json", GOOD.replace(b"2380", b"-Infinity")),
    with_body("an amount of 5,000 digits", "number_too_long", GOOD.replace(b"2380", b"9" * 5000)),
    with_body("an exponent without end", "number_too_long", GOOD.replace(b"2380", b"1e" + b"9" * 30)),
    with_body("a number that no float can hold", "number_too_long", GOOD.replace(b"2380", b"1e400")),
    with_body("200,000 deep", "too_deep", b"[" * 200_000),
    with_body("65 deep", "too_deep", b'{"a":' * 65 + b"1" + b"}" * 65),
    with_body("a string that does not end", "not_json", b'{"id": "evt_1'),
    with_body("two objects", "not_json", GOOD + GOOD),
    with_body("a list", "not_an_object", b"[]"),
    with_body("a number", "not_an_object", b"1"),
    with_body("a control character", "not_json", GOOD.replace(b"evt_1", b"evt_\x00")),
]

EVENTS = [
    with_event("of the live mode", "wrong_mode", livemode=True),
    with_event("a mode that is no truth", "wrong_mode", livemode=0),
    with_event("no mode", "wrong_mode", livemode=None),
    with_event("a thin event of API v2", "thin_event", object="v2.core.event"),
    with_body("in EventBridge's envelope", "not_an_event", body_of({"detail-type": "x", "detail": event()})),
    with_event("another object", "not_an_event", object="charge"),
    with_event("no id", "not_an_event", id=None),
    with_event("an id that is a number", "not_an_event", id=7),
    with_event("an id of another thing", "not_an_event", id="pi_1"),
    with_event("an id with a NUL", "not_an_event", id="evt_\x00"),
    with_event("an id with a lone surrogate", "not_an_event", id="evt_\ud800"),
    with_event("an id of 300 letters", "not_an_event", id="evt_" + "a" * 300),
    with_event("an id that ends its line", "not_an_event", id="evt_1\n"),
    with_event("an id with our own mark in it", "not_an_event", id="evt_1~0"),
    with_event("a kind that is no name", "not_an_event", type="../../etc"),
    with_event("a kind with a NUL", "not_an_event", type="charge.\x00"),
    with_event("made at no time", "not_an_event", created=None),
    with_event("a time that is a truth", "not_an_event", created=True),
    with_event("a time before 1970", "not_an_event", created=-1),
    with_event("a time of another age", "not_an_event", created=1 << 60),
    with_event("made tomorrow", "in_the_future", created=AT + 86400),
]

BOMB = gzip.compress(b"\0" * 100_000_000)
REQUESTS = [
    Bad("compressed", "encoded_body", [*signed(GOOD), (b"content-encoding", b"gzip")], gzip.compress(GOOD)),
    Bad("a gzip bomb", "encoded_body", [*signed(BOMB), (b"content-encoding", b"gzip")], BOMB),
    Bad("compressed in secret", "not_utf8", signed(gzip.compress(GOOD)), gzip.compress(GOOD)),
    Bad("declared too large", "body_too_large", [*signed(GOOD), (b"content-length", b"104857600")], GOOD),
    Bad("too large in parts", "body_too_large", signed(GOOD), [b" " * 65536] * 5),
    Bad("parts without end", "body_too_large", signed(GOOD), [b"1"] * 300_000),
    Bad("a length that is no number", "bad_length", [*signed(GOOD), (b"content-length", b"0x10")], GOOD),
    Bad("a negative length", "bad_length", [*signed(GOOD), (b"content-length", b"-1")], GOOD),
    Bad("two lengths", "header_twice", [*signed(GOOD), *[(b"content-length", b"9")] * 2], GOOD),
    Bad("two hosts", "header_twice", [*signed(GOOD), (b"host", b"evil.example")], GOOD),
    Bad("as text", "not_json_type", sent(_at(AT), kind=b"text/plain"), GOOD),
    Bad("as a form", "not_json_type", sent(_at(AT), kind=b"application/x-www-form-urlencoded"), GOOD),
    Bad("in another charset", "not_json_type", sent(_at(AT), kind=b"application/json; charset=utf-16"), GOOD),
    Bad("two content types", "header_twice", [*signed(GOOD), (b"content-type", b"text/plain")], GOOD),
    Bad("10,000 headers", "too_many_headers", [*signed(GOOD), *[(b"x-a", b"b")] * 10_000], GOOD),
    Bad("a header of 64 kB", "headers_too_large", [*signed(GOOD), (b"x-a", b"b" * 65536)], GOOD),
    Bad("100,000 signatures", "headers_too_large", sent(f"t={AT}" + f",v1={GENUINE}" * 100_000), GOOD),
    Bad("fetched", "method_not_allowed", signed(GOOD), b"", method="GET"),
    Bad("put", "method_not_allowed", signed(GOOD), GOOD, method="PUT"),
    Bad("another provider", "not_found", signed(GOOD), GOOD, path="/webhooks/adyen"),
    Bad("one without a secret", "not_found", signed(GOOD), GOOD, path="/webhooks/gocardless"),
    Bad("a slash behind", "not_found", signed(GOOD), GOOD, path="/webhooks/stripe/"),
    Bad("a step up", "not_found", signed(GOOD), GOOD, path="/webhooks/../webhooks/stripe"),
    Bad("a NUL in the path", "not_found", signed(GOOD), GOOD, path="/webhooks/stripe\x00"),
]

BAD: list[Bad] = [*SIGNATURES, *BODIES, *EVENTS, *REQUESTS]
