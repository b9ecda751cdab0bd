"""The transport over paypalrestsdk: what the SDK does by itself would hang, recurse, leak or ask too often."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from adapters.providers.paypal import Transport
from tests.providers.far import Far

TOKEN = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'


def at(far: Far, timeout: float = 5) -> Transport:
    return Transport("id", "secret", far.url, timeout)


def test_eight_cold_threads_fetch_one_token(far):
    transport, ready = at(far), Barrier(8)

    def call(_: int) -> int:
        ready.wait()
        return transport.ask("GET", "/v2/x").status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(call, range(8))) == {200}
    assert far.paths().count("/paypal/v1/oauth2/token") == 1
    assert len(far.asked) == 9


def test_a_key_that_is_refused_for_ever_is_tried_twice_and_ends(far):
    far.say = lambda asked: (401, b'{"name": "AUTHENTICATION_FAILURE"}', {})
    told = at(far).ask("GET", "/v2/x")
    assert (told.status, told.refused, told.issue) == (401, False, "AUTHENTICATION_FAILURE")
    assert far.paths() == ["/paypal/v1/oauth2/token", "/paypal/v2/x"] * 2


def test_a_token_that_was_refused_is_renewed_once_by_all_threads_together(far):
    transport, ready, fresh = at(far), Barrier(4), Event()
    transport.ask("GET", "/v2/x")
    far.token = lambda asked: (fresh.set(), (200, TOKEN.replace(b'"t"', b'"u"'), {}))[1]
    far.say = lambda asked: (200 if asked.headers["Authorization"] == "Bearer u" else 401, b"{}", {})
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: (ready.wait(), transport.ask("GET", "/v2/x").status)[1], range(4))) == {200}
    assert far.paths().count("/paypal/v1/oauth2/token") == 2


def test_a_token_is_renewed_before_its_end(far):
    far.token = lambda asked: (200, TOKEN.replace(b"3600", b"0"), {})
    transport = at(far)
    assert [transport.ask("GET", "/v2/x").status for _ in range(2)] == [200, 200]
    assert far.paths().count("/paypal/v1/oauth2/token") == 2


@pytest.mark.parametrize("token", [b"{}", b"[]", b"null", b"<html>", b'{"access_token": "t"}'])
def test_an_answer_that_is_no_token_is_unknown_and_not_kept(far, token):
    far.token, transport = lambda asked: (200, token, {}), at(far)
    assert transport.ask("GET", "/v2/x").status == 0
    far.token = lambda asked: (200, TOKEN, {})
    assert transport.ask("GET", "/v2/x").status == 200


def test_our_headers_stay_with_their_call_and_a_call_without_a_body_has_none(far):
    at(far).ask("POST", "/v2/x", {"a": 1}, "key-1")
    at(far).ask("GET", "/v2/x")
    token, post, _, get = far.asked
    assert "paypal-request-id" not in token[2]
    assert (post[2]["paypal-request-id"], json.loads(post[3])) == ("key-1", {"a": 1})
    assert (get[3], "paypal-request-id" in get[2]) == (b"", False)


@pytest.mark.parametrize(
    ("status", "content", "seen"),
    [
        (400, b'{"name": "INVALID_REQUEST"}', 400),
        (400, b"<html>", 0),
        (422, b'{"details": [{"issue": "A"}]}', 422),
        (404, b"not here", 0),
        (429, b'{"name": "RATE_LIMIT_REACHED"}', 429),
        (500, b'{"name": "INTERNAL_SERVER_ERROR"}', 500),
        (502, b"bad gateway", 0),
        (200, b"not json", 0),
        (200, b"[1]", 0),
        (200, b"\xff\xfe", 0),
        (204, b"", 200),
        (418, b"{}", 418),
        (600, b"{}", 600),
    ],
)
def test_every_answer_is_a_value_and_what_cannot_be_read_is_unknown(far, status, content, seen):
    far.say = lambda asked: (status, content, {})
    assert at(far).ask("GET", "/v2/x").status == seen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(far, status):
    far.say = lambda asked: (status, b"{}", {"Location": f"{far.url}/elsewhere"})
    assert not at(far).ask("GET", "/v2/x").done
    assert "/paypal/elsewhere" not in far.paths()


def test_a_server_that_hangs_is_left_after_the_time_out(far):
    go_on = Event()
    far.say = lambda asked: (200, b"{}" if go_on.wait(10) else b"", {})
    assert at(far, timeout=0.2).ask("GET", "/v2/x").status == 0
    go_on.set()


def test_a_netrc_file_does_not_replace_our_token(far, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    at(far).ask("GET", "/v2/x")
    assert far.asked[1][2]["authorization"] == "Bearer t"
    assert far.asked[0][2]["authorization"].startswith("Basic aWQ6")
