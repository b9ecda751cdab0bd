"""Whatever comes to the endpoints in place of a genuine webhook is refused by its code, and leaves no trace."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest
from fastapi import FastAPI

from adapters.bootstrap import Tally
from adapters.web.app import make_app
from adapters.web.webhooks import Door
from adapters.webhooks.stripe import StripeVerifier
from domain.errors import Invalid
from jobs import inbox
from tests.deliveries import (
    AT,
    NOW,
    OLDER_SECRET,
    SECRET,
    body_of,
    deliver,
    event,
    fingerprint,
    mac,
    sent,
    signed,
)  # fmt: skip
from tests.providers.bad_webhooks import BAD, GOOD
from tests.providers.fuzz_webhooks import fuzz


def the_time() -> datetime:
    return NOW


@pytest.fixture
def app(tally: Tally) -> FastAPI:
    return make_app(Door({"stripe": StripeVerifier([SECRET, OLDER_SECRET], live=False)}, tally.pool, now=the_time))


def test_every_bad_delivery_is_refused_by_its_code_and_changes_nothing(app, tally):
    before = fingerprint(tally.pool)
    wrong, left = [], []
    for bad in BAD:
        answer = deliver(app, bad.headers, bad.body, path=bad.path, method=bad.method)
        if not 400 <= answer.status < 500 or answer.code != bad.code:
            wrong.append((bad.name, bad.code, answer))
        if fingerprint(tally.pool) != before:
            left.append(bad.name)
            before = fingerprint(tally.pool)
    assert wrong == []
    assert left == []
    assert len({(bad.path, bad.name) for bad in BAD}) == len(BAD) >= 60


@pytest.mark.parametrize(
    "headers",
    [
        signed(GOOD),
        signed(GOOD, AT - 300),
        signed(GOOD, AT + 300),
        signed(GOOD, secret=OLDER_SECRET),
        sent(f"t={AT},v1={mac(GOOD, secret='whsec_other')},v1={mac(GOOD)},v0=abc,future=1"),
        [(b"Stripe-Signature" if name == b"stripe-signature" else name, value) for name, value in signed(GOOD)],
        sent(f"t={AT},v1={mac(GOOD)}", kind=b"application/json; charset=utf-8"),
    ],
)
def test_a_genuine_webhook_is_kept_before_it_is_acknowledged(app, tally, headers):
    assert deliver(app, headers, GOOD).status == 200
    (kept,) = inbox.listed(tally.pool)
    assert (kept.provider, kept.event, kept.kind, kept.state) == (
        "stripe", "evt_1", "payment_intent.succeeded", "new",
    )  # fmt: skip
    stored, body = inbox.content(tally.pool, kept)
    assert body == GOOD
    assert SECRET not in stored


def test_an_event_of_any_kind_and_version_is_kept(app, tally):
    told = [event("evt_1", "a.kind.nobody_knows"), event("evt_2", api_version="2019-01-01"), event("evt_3", data={})]
    assert [deliver(app, signed(body_of(one)), body_of(one)).status for one in told] == [200] * 3
    assert [one.event for one in inbox.listed(tally.pool)] == ["evt_3", "evt_2", "evt_1"]


def test_the_same_event_with_another_body_is_set_aside_and_the_first_one_stays(app, tally):
    again, other = body_of(event(pending_webhooks=3)), body_of(event(kind="charge.refunded"))
    for body in (GOOD, again, other, other, GOOD):
        assert deliver(app, signed(body), body).status == 200
    second, first = inbox.listed(tally.pool)
    assert (first.event, first.state, second.state) == ("evt_1", "new", "quarantined")
    assert inbox.content(tally.pool, first)[1] == GOOD
    assert inbox.content(tally.pool, second)[1] == other


def test_without_a_secret_there_is_no_endpoint():
    for secrets in ([], [""], [SECRET, ""]):
        with pytest.raises(Invalid, match="secret"):
            StripeVerifier(secrets, live=False)


def test_of_mutated_webhooks_none_is_accepted_that_a_plain_reference_refuses(app, tally):
    found = fuzz(app, 2000, seed=1)
    assert found.wrong == []
    assert Counter(found.statuses).total() == 2000
    assert not [status for status in found.statuses if status >= 500]
    assert found.accepted, "some mutations leave a genuine webhook genuine"
