"""Outgoing webhooks cannot be led into our own network: by the URL, by the name's answers, or by answering twice."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from adapters.outgoing.guard import Target, address_of, outside, target
from adapters.outgoing.webhooks import Webhooks
from domain.errors import Invalid, Unavailable
from jobs.deliver import Message
from jobs.destinations import Destination
from tests.certificate import contexts
from tests.receiver import Receiver

NOW = datetime(2025, 2, 1, tzinfo=UTC)

NASTY_URLS = [
    "http://169.254.169.254/latest/meta-data", "http://2130706433/", "https://2130706433/", "https://0x7f000001/",
    "https://0x7f.0.0.1/", "https://127.1/", "https://0177.0.0.1/", "https://127.0.0.1/", "https://8.8.8.8/",
    "https://[::1]/", "https://[::ffff:169.254.169.254]/", "https://[64:ff9b::7f00:1]/", "https://localhost/",
    "https://internal/", "http://example.com/", "https://example.com:22/", "https://example.com:8443/",
    "https://user@example.com/", "https://user:pass@example.com/", "https://@example.com/", "https://example.com/#a",
    "gopher://example.com/", "file:///etc/passwd", "ftp://example.com/", "https://", "https:///path", "", "example.com",
    "https://exa mple.com/", "https://example.com/\r\nHost: evil", "https://example.com\\@127.0.0.1/", "https://ex\tample.com/",
    "https://example.com:99999/", "https://example.com:443x/", "https://[::1", "https://exämple.com/",
    "https://１２７.0.0.1/", "https://example.com./", "https://.example.com/", "https://-a.example.com/",
    "https://1.2.3.4.5/", "https://example.0x7f/", "https://a" + "b" * 2000 + ".com/", "http://127.0.0.1:8000/",
]  # fmt: skip

INSIDE = [
    "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8",
    "192.0.2.1", "192.88.99.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1",
    "::127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1",
    "2002:7f00:1::", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("url", NASTY_URLS)
def test_a_url_that_is_not_plain_https_to_a_named_host_is_refused(url):
    with pytest.raises(Invalid):
        target(url)


def test_a_plain_url_is_taken_and_loopback_only_where_it_was_allowed():
    assert target("https://hooks.example.com/a?b=c") == Target("hooks.example.com", 443, "/a?b=c")
    assert target("https://EXAMPLE.com:443") == Target("example.com", 443, "/")
    assert target("http://127.0.0.1:8000/x", loopback=True) == Target("127.0.0.1", 8000, "/x", loopback=True)
    for url in ("http://127.0.0.1.example.com:80/", "http://127.0.0.1@evil.example/", "http://10.0.0.1:80/",
                "http://localhost:80/", "http://127.0.0.1/", "http://127.0.0.2:80/"):  # fmt: skip
        with pytest.raises(Invalid):
            target(url, loopback=True)


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_of_the_public_internet_is_refused(address):
    assert not outside(ip_address(address))
    wanted = Target("rebound.example", 443, "/")
    with pytest.raises(Invalid):
        address_of(wanted, lambda host, port: [address])
    with pytest.raises(Invalid):  # one good answer does not help
        address_of(wanted, lambda host, port: ["93.184.215.14", address])


def test_public_addresses_are_called_and_the_first_is_chosen():
    wanted = Target("hooks.example", 443, "/")
    for address in ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"):
        assert address_of(wanted, lambda host, port, found=address: [found]) == address
    with pytest.raises(Unavailable):
        address_of(wanted, lambda host, port: [])


def message(url: str) -> Message:
    where = Destination("ep_1", "webhook", url, ["*"], None, "enabled", "", NOW, 1, None, None)
    return Message(0, "msg_1", "invoice.paid", b"{}", 0, where)


def test_a_name_that_answers_differently_the_second_time_is_asked_once(monkeypatch):
    """The connection goes to the address that was looked at, with the name only in TLS and in Host."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    called: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    webhooks = Webhooks("k" * 32, resolve=lambda host, port: next(answers))
    assert webhooks.carry(message("https://rebinding.example/x"), NOW).what == "failed"
    assert called == [("93.184.215.14", 443)]
    assert webhooks.carry(message("https://rebinding.example/x"), NOW).status.endswith("not of the public internet")
    assert len(called) == 1


def test_over_tls_the_name_is_asked_for_and_a_certificate_of_another_is_refused(monkeypatch, tmp_path):
    """A real TLS server whose certificate nobody signed: it sees the name, and gets no message."""
    names: list[str | None] = []
    listener = socket.create_server(("127.0.0.1", 0))
    real = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: real(listener.getsockname(), timeout))
    received: list[bytes] = []

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            hello = line.recv(4096)
            names.append("hooks.example" if b"hooks.example" in hello else None)
            line.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # a fatal alert: handshake failure
            received.append(line.recv(4096))

    thread = threading.Thread(target=serve)
    thread.start()
    webhooks = Webhooks("k" * 32, resolve=lambda host, port: ["93.184.215.14"], trust=ssl.create_default_context())
    verdict = webhooks.carry(message("https://hooks.example/x"), NOW)
    thread.join()
    listener.close()
    assert names == ["hooks.example"]
    assert received == [b""]
    assert verdict == ("failed", "TLS failed: the certificate or the handshake")


def test_over_tls_a_message_comes_to_the_host_of_that_name_and_to_no_other(monkeypatch, tmp_path):
    own, trusting = contexts(tmp_path, "DNS:hooks.example")
    real = socket.create_connection
    with Receiver() as receiver:
        receiver.server.socket = own.wrap_socket(receiver.server.socket, server_side=True)
        address = receiver.server.server_address
        monkeypatch.setattr(socket, "create_connection", lambda _, timeout: real(address, timeout))
        webhooks = Webhooks("k" * 32, resolve=lambda host, port: ["93.184.215.14"], trust=trusting)
        assert webhooks.carry(message("https://hooks.example/x?y=z"), NOW) == ("sent", "204")
        assert webhooks.carry(message("https://other.example/x"), NOW).status.startswith("TLS failed")
    (request,) = receiver.requests
    assert (request.path, request.headers["host"]) == ("/x?y=z", "hooks.example")


@pytest.mark.parametrize("reply", [b"not http at all\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n",
                                   b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", b""])  # fmt: skip
def test_an_answer_that_is_no_yes_is_a_failure_and_is_not_followed(reply):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            line.recv(65536)
            line.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    verdict = Webhooks("k" * 32, loopback=True).carry(message(url), NOW)
    thread.join()
    listener.close()
    assert verdict.what == "failed"


def test_a_receiver_that_dribbles_is_cut_off(monkeypatch):
    monkeypatch.setattr("adapters.outgoing.webhooks.WHOLE_SECONDS", 0.3)
    listener, stop = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            try:
                while not stop.wait(0.05):
                    line.sendall(b"H")
            except OSError:
                stop.set()

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    verdict = Webhooks("k" * 32, loopback=True).carry(message(url), NOW)
    assert stop.wait(10), "the line was cut from our side"
    thread.join()
    listener.close()
    assert verdict.what == "failed"
