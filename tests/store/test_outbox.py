"""What is to be told: every event once for each destination that wants it, from the moment it was made."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bootstrap import Tally
from domain.application.licensing import ChangeLicense, ResumeLicense, SuspendLicense
from domain.application.payments import BookReceipt, OpenAttempt, RecordOutcome, issued
from domain.application.returns import GiveBack, OpenRefund, RecordDispute, RecordRefund
from domain.errors import Invalid
from domain.identity import Kind
from domain.news import DisputeNews
from domain.payment import RefundReply, Reply
from jobs import destinations
from jobs.outbox import Outbox
from projections.projection import Entry
from tests.builders import declared_package, open_account, publish, start
from tests.store.test_payments import FEBRUARY, NOW, an_invoice

EARLY = datetime(2025, 1, 1, tzinfo=UTC)


def subscribe(tally: Tally, name: str, types: str = "*", account: str = "") -> None:
    whose = tally.billing.resolve(Kind.ACCOUNT, [account])[account] if account else None
    assert tally.deliverer
    tally.destinations.add(name, "webhook", "http://127.0.0.1:9/", types.split(","), whose, EARLY)


def told(tally: Tally, name: str) -> list[tuple[str, dict[str, Any]]]:
    tally.deliverer.follower.catch_up()
    with tally.pool.connection() as connection:
        statement = "SELECT type, body FROM outbox WHERE destination = %s ORDER BY bucket, position"
        rows = connection.execute(statement, [name]).fetchall()
    return [(kind, json.loads(bytes(body))["data"]) for kind, body in rows]


def types(tally: Tally, name: str) -> list[str]:
    return [kind for kind, _ in told(tally, name)]


def a_history(tally: Tally, account: str = "acme") -> UUID:
    """An invoice that is declined, paid, disputed, refunded; a license that stops and serves again."""
    invoice = an_invoice(tally, account)
    found = issued(tally.billing, invoice)
    attempt = tally.billing.execute(OpenAttempt(invoice, "stripe", NOW, customer="cus_1", method="pm_1"))
    for state, code, url in (("action_required", "", "https://bank.example/3ds"), ("declined", "expired_card", "")):
        reply = Reply(state, object="pi_1", code=code, url=url)  # type: ignore[arg-type]
        tally.billing.execute(RecordOutcome(invoice, attempt.opened.attempt, reply, FEBRUARY))
    tally.billing.execute(RecordOutcome(invoice, attempt.opened.attempt, Reply("cancelled"), FEBRUARY))
    receipt = f"stripe:ch_{account}"
    book = BookReceipt(found.account, "EUR", receipt, "stripe", found.gross - 1000, FEBRUARY, invoices=(invoice,))
    tally.billing.execute(book)
    rest = BookReceipt(found.account, "EUR", f"bank:{account}", "bank", 1000, FEBRUARY, invoices=(invoice,))
    tally.billing.execute(rest)
    for state in ("open", "won"):
        news = DisputeNews(f"dp_{account}", "ch", state, 300, 0, 0, "EUR", "fraud")  # type: ignore[arg-type]
        tally.billing.execute(RecordDispute(found.account, receipt, "stripe", news, FEBRUARY))
    refund = tally.billing.execute(OpenRefund(found.account, "EUR", receipt, NOW, 380, "a gift"))
    reply = RefundReply("succeeded", "re_1", 380, "EUR")
    tally.billing.execute(RecordRefund(found.account, "EUR", refund.opened.refund, reply, FEBRUARY))
    tally.billing.execute(
        GiveBack(found.account, "EUR", f"bank:{account}", f"ret:{account}", "reversal", 1000, FEBRUARY)
    )
    tally.billing.execute(SuspendLicense(f"{account}-license", "fair_use", FEBRUARY))
    tally.billing.execute(ResumeLicense(f"{account}-license", "fair_use", FEBRUARY))
    return invoice


STORY = [
    "license.started", "invoice.issued", "payment.action_required", "payment.failed", "invoice.paid", "dispute.opened",
    "dispute.closed", "invoice.reopened", "refund.succeeded", "license.suspended", "license.resumed",
]  # fmt: skip


def test_what_happens_to_an_invoice_and_a_license_is_told_in_order_with_amounts_and_sequence(tally):
    subscribe(tally, "ep_all")
    a_history(tally)
    found = told(tally, "ep_all")
    assert [kind for kind, _ in found] == STORY
    said = dict(found)
    assert said["invoice.issued"]["gross"] == 2380
    assert said["invoice.issued"]["number"] == said["invoice.paid"]["number"] == "INV-000001"
    assert (said["invoice.paid"]["open"], said["invoice.reopened"]["open"]) == (0, 380)
    assert (said["payment.failed"]["code"], said["payment.failed"]["amount"]) == ("expired_card", 2380)
    assert said["refund.succeeded"]["amount"] == 380
    assert said["license.suspended"]["license"] == "acme-license"
    assert all(data["account"] == "acme" for _, data in found)
    sequences = [data["sequence"] for _, data in found]
    assert sequences == sorted(set(sequences))


def test_a_destination_hears_what_it_asked_for_and_nothing_from_before_it_was_made(tally):
    subscribe(tally, "ep_early", "invoice.*")
    a_history(tally)
    subscribe(tally, "ep_late")
    assert types(tally, "ep_early") == ["invoice.issued", "invoice.paid", "invoice.reopened"]
    assert types(tally, "ep_late") == []
    tally.billing.execute(SuspendLicense("acme-license", "fair_use", FEBRUARY))
    assert types(tally, "ep_late") == ["license.suspended"]
    with pytest.raises(Invalid, match=r"invoice\.sent"):
        subscribe(tally, "ep_wrong", "invoice.sent")


def test_the_first_destination_of_an_old_system_hears_only_what_comes(tally):
    a_history(tally)
    subscribe(tally, "ep_first")
    assert types(tally, "ep_first") == []
    tally.billing.execute(ChangeLicense(license="acme-license", today=FEBRUARY, quantities={"seats": 11}, when="now"))
    assert types(tally, "ep_first") == ["license.changed"]


def test_a_destination_of_an_account_hears_of_it_and_of_those_below_it_only(tally):
    publish(tally, declared_package())
    for name, parent in (("reseller", ""), ("below", "reseller"), ("other", "")):
        open_account(tally, name, parent=parent)
    subscribe(tally, "ep_reseller", account="reseller")
    for name in ("reseller", "below", "other"):
        start(tally, name, name, "declared", quantities={"seats": 1})
    assert [data["license"] for _, data in told(tally, "ep_reseller")] == ["reseller", "below"]


def test_a_destination_made_while_events_come_and_are_followed_misses_none_and_gets_none_from_before(tally):
    publish(tally, declared_package())
    subscribe(tally, "ep_first")
    for number in range(8):
        open_account(tally, f"a{number}")
    stop = threading.Event()

    def sell(part: int) -> None:
        for number in range(40):
            start(tally, f"l{part}-{number}", f"a{number % 8}", "declared", quantities={"seats": 1})

    def follow() -> None:
        while not stop.is_set():
            tally.deliverer.follower.step()

    workers = [threading.Thread(target=sell, args=(part,)) for part in range(2)]
    follower = threading.Thread(target=follow)
    for thread in (*workers, follower):
        thread.start()
    for number in range(6):
        subscribe(tally, f"ep_{number}")
    for thread in workers:
        thread.join()
    stop.set()
    follower.join()
    tally.deliverer.follower.catch_up()
    with tally.pool.connection() as connection:
        wrong = connection.execute(
            "SELECT d.destination, e.position, o.message FROM destination d CROSS JOIN event e LEFT JOIN outbox o "
            "ON o.bucket = e.bucket AND o.position = e.position AND o.destination = d.destination "
            "WHERE e.topic = 'license.started' AND (e.position > d.since[e.bucket + 1]) <> (o.message IS NOT NULL)"
        ).fetchall()
        heard = connection.execute("SELECT count(*) FROM outbox WHERE destination = 'ep_first'").fetchone()
    assert wrong == []
    assert heard == (80,)


def test_what_happens_while_a_destination_is_being_made_is_not_lost(tally, monkeypatch):
    """Its row stays uncommitted for a while after the heads were read: the follower has to wait for it."""
    publish(tally, declared_package())
    subscribe(tally, "ep_first")
    open_account(tally)
    tally.deliverer.follower.catch_up()
    slow = destinations.ADD.replace("FROM bucket_head", "FROM bucket_head, (SELECT pg_sleep(1)) AS slept")
    monkeypatch.setattr(destinations, "ADD", slow)
    making = threading.Thread(target=subscribe, args=(tally, "ep_slow"))
    making.start()
    with psycopg.connect(tally.dsn, autocommit=True) as connection:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        while making.is_alive() and connection.execute(asleep).fetchone() != (1,):
            pass
    start(tally, "l", "acme", "declared", quantities={"seats": 1})
    tally.deliverer.follower.step()
    making.join()
    assert types(tally, "ep_slow") == types(tally, "ep_first") == ["license.started"]


def rows(tally: Tally) -> list[tuple[Any, ...]]:
    with tally.pool.connection() as connection:
        return connection.execute("SELECT * FROM outbox ORDER BY bucket, message").fetchall()


def log(tally: Tally) -> list[Entry]:
    with tally.pool.connection() as connection:
        found = connection.execute(
            "SELECT bucket, position, stream, version, topic, state FROM event ORDER BY bucket, position"
        ).fetchall()
    return [Entry(*row) for row in found]


def take_in(tally: Tally, parts: Sequence[Sequence[Entry]]) -> list[tuple[Any, ...]]:
    """The rows that parts of the log come to, each in a transaction of its own; they are undone afterwards."""
    with tally.pool.connection() as connection, connection.transaction(force_rollback=True):
        cursor = connection.cursor(binary=True)
        cursor.execute("DELETE FROM outbox")
        for part in parts:
            with connection.transaction():
                Outbox().apply(cursor, part)
        return connection.execute("SELECT * FROM outbox ORDER BY bucket, message").fetchall()


def test_however_the_log_is_cut_and_repeated_the_same_messages_come_of_it(tally):
    subscribe(tally, "ep_all")
    subscribe(tally, "ep_some", "invoice.*,license.suspended")
    a_history(tally, "acme")
    subscribe(tally, "ep_later")
    a_history(tally, "beta")
    tally.deliverer.follower.catch_up()
    whole, entries = rows(tally), log(tally)
    assert len(whole) == 2 * (len(STORY) + 4) + len(STORY)
    borders = st.lists(st.integers(0, len(entries)), max_size=6).map(sorted)

    @given(borders, st.integers(0, len(entries)), st.integers(0, len(entries)))
    def cut(at: list[int], again_from: int, again_to: int) -> None:
        ends = [0, *at, len(entries)]
        parts = [entries[a:b] for a, b in pairwise(ends)]
        assert take_in(tally, [*parts, entries[again_from:again_to]]) == whole

    cut()


def test_what_was_sent_is_not_made_again_when_the_log_is_followed_from_its_beginning(tally):
    subscribe(tally, "ep_all")
    a_history(tally)
    tally.deliverer.follower.catch_up()
    with tally.pool.connection() as connection:
        connection.execute("UPDATE outbox SET state = 'sent', attempts = 1")
    before = rows(tally)
    tally.deliverer.follower.rebuild("outbox_v1")
    assert rows(tally) == before


def test_days_of_messages_are_iso_and_the_time_is_that_of_the_record(tally):
    subscribe(tally, "ep_all", "invoice.issued")
    an_invoice(tally)
    tally.deliverer.follower.catch_up()
    ((*_, recorded, due, _, _, _, _),) = rows(tally)
    body = json.loads(bytes(rows(tally)[0][5]))
    assert body["type"] == "invoice.issued"
    assert date.fromisoformat(body["data"]["issued_on"]) == FEBRUARY
    assert datetime.fromisoformat(body["timestamp"]) == recorded == due
