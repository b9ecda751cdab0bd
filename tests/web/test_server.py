"""The real server over real sockets: deliveries at once, a kill between commit and answer, and hostile clients."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import requests

from adapters.bootstrap import Tally
from adapters.cli.main import main as command_line
from adapters.providers.paypal import PayPalPayments, Transport
from adapters.providers.stripe import StripePayments
from adapters.sandbox.desk import Clock
from adapters.sandbox.server import Sandbox
from adapters.sandbox.stripe_hooks import signed
from adapters.web.app import make_app
from adapters.web.links import Links
from adapters.web.webhooks import Door
from adapters.webhooks.stripe import StripeVerifier
from domain.application.payments import BindObject, OpenAttempt
from jobs import inbox
from tests.deliveries import NOW, SECRET, body_of, deliver, event, fingerprint
from tests.deliveries import signed as signed_in_process
from tests.store.test_collect import invoices
from tests.store.test_payments import owed
from tests.web.serving import LINK_SECRET, Mode, free_port, serving


class World:
    """Tallystick, a sandbox, and the address that the sandbox tells of what happens."""

    def __init__(self, tally: Tally, sandbox: Sandbox) -> None:
        self.tally, self.sandbox, self.port = tally, sandbox, free_port()
        self.stripe = StripePayments("sk_test_1", sandbox.url, timeout=20)
        self.paypal = PayPalPayments(Transport("sandbox", "sandbox", f"{sandbox.url}/paypal"))
        self.endpoint = f"http://127.0.0.1:{self.port}/webhooks/stripe"
        self.secret = str(sandbox.stripe.hooks.create({"url": self.endpoint}).body["secret"])  # type: ignore[index, call-overload]

    def serving(self, mode: Mode = "") -> Any:
        """Starts the server."""
        return serving(self.tally.dsn, self.port, self.sandbox.url, self.secret, mode)

    def pay(self, invoice: Any, by: str = "stripe", customer: str = "cus_1", method: str = "pm_card_visa") -> None:
        """Money moves at the provider, and our books do not know it yet."""
        provider = self.stripe if by == "stripe" else self.paypal
        attempt = self.tally.billing.execute(OpenAttempt(invoice, by, NOW, customer=customer, method=method))
        made = provider.create(attempt.order())
        self.tally.billing.execute(BindObject(invoice, attempt.opened.attempt, made.object))
        assert provider.confirm(attempt.order(), made.object).state == "succeeded"

    def event(self, kind: str = "payment_intent.succeeded") -> bytes:
        """What the sandbox tells of it."""
        events = self.sandbox.stripe.books.objects["event"].values()
        return json.dumps(next(one for one in events if one["type"] == kind)).encode()

    def post(self, body: bytes) -> int:
        """One delivery; 0 when it was not answered."""
        headers = {"Content-Type": "application/json", **signed(self.secret, body, time.time())}
        try:
            return requests.post(self.endpoint, data=body, headers=headers, timeout=30).status_code
        except requests.RequestException:
            return 0

    def settled(self) -> None:
        """Waits until nothing is due in the inbox any more."""
        until = time.monotonic() + 60
        while [one for one in inbox.listed(self.tally.pool) if one.state == "new"]:
            assert time.monotonic() < until, inbox.listed(self.tally.pool)
            time.sleep(0.1)


@pytest.fixture
def world(tally: Tally) -> Iterator[World]:
    with Sandbox(clock=Clock(time.time)) as sandbox:
        yield World(tally, sandbox)


def receipts(tally: Tally) -> int:
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        return connection.execute("SELECT count(*) FROM receipt_v1").fetchone()[0]


def test_fifty_equal_deliveries_at_once_and_a_kill_between_commit_and_answer_are_one_effect(world):
    world.pay(*invoices(world.tally, 1))
    body = world.event()
    with world.serving("dies_after_commit") as running:
        assert world.post(body) == 0
        assert running.process.wait(30) == -9
    assert [one.state for one in inbox.listed(world.tally.pool)] == ["new"], "it was committed before it died"
    with world.serving("webhooks_only"):
        with ThreadPoolExecutor(50) as senders:
            assert list(senders.map(lambda _: world.post(body), range(50))) == [200] * 50
        world.settled()
    assert [one.state for one in inbox.listed(world.tally.pool)] == ["done"]
    assert (receipts(world.tally), [left for _, _, left in owed(world.tally)]) == (1, [0])


def test_what_the_sandbox_tells_while_the_server_is_down_is_caught_up(world):
    first, second = invoices(world.tally, 2)
    world.sandbox.courier.delays = tuple
    world.pay(first)
    world.sandbox.courier.delays = lambda: (0.0, 0.0)
    with world.serving():
        world.pay(second)
        assert world.sandbox.tick() >= 2
        until = time.monotonic() + 60
        while time.monotonic() < until and any(left for _, _, left in owed(world.tally)):
            time.sleep(0.1)
    assert [left for _, _, left in owed(world.tally)] == [0, 0]
    assert receipts(world.tally) == 2


def test_what_paypal_tells_of_a_payment_settles_its_invoice_however_often_it_comes(world):
    world.sandbox.paypal.events.url = world.endpoint.replace("stripe", "paypal")
    world.sandbox.courier.delays = lambda: (0.0, 0.0, 0.0)
    with world.serving("webhooks_only"):
        world.pay(*invoices(world.tally, 1), "paypal", "customer-1", "payer-good")
        assert world.sandbox.tick() >= 3
        world.settled()
    assert {one.provider for one in inbox.listed(world.tally.pool)} == {"paypal"}
    assert (receipts(world.tally), [left for _, _, left in owed(world.tally)]) == (1, [0])


def spoken(port: int, said: bytes, shut: bool = False) -> bytes:
    """What the server answers to bytes as they are, until it closes the line."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(said)
        if shut:
            line.shutdown(socket.SHUT_WR)
        found = b""
        try:
            while part := line.recv(65536):
                found += part
        except ConnectionResetError:
            pass
        return found


def test_hostile_clients_are_closed_on_in_bounded_memory_and_the_others_are_served(world):
    start = b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    bomb = gzip.compress(b"\0" * 100_000_000)
    world.tally.follower().catch_up()
    before = fingerprint(world.tally.pool)
    with world.serving("webhooks_only") as running:
        slow = [socket.create_connection(("127.0.0.1", world.port), timeout=30) for _ in range(100)]
        for line in slow[:60]:
            line.sendall(start)
        for line in slow[60:80]:
            line.sendall(start + b"Content-Length: 1000\r\n\r\n{")
        large = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode() + bomb
        parts, behind = b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        answers = {
            "a head of 64 kB": spoken(world.port, start + b"X: " + b"x" * 65536 + b"\r\n\r\n"),
            "10,000 headers": spoken(world.port, start + b"X: y\r\n" * 10_000 + b"\r\n"),
            "a large body": spoken(world.port, start + b"Content-Length: 104857600\r\nConnection: close\r\n\r\n"),
            "a gzip bomb": spoken(world.port, start + large, shut=True),
            "endless parts": spoken(world.port, start + parts + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 5, shut=True),
            "two lengths": spoken(world.port, start + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
            "both lengths": spoken(world.port, start + b"Content-Length: 5\r\n" + parts + behind),
            "no HTTP": spoken(world.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
            "a body too slow": spoken(world.port, start + b"Content-Length: 9\r\nConnection: close\r\n\r\n{"),
        }
        statuses = {name: answer[9:12].decode() for name, answer in answers.items()}
        assert requests.get(f"{running.url}/healthz", timeout=30).ok
        for line in slow:
            assert line.recv(65536)[9:12] in (b"", b"400", b"408"), "nobody is waited for"
            line.close()
        assert running.most_memory < 256 * 1024
        assert running.process.poll() is None
    # What is cut into packets is refused by the reader of heads itself (400), else by our own limits (431).
    assert {statuses.pop(name) for name in ("a head of 64 kB", "10,000 headers")} <= {"400", "431"}
    assert statuses == {
        "a large body": "413", "a gzip bomb": "415", "endless parts": "413", "two lengths": "400",
        "both lengths": "400", "no HTTP": "400", "a body too slow": "408",
    }  # fmt: skip
    assert fingerprint(world.tally.pool) == before


@contextmanager
def away(server: str, tally: Tally) -> Iterator[None]:
    """The database lets nobody in, and everybody in it out."""
    name = psycopg.conninfo.conninfo_to_dict(tally.dsn)["dbname"]
    with psycopg.connect(server, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        owner.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def test_while_the_database_is_away_a_customer_is_told_so_long_before_workers_give_up(server, world):
    (invoice,) = invoices(world.tally, 1)
    with world.serving() as running:
        link = Links([LINK_SECRET], running.url).link_of(invoice)
        assert requests.get(link, timeout=60).status_code == 200
        with away(server, world.tally):
            for _ in "lost", "not there":
                # Half of the time that a connection is waited for elsewhere, on however busy a machine.
                told = requests.get(link, headers={"Accept-Language": "de"}, timeout=15)
                assert (told.status_code, told.headers["retry-after"]) == (503, "30")
                assert "in einigen Minuten noch einmal" in told.text
        again = (requests.get(link, timeout=60).status_code for _ in range(60))
        assert 200 in again


def test_while_the_database_is_away_a_webhook_is_not_acknowledged_and_comes_again(server, tally, monkeypatch):
    monkeypatch.setattr("adapters.web.webhooks.WAIT", 0.5)
    app = make_app(Door({"stripe": StripeVerifier([SECRET], live=False)}, tally.pool, now=lambda: NOW))
    body = body_of(event())
    with away(server, tally):
        answer = deliver(app, signed_in_process(body), body)
        assert (answer.status, answer.code) == (503, "unavailable")
        assert deliver(app, [], b"", path="/healthz", method="GET").status == 503
    again = (deliver(app, signed_in_process(body), body).status for _ in range(60))
    assert 200 in again, "the pool waits longer after each try in vain, on a busy machine for some seconds"
    assert [one.event for one in inbox.listed(tally.pool)] == ["evt_1"]


@pytest.mark.parametrize("command", ["serve", "sandbox"])
def test_a_port_that_others_listen_on_is_said_to_be_theirs(command, tally, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", tally.dsn)
    monkeypatch.setenv("TALLY_LINK_SECRET", LINK_SECRET)
    with socket.create_server(("127.0.0.1", 0)) as others:
        port = others.getsockname()[1]
        assert command_line([command, "--port", str(port)]) == 4
    said = capsys.readouterr()
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use" in said.err
    assert "listening on" not in said.out
