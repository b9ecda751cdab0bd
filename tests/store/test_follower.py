"""Following the log: exactly once, poison set aside, rows that can be made again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from datetime import date
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from adapters.bootstrap import all_ddl
from adapters.store.factory import open_pool
from adapters.store.install import install
from domain.errors import IntegrityError
from domain.events import decode, encode
from domain.events.account import TaxRateChanged
from domain.identity import ALL_BUCKETS, Kind, make_id
from projections import ALL
from projections.follower import LOCK, Follower
from projections.projection import Entry, Projection
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


class Versions(Projection):
    """How far each account has come; can stand them all."""

    name = "versions_v1"
    tables = ("versions_v1",)
    topics = frozenset({"account"})
    ddl = (
        "CREATE TABLE IF NOT EXISTS versions_v1 "
        "(bucket smallint, stream uuid, events integer, PRIMARY KEY (bucket, stream))",
    )
    dies = False

    def apply(self, cursor, entries: list[Entry]) -> None:
        for entry in entries:
            cursor.execute(
                "INSERT INTO versions_v1 AS v VALUES (%s, %s, 1) "
                "ON CONFLICT (bucket, stream) DO UPDATE SET events = v.events + 1",
                [entry.bucket, entry.stream],
            )
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)


def rows(tally, table: str) -> list[tuple]:
    with tally.pool.connection() as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2".encode()).fetchall()


@pytest.fixture
def following(tally):
    with tally.pool.connection() as connection:
        connection.execute(Names.ddl[0].encode())
        connection.execute(Versions.ddl[0].encode())
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


def test_an_event_that_this_program_does_not_know_stops_those_that_want_it_and_no_others(tally):
    account = make_id(Kind.ACCOUNT, 3, None, uuid4())
    tally.log.insert_events([StoredEvent(account, 1, "account.opened.99", b"{}")])
    with pytest.raises(IntegrityError, match="upgrade"):
        tally.follower().catch_up()
    lag = tally.follower().lag()
    assert {name for name, behind in lag.items() if behind} == {"basis_v2", "account_v2", "method_v1", "beginning_v1"}


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


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The topics of events as they are decoded."""
    topics: list[str] = []

    def noted(topic: str, state: bytes):
        topics.append(topic)
        return decode(topic, state)

    monkeypatch.setattr("projections.projection.decode", noted)
    return topics


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The statements that are sent."""
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def noted(self, query, *values, **options):
        statements.append(str(query).strip())
        return execute(self, query, *values, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    return statements


def test_an_event_is_read_and_decoded_once_for_all_and_where_nothing_is_new_one_statement_says_so(
    tally, decoded, asked
):
    open_account(tally, "acme")
    tally.follower().catch_up()
    asked.clear(), decoded.clear()
    tally.follower().catch_up()
    assert len(asked) == 1
    open_account(tally, "other")
    asked.clear(), decoded.clear()
    tally.follower().catch_up()
    assert decoded == ["account.opened"]
    assert sum("LATERAL stretch" in statement for statement in asked) == 1
    assert sum(statement.startswith("UPDATE tracking") for statement in asked) == 1
    assert sum("array_agg(projection) FROM tracking" in statement for statement in asked) == 1


def test_what_one_projection_cannot_take_is_parked_there_while_the_others_of_its_group_have_it(tally, following):
    for name in ("good", "bad", "fine"):
        open_account(tally, name)
    follower = Follower(tally.pool, [Names(), Versions()])
    follower.catch_up()
    assert [name for name, *_ in follower.parked()] == ["names_v1"]
    assert (len(rows(tally, "names_v1")), len(rows(tally, "versions_v1"))) == (2, 3)
    assert follower.lag() == {"names_v1": 0, "versions_v1": 0}


def test_a_projection_that_is_behind_follows_by_itself_and_joins_the_others_when_it_has_come_up(
    tally, following, asked, monkeypatch
):
    for module in ("follower", "step"):
        monkeypatch.setattr(f"projections.{module}.BATCH", 30)
    for number in range(40):
        open_account(tally, f"a{number}")
    following[1].catch_up()
    both = Follower(tally.pool, [Names(), Versions()])
    open_account(tally, "late")
    asked.clear()
    both.step()
    assert both.lag()["names_v1"] == 0
    assert sum("LATERAL stretch" in statement for statement in asked) == 2
    both.catch_up()
    open_account(tally, "together")
    asked.clear()
    both.catch_up()
    assert sum("LATERAL stretch" in statement for statement in asked) == 1
    assert [events for *_, events in rows(tally, "versions_v1")] == [1] * 42
    assert rows(tally, "names_v1") == rows(tally, "versions_v1")


def dies_while_it_follows(dsn: str) -> None:
    """Is killed when both projections have written, and nothing is committed."""
    with open_pool(dsn) as pool:
        doomed = Versions()
        doomed.dies = True
        Follower(pool, [Names(), doomed]).catch_up()


def test_a_follower_that_is_killed_in_a_step_leaves_nothing_of_it_and_the_next_takes_all_in_once(tally, following):
    for number in range(20):
        open_account(tally, f"a{number}")
    killed = multiprocessing.get_context("spawn").Process(target=dies_while_it_follows, args=(tally.dsn,))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert rows(tally, "names_v1") == rows(tally, "versions_v1") == []
    Follower(tally.pool, [Names(), Versions()]).catch_up()
    assert rows(tally, "names_v1") == rows(tally, "versions_v1")
    assert [events for *_, events in rows(tally, "names_v1")] == [1] * 20


def test_others_go_on_while_a_projection_is_rebuilt_and_it_joins_them_afterwards(tally, following):
    follower = Follower(tally.pool, [Names(), Versions()])
    open_account(tally, "before")
    follower.catch_up()
    with tally.pool.connection() as rebuilding:
        rebuilding.execute(LOCK, ["names_v1"])
        open_account(tally, "meanwhile")
        assert follower.step() > 0
        assert follower.step() == 0
        assert [events for *_, events in rows(tally, "versions_v1")] == [1, 1]
        assert follower.lag()["names_v1"] > 0
    assert follower.rebuild("names_v1") > 0
    assert follower.lag() == {"names_v1": 0, "versions_v1": 0}
    assert rows(tally, "names_v1") == rows(tally, "versions_v1")


def test_catching_up_ends_though_others_append_faster_than_a_step_takes_in(tally, following, monkeypatch):
    monkeypatch.setattr("projections.step.BUCKETS_AT_ONCE", 1)
    follower = following[1]
    follower._turn = 0
    busy, waiting = (make_id(Kind.ACCOUNT, bucket, None, uuid4()) for bucket in (1, 2))
    told = encode(TaxRateChanged(tax_percent=7, effective_on=date(2025, 1, 1)))
    versions = dict.fromkeys((busy, waiting), 0)

    def append(stream) -> None:
        versions[stream] += 1
        assert versions[stream] < 50, "the busy bucket keeps the other one waiting"
        tally.log.insert_events([StoredEvent(stream, versions[stream], "account.tax_rate_changed", told)])

    append(busy), append(waiting)
    follower.catch_up(lambda _: append(busy))
    assert (2, waiting, 1) in rows(tally, "names_v1")


def test_who_had_come_up_before_is_looked_at_again_when_another_has_come_further(tally, following, monkeypatch):
    for module in ("follower", "step"):
        monkeypatch.setattr(f"projections.{module}.BATCH", 30)
    account = make_id(Kind.ACCOUNT, 3, None, uuid4())
    told = encode(TaxRateChanged(tax_percent=7, effective_on=date(2025, 1, 1)))
    versions = iter(range(1, 50))

    def append(count: int) -> None:
        events = [StoredEvent(account, next(versions), "account.tax_rate_changed", told) for _ in range(count)]
        tally.log.insert_events(events)

    append(40)
    following[1].catch_up()
    both = Follower(tally.pool, [Names(), Versions()])
    append(1)
    late = iter([1])
    both.catch_up(lambda _: append(next(late, 0)))
    both.catch_up()
    assert both.lag() == {"names_v1": 0, "versions_v1": 0}
    assert rows(tally, "names_v1") == rows(tally, "versions_v1") == [(3, account, 42)]


def test_followers_of_different_sets_begin_at_the_same_moment(tally):
    errors: list[Exception] = []

    def begin(projections: list[Projection], together: threading.Barrier) -> None:
        together.wait()
        try:
            Follower(tally.pool, projections)
        except psycopg.Error as error:
            errors.append(error)

    for _ in range(5):
        together = threading.Barrier(2)
        sets = [Names(), Versions()], [Versions(), Names()]
        threads = [threading.Thread(target=begin, args=(projections, together)) for projections in sets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with tally.pool.connection() as connection:
            gone = connection.execute("DELETE FROM tracking WHERE projection IN ('names_v1', 'versions_v1')")
            assert gone.rowcount == 2 * ALL_BUCKETS
    assert errors == []


EARLIER = "CREATE TABLE IF NOT EXISTS follower_slot (projection text, slot smallint, PRIMARY KEY (projection, slot))"
BEGINS = "SELECT count(*) FROM follower_slot WHERE projection = 'account_v2'"
FOLLOWS = "SELECT slot FROM follower_slot WHERE projection = 'account_v2' ORDER BY slot LIMIT 4 FOR UPDATE SKIP LOCKED"


@pytest.mark.parametrize("asks", [BEGINS, FOLLOWS])
def test_an_earlier_version_stops_instead_of_following_beside_also_when_it_is_opened_again(tally, asks):
    with psycopg.connect(tally.dsn) as earlier:
        earlier.execute(EARLIER)
        with pytest.raises(psycopg.Error, match="newer version"):
            earlier.execute(asks)


def test_what_an_earlier_version_took_turns_by_is_replaced_once(dsn):
    with psycopg.connect(dsn) as earlier:
        earlier.execute("DROP VIEW follower_slot")
        earlier.execute(EARLIER)
        earlier.execute("INSERT INTO follower_slot VALUES ('account_v2', 0)")
        earlier.execute("UPDATE installed SET schema = 'an earlier one'")
    for _ in range(2):
        install(dsn, all_ddl())
        with psycopg.connect(dsn) as now:
            assert now.execute("SELECT relkind FROM pg_class WHERE relname = 'follower_slot'").fetchall() == [("v",)]
            now.execute("UPDATE installed SET schema = 'another'")
