"""Following the log: exactly once, poison set aside, rows that can be made again."""

from __future__ import annotations

import threading
from datetime import date
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent

from domain.errors import IntegrityError
from domain.events import encode
from domain.events.account import TaxRateChanged
from domain.identity import Kind, make_id
from projections import ALL
from projections.follower import Entry, Follower, Projection
from tests.builders import declared_package, open_account, publish, start


class Names(Projection):
    """References of accounts; cannot stand those of unlucky length."""

    name = "names_v1"
    tables = ("names_v1",)
    topics = frozenset({"account"})
    ddl = (
        "CREATE TABLE IF NOT EXISTS names_v1 "
        "(bucket smallint, stream uuid, events integer, PRIMARY KEY (bucket, stream))",
    )
    broken = True

    def apply(self, cursor, entries: list[Entry]) -> None:
        for entry in entries:
            if self.broken and b'"reference":"bad"' in entry.state:
                raise ValueError("cannot stand this one")
            cursor.execute(
                "INSERT INTO names_v1 VALUES (%s, %s, 1) "
                "ON CONFLICT (bucket, stream) DO UPDATE SET events = names_v1.events + 1",
                [entry.bucket, entry.stream],
            )


def rows(tally, table: str) -> list[tuple]:
    with tally.pool.connection() as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2".encode()).fetchall()


@pytest.fixture
def following(tally):
    with tally.pool.connection() as connection:
        connection.execute(Names.ddl[0].encode())
    projection = Names()
    return projection, Follower(tally.pool, [projection])


def test_a_poison_event_parks_its_stream_and_others_go_on_until_it_is_mended(tally, following):
    projection, follower = following
    for name in ("good", "bad", "fine"):
        open_account(tally, name)
    follower.catch_up()
    assert len(rows(tally, "names_v1")) == 2
    stream = tally.billing.resolve(Kind.ACCOUNT, ["bad"])["bad"]
    late = encode(TaxRateChanged(tax_percent=7, effective_on=date(2025, 1, 1)))
    tally.log.insert_events([StoredEvent(stream, 2, "account.tax_rate_changed", late)])
    follower.catch_up()
    parked = follower.parked()
    assert [error.partition(":")[0] for *_, error in parked] == [
        "ValueError",
        "an earlier event of the stream is parked",
    ]
    assert follower.retry("names_v1") == 2
    assert len(follower.parked()) == 2
    projection.broken = False
    assert follower.retry("names_v1") == 2
    assert follower.parked() == []
    assert dict((stream, events) for _, stream, events in rows(tally, "names_v1"))[stream] == 2


def test_an_event_that_this_program_does_not_know_stops_the_follower(tally):
    account = make_id(Kind.ACCOUNT, 3, None, uuid4())
    tally.log.insert_events([StoredEvent(account, 1, "account.opened.99", b"{}")])
    with pytest.raises(IntegrityError, match="upgrade"):
        tally.follower().catch_up()
    assert tally.follower().lag()["basis_v2"] == 1


def test_every_projection_is_rebuilt_to_identical_rows_while_appends_go_on(tally):
    publish(tally, declared_package())
    for number in range(30):
        open_account(tally, f"a{number}")
        start(tally, f"l{number}", f"a{number}", "declared", quantities={"seats": number})
    follower = tally.follower()
    follower.catch_up()
    before = {table: rows(tally, table) for projection in ALL for table in projection.tables}
    stop = threading.Event()

    def append() -> None:
        number = 100
        while not stop.is_set():
            open_account(tally, f"a{number}")
            number += 1

    writer = threading.Thread(target=append)
    writer.start()
    for projection in ALL:
        follower.rebuild(projection.name)
    stop.set()
    writer.join()
    follower.catch_up()
    for table, old in before.items():
        again = rows(tally, table)
        assert set(map(str, old)) <= set(map(str, again)), table
    once = {table: rows(tally, table) for table in before}
    for projection in ALL:
        follower.rebuild(projection.name)
    assert {table: rows(tally, table) for table in before} == once


def test_several_followers_take_every_event_in_once(tally, following):
    for number in range(60):
        open_account(tally, f"a{number}")
    followers = [Follower(tally.pool, [Names()]) for _ in range(4)]
    threads = [threading.Thread(target=follower.catch_up) for follower in followers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [events for *_, events in rows(tally, "names_v1")] == [1] * 60
