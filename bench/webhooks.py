"""How soon a webhook is acknowledged while 500 of them come within a second, and how soon all of them are settled.

The payments are real ones of the sandbox, and each event is read there again. The floor of an acknowledgement is the
bare insert and commit of the same rows at the same pace by as many senders; that of settling is the bare reading.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import quantiles
from threading import local

from psycopg_pool import ConnectionPool

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.providers.stripe import StripePayments
from adapters.sandbox.stripe_hooks import signed
from adapters.store.factory import open_pool
from bench.figure import Figure
from bench.ground import Ground, apart, checkpoint
from bench.population import FEBRUARY, fill
from domain.application.payments import BindObject, OpenAttempt
from domain.identity import name_bucket
from domain.news import Hint

WEBHOOKS, SENDERS, CONNECTIONS = 500, 40, 8
SECRET, KEY = "whsec_bench", "sk_test_bench"
COMMAND = [sys.executable, "-u", "-c", "import sys; from adapters.cli.main import main; sys.exit(main(sys.argv[1:]))"]
ADDRESS = re.compile(r"http://127\.0\.0\.1:[0-9]+")
OPEN = "SELECT invoice FROM receivable_v1 WHERE left_open > 0 ORDER BY number"
NOT_DONE = "SELECT count(*) FROM webhook_inbox WHERE state <> 'done'"
BARE = "INSERT INTO bare VALUES (%s, %s, %s)"


def figures(ground: Ground) -> list[Figure]:
    """500 webhooks within a second: the slowest acknowledgements beside bare commits, and until all are settled."""
    with ground.database("webhooks") as dsn, _running("sandbox", "--port", "0") as sandbox:
        assert sandbox.stdout is not None
        base = next(found[0] for line in sandbox.stdout if (found := ADDRESS.search(line)))
        apart(_billed, dsn)
        with _serving(dsn, base) as port:
            events = apart(_paid, dsn, base)
            checkpoint(ground.server)
            floor, read = apart(_bare, dsn, events), apart(_read, base, events)
            checkpoint(ground.server)
            acknowledged, settled = apart(_delivered, dsn, port, events)
    return [
        Figure.beside("webhooks_500_p50_ms", _percentile(acknowledged, 50), "ms", _percentile(floor, 50)),
        Figure.beside("webhooks_500_p99_ms", _percentile(acknowledged, 99), "ms", _percentile(floor, 99)),
        Figure.beside("webhooks_500_settled_s", settled, "s", read),
    ]


@contextmanager
def _running(*words: str, **chosen: str) -> Iterator[subprocess.Popen[str]]:
    """A command as a process of its own."""
    command, environment = [*COMMAND, *words], {**os.environ, **chosen}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def _serving(dsn: str, base: str) -> Iterator[int]:
    """`tally serve`, and the port that it answers on; its poller finds nothing yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    chosen = {"DATABASE_URL": dsn, "TALLY_STRIPE_KEY": KEY, "TALLY_STRIPE_BASE": base}
    with _running("serve", "--port", str(port), TALLY_STRIPE_WEBHOOK_SECRET=SECRET, **chosen) as server:
        while not _answers(port):
            assert server.poll() is None
            time.sleep(0.1)
        yield port


def _answers(port: int) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        line.request("GET", "/healthz")
        return line.getresponse().status == 200
    except ConnectionError:
        return False
    finally:
        line.close()


def _billed(dsn: str) -> None:
    """A month's invoices."""
    fill(dsn, WEBHOOKS)
    with Tally(dsn) as tally:
        run_billing(tally, FEBRUARY, FEBRUARY)
        tally.follower().catch_up()


def _paid(dsn: str, base: str) -> list[Hint]:
    """Money moved at the provider for each invoice, as our books do not know yet; what it would tell of that."""
    stripe, now = StripePayments(KEY, base), datetime.now(UTC)
    with Tally(dsn) as tally:
        with tally.pool.connection() as connection:
            owed = [invoice for (invoice,) in connection.execute(OPEN).fetchall()]
        for invoice in owed:
            attempt = tally.billing.execute(
                OpenAttempt(invoice, "stripe", now, customer="cus_1", method="pm_card_visa")
            )
            made = stripe.create(attempt.order())
            tally.billing.execute(BindObject(invoice, attempt.opened.attempt, made.object))
            assert stripe.confirm(attempt.order(), made.object).state == "succeeded"
    told = [one for one in stripe.hints(now - timedelta(minutes=5)) if one.kind == "payment_intent.succeeded"]
    assert len(told) == len(owed) == WEBHOOKS
    return told


def _paced(act: Callable[[Hint], None], events: Sequence[Hint]) -> list[float]:
    """Acts on all events, evenly spread over a second; how long each took, in ms, from when it should have begun."""
    begun = time.perf_counter() + 0.2

    def at_its_time(numbered: tuple[int, Hint]) -> float:
        wanted = begun + numbered[0] / len(events)
        time.sleep(max(0, wanted - time.perf_counter()))
        act(numbered[1])
        return (time.perf_counter() - wanted) * 1000

    with ThreadPoolExecutor(SENDERS) as senders:
        return list(senders.map(at_its_time, enumerate(events)))


def _bare(dsn: str, events: Sequence[Hint]) -> list[float]:
    """What a row and a commit cost at this pace, over as many connections as the server has."""
    with open_pool(dsn, CONNECTIONS) as pool:
        with pool.connection() as connection:
            connection.execute(
                "CREATE TABLE bare (bucket smallint, event text, body bytea, PRIMARY KEY (bucket, event))"
            )
        _paced(partial(_insert, pool, "warm"), events[:SENDERS])
        return _paced(partial(_insert, pool, ""), events)


def _insert(pool: ConnectionPool, before: str, hint: Hint) -> None:
    with pool.connection() as connection:
        connection.execute(BARE, [name_bucket(hint.event), before + hint.event, hint.body])


def _read(base: str, events: Sequence[Hint]) -> float:
    """Seconds to read what all events name at the sandbox, two at once as the server's workers are."""
    stripe = StripePayments(KEY, base)
    begun = time.perf_counter()
    with ThreadPoolExecutor(2) as readers:
        assert all(readers.map(stripe.news, events))
    return time.perf_counter() - begun


def _delivered(dsn: str, port: int, events: Sequence[Hint]) -> tuple[list[float], float]:
    """Milliseconds of each acknowledgement, and seconds from the first delivery until everything is settled."""
    lines = local()

    def post(hint: Hint) -> None:
        if not hasattr(lines, "one"):
            lines.one = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "application/json", **signed(SECRET, hint.body, time.time())}
        lines.one.request("POST", "/webhooks/stripe", hint.body, headers)
        answer = lines.one.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    begun = time.perf_counter()
    acknowledged = _paced(post, events)
    with Tally(dsn) as tally:
        while not _is_settled(tally):
            time.sleep(0.05)
    return acknowledged, time.perf_counter() - begun


def _is_settled(tally: Tally) -> bool:
    with tally.pool.connection() as connection:
        return connection.execute(NOT_DONE).fetchone() == (0,)


def _percentile(times: Sequence[float], percent: int) -> float:
    return quantiles(times, n=100)[percent - 1]
