"""Delivering webhooks: at least once, signed, tried again for three days, by many at once, killed at any moment."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from adapters.bootstrap import Tally
from adapters.doctor import inspect
from adapters.outgoing.signature import secret, shown
from adapters.outgoing.webhooks import Webhooks
from adapters.settings import Outgoing, Secret
from domain.application.licensing import ResumeLicense, SuspendLicense
from domain.errors import Conflict, Invalid, NotFound
from jobs.deliver import SCHEDULE, Deliverer, Message, Verdict
from tests.builders import declared_package, open_account, publish, start
from tests.receiver import Receiver, Request
from tests.store.test_payments import FEBRUARY

KEY = "test key of thirty-two characters or more"
OUTGOING = Outgoing(key=Secret(KEY), loopback=True)


class Clock:
    """A clock that is moved by hand; it begins now, because messages are due when they were recorded."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC) + timedelta(minutes=1)

    def __call__(self) -> datetime:
        return self.at

    def go(self, wait: timedelta) -> None:
        self.at += wait


@pytest.fixture
def telling(dsn):
    """Tallystick that may call loopback, with a clock, and one license."""
    with Tally(dsn, outgoing=OUTGOING) as tally:
        clock = Clock()
        tally.__dict__["deliverer"] = replace(tally.deliverer, now=clock)
        publish(tally, declared_package())
        open_account(tally)
        start(tally, "l", "acme", "declared", quantities={"seats": 1})
        yield tally, clock


def endpoint(tally: Tally, url: str, name: str = "ep_1") -> None:
    tally.destinations.add(name, "webhook", url, ["license.*"], None, datetime.now(UTC))


def happen(tally: Tally, times: int = 1) -> None:
    """Something to tell, so many times."""
    for number in range(times):
        kind = SuspendLicense if number % 2 == 0 else ResumeLicense
        tally.billing.execute(kind("l", "fair_use", FEBRUARY))
    if times % 2:
        tally.billing.execute(ResumeLicense("l", "fair_use", FEBRUARY))


def states(tally: Tally) -> Counter[tuple[str, int, str]]:
    with tally.pool.connection() as connection:
        return Counter(connection.execute("SELECT state, attempts, status FROM outbox").fetchall())


def test_a_message_is_taken_and_its_signature_is_good_to_a_receiver_of_the_convention(telling):
    tally, _ = telling
    with Receiver() as receiver:
        endpoint(tally, receiver.url)
        happen(tally)
        assert tally.deliverer.deliver_due() == {"sent": 2}
        assert tally.deliverer.deliver_due() == {}
    first, second = receiver.requests
    verified = Webhook(shown(secret(KEY, "ep_1", 1))).verify(first.body, first.headers)
    assert {verified["type"], json.loads(second.body)["type"]} == {"license.suspended", "license.resumed"}
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(secret(KEY, "ep_2", 1))).verify(first.body, first.headers)
    assert first.id != second.id
    assert first.headers["content-type"] == "application/json"
    assert states(tally) == {("sent", 1, "204"): 2}


def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(telling):
    tally, clock = telling
    with Receiver() as receiver:
        endpoint(tally, receiver.url)
        tally.destinations.rotate("ep_1", clock())
        with pytest.raises(Conflict):
            tally.destinations.rotate("ep_1", clock())
        happen(tally)
        tally.deliverer.deliver_due()
        clock.go(timedelta(hours=24))
        happen(tally)
        tally.deliverer.deliver_due()
    both, new = receiver.requests[0], receiver.requests[2]
    for generation in (1, 2):
        assert Webhook(shown(secret(KEY, "ep_1", generation))).verify(both.body, both.headers)
    assert len(both.headers["webhook-signature"].split()) == 2
    assert len(new.headers["webhook-signature"].split()) == 1


def test_a_message_that_fails_comes_again_as_itself_ever_later_and_is_dead_after_three_days(telling):
    tally, clock = telling
    with Receiver(lambda request: 500) as receiver:
        endpoint(tally, receiver.url)
        tally.billing.execute(SuspendLicense("l", "fair_use", FEBRUARY))
        assert tally.deliverer.deliver_due() == {"failed": 1}
        for number, wait in enumerate(SCHEDULE, start=1):
            clock.go(wait * 0.89)
            assert tally.deliverer.deliver_due() == {}
            clock.go(wait * 0.22)
            assert tally.deliverer.deliver_due() == {"dead" if number == len(SCHEDULE) else "failed": 1}
        clock.go(timedelta(days=9))
        assert tally.deliverer.deliver_due() == {}
    assert len({(request.id, request.body) for request in receiver.requests}) == 1, "the same bytes every time"
    assert states(tally) == {("dead", len(SCHEDULE) + 1, "500"): 1}
    assert tally.destinations.named("ep_1").state == "disabled"
    assert sum(SCHEDULE, timedelta()) > timedelta(days=3)


def test_what_is_dead_is_replayed_under_its_id_and_what_is_dropped_is_not(telling):
    tally, _ = telling
    with Receiver() as receiver:
        endpoint(tally, receiver.url)
        happen(tally)
        tally.deliverer.follower.catch_up()
        with tally.pool.connection() as connection:
            connection.execute("UPDATE outbox SET state = 'dead', attempts = 10")
            ids = [one for (one,) in connection.execute("SELECT message FROM outbox ORDER BY position").fetchall()]
        assert tally.deliverer.deliver_due() == {}
        tally.deliverer.drop(ids[1])
        assert tally.deliverer.replay(destination="ep_1") == 1
        assert tally.deliverer.deliver_due() == {"sent": 1}
        assert tally.deliverer.replay(ids[0]) == 1
        assert tally.deliverer.deliver_due() == {"sent": 1}
        assert [request.id for request in receiver.requests] == [ids[0], ids[0]]
        with pytest.raises(NotFound):
            tally.deliverer.replay("msg_none")


def test_an_endpoint_that_is_gone_or_fails_for_three_days_is_disabled_and_loses_nothing(telling):
    tally, clock = telling
    status = {"now": 410}
    with Receiver(lambda request: status["now"]) as receiver:
        endpoint(tally, receiver.url)
        happen(tally)
        tally.deliverer.deliver_due()
        assert (tally.destinations.named("ep_1").state, tally.destinations.named("ep_1").why[-4:]) == (
            "disabled",
            "Gone",
        )
        with psycopg.connect(tally.dsn) as connection:
            assert [(one.rule, one.object) for one in inspect(connection)] == [("told", "ep_1")]
        clock.go(timedelta(days=1))
        assert tally.deliverer.deliver_due() == {}
        status["now"] = 503
        tally.destinations.enable("ep_1")
        for _ in range(3):
            tally.deliverer.deliver_due()
            assert tally.destinations.named("ep_1").state == "enabled"
            clock.go(timedelta(days=1))
        tally.deliverer.deliver_due()
        assert tally.destinations.named("ep_1").why == "nothing but failures for three days"
        happen(tally)  # while it is disabled
        status["now"] = 204
        tally.destinations.enable("ep_1")
        clock.go(timedelta(days=1))
        assert tally.deliverer.deliver_due() == {"sent": 4}
        assert tally.destinations.named("ep_1").failing_since is None


def test_one_dead_endpoint_and_one_broken_message_do_not_hold_up_the_others(telling):
    tally, _ = telling
    with Receiver() as receiver:
        endpoint(tally, "http://127.0.0.1:9/nobody", "ep_dead")
        endpoint(tally, receiver.url, "ep_good")
        happen(tally, 20)
        counts = tally.deliverer.deliver_due()
        assert counts["sent"] == 20
        assert 1 <= counts["failed"] <= 4
        assert len({request.id for request in receiver.requests}) == 20

    class Broken:
        def carry(self, message: Message, now: datetime) -> Verdict:
            raise ZeroDivisionError("a fault of ours")

    broken = replace(tally.deliverer, carriers={"webhook": Broken()})
    happen(tally)
    assert broken.deliver_due()["failed"] >= 1
    assert any(status.startswith("ZeroDivisionError") for _, _, status in states(tally))


def test_a_removed_endpoint_is_told_nothing_more(telling):
    tally, _ = telling
    with Receiver() as receiver:
        endpoint(tally, receiver.url)
        happen(tally)
        tally.deliverer.follower.catch_up()
        tally.destinations.remove("ep_1")
        happen(tally)
        assert tally.deliverer.deliver_due() == {}
        assert receiver.requests == []
    assert states(tally) == {}


def test_many_deliverers_at_once_send_everything_once(telling):
    tally, _ = telling
    with Receiver() as receiver:
        endpoint(tally, receiver.url)
        happen(tally, 40)
        threads = [threading.Thread(target=tally.deliverer.deliver_due) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(Counter(request.id for request in receiver.requests).values()) == [1] * 40
    assert states(tally) == {("sent", 1, "204"): 40}


class Doomed:
    """Delivers, and is killed after the receiver took it and before that is committed."""

    def __init__(self, real: Webhooks) -> None:
        self.real = real

    def carry(self, message: Message, now: datetime) -> Verdict:
        assert self.real.carry(message, now).what == "sent"
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def die(dsn: str) -> None:
    with Tally(dsn, outgoing=OUTGOING) as tally:
        doomed = Deliverer(tally.pool, tally.deliverer.follower, {"webhook": Doomed(Webhooks(KEY, loopback=True))})
        doomed.deliver_due()


def test_killed_between_the_receivers_yes_and_the_commit_it_is_sent_again_under_the_same_id(telling, dsn):
    tally, _ = telling
    with Receiver() as receiver:
        endpoint(tally, receiver.url)
        happen(tally)
        process = multiprocessing.get_context("spawn").Process(target=die, args=(dsn,))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert receiver.requests
        taken = Counter(request.id for request in receiver.requests)
        for _ in range(100):  # until the server has noticed that the line is dead
            if states(tally) == {("sent", 1, "204"): 2}:
                break
            tally.deliverer.deliver_due()
            threading.Event().wait(0.05)
        assert states(tally) == {("sent", 1, "204"): 2}
        again = Counter(request.id for request in receiver.requests)
        assert set(again) >= set(taken)
        assert sum(again.values()) == 2 + sum(taken.values())


def test_a_cut_line_is_a_failure_and_the_reply_is_not_kept(telling):
    tally, clock = telling
    calls: list[str] = []

    def cut(request: Request) -> int:
        calls.append(request.id)
        if len(calls) == 1:
            raise ConnectionError
        return 200

    with Receiver(cut) as receiver:
        endpoint(tally, receiver.url)
        happen(tally)
        tally.deliverer.deliver_due()
        clock.go(timedelta(seconds=6))
        tally.deliverer.deliver_due()
    assert states(tally) == {("sent", 2, "200"): 1, ("sent", 1, "200"): 1}
    assert json.loads(receiver.requests[0].body)["data"]["license"] == "l"


def test_a_key_that_is_too_short_is_refused():
    with pytest.raises(Invalid, match="openssl"):
        secret("short", "ep_1", 1)
