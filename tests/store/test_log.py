"""The log: nothing skipped, nothing twice, nothing changed, whoever writes and whatever breaks."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import socket
import threading
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError as RecordedAlready
from eventsourcing.persistence import ProgrammingError, StoredEvent
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)
from psycopg_pool import ConnectionPool

from adapters.store.factory import open_pool
from adapters.store.recorder import AlreadyDone, BucketedRecorder
from domain.errors import DuplicateRequest, IntegrityError
from domain.identity import Kind, bucket_of, make_id
from projections.follower import Follower
from projections.projection import Entry, Projection
from tests.builders import open_account


def an_id(bucket: int = 5) -> UUID:
    return make_id(Kind.INVOICE, bucket, None, uuid4())


def event(stream: UUID, version: int = 1, state: bytes = b"{}") -> StoredEvent:
    return StoredEvent(stream, version, "test.happened", state)


@pytest.fixture
def recorder(dsn):
    with open_pool(dsn) as pool:
        yield BucketedRecorder(pool)


class OneBucket:
    """The library's cases on a view of one bucket, with ids that lie in it."""

    __test__ = True
    INITIAL_VERSION = 1

    @pytest.fixture(autouse=True)
    def _recorder(self, dsn):
        with open_pool(dsn, 20) as pool:
            self.recorder = BucketedRecorder(pool).bucket(5)
            yield

    def new_originator_id(self) -> UUID:
        return an_id(5)

    def create_recorder(self):
        return self.recorder

    def close_db_connection(self, *_):
        pass


class TestTheLibrarysApplicationCases(OneBucket, ApplicationRecorderTestCase):
    pass


class TestTheLibrarysInterleavingCase(OneBucket, NonInterleavingNotificationIDsBaseCase):
    def create_stack(self, originator_id):
        return [event(originator_id, version + 1) for version in range(self.insert_num)]


WRONG = """SELECT h.bucket, h.position, count(e.*), max(e.position), count(t.*), max(t.times) FROM bucket_head h
JOIN event e ON e.bucket = h.bucket LEFT JOIN {} t ON t.bucket = e.bucket AND t.position = e.position GROUP BY 1, 2
HAVING NOT (h.position = count(e.*) AND h.position = max(e.position) AND count(t.*) = count(e.*) AND max(t.times) = 1)
"""


def write(dsn: str, seed: int, seconds: float) -> None:
    """One writer: batches of one to eighty events over one to four buckets, some rolled back on purpose."""
    choose, end = random.Random(seed), time.monotonic() + seconds
    with open_pool(dsn, 2) as pool:
        recorder = BucketedRecorder(pool)
        while time.monotonic() < end:
            buckets = choose.sample(range(16), choose.randint(1, 4))
            events = [
                event(stream, version, b'{"at": %d}' % version)
                for stream in (an_id(bucket) for bucket in buckets)
                for version in range(1, choose.randint(2, 21))
            ]
            if choose.random() < 0.05:
                with pytest.raises(ZeroDivisionError), recorder.append() as append:
                    append.events(events)
                    raise ZeroDivisionError
            else:
                recorder.insert_events(events)


class Tally(Projection):
    """Counts what it is given, and how often."""

    name = "tally_v1"
    tables = ("tally_v1",)
    topics = frozenset({"test"})
    ddl = (
        "CREATE TABLE IF NOT EXISTS tally_v1 (bucket smallint, position bigint, times integer, "
        "PRIMARY KEY (bucket, position))",
    )

    def apply(self, cursor, entries: list[Entry]) -> None:
        cursor.executemany(
            f"INSERT INTO {self.name} AS t VALUES (%s, %s, 1) "
            "ON CONFLICT (bucket, position) DO UPDATE SET times = t.times + 1",
            [(entry.bucket, entry.position) for entry in entries],
        )


class Anew(Tally):
    """Its next version, which comes later and which an older program does not follow."""

    name = "tally_v2"
    tables = ("tally_v2",)
    ddl = (Tally.ddl[0].replace("tally_v1", "tally_v2"),)


def follow(dsn: str, seconds: float, projections: list[Projection], stop) -> None:
    time.sleep(seconds)
    with open_pool(dsn, 2) as pool:
        follower = Follower(pool, projections)
        while not stop.is_set():
            if not follower.step():
                time.sleep(0.01)


def test_no_event_is_skipped_by_tailing_readers_of_two_versions_under_eight_writers(dsn):
    with open_pool(dsn) as pool, pool.connection() as connection:
        for projection in (Tally, Anew):
            connection.execute(projection.ddl[0].encode())
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    old, new = [Tally()], [Anew(), Tally()]
    readers = [context.Process(target=follow, args=(dsn, *how, stop)) for how in ((0, old), (0.5, new), (1.0, new))]
    writers = [context.Process(target=write, args=(dsn, seed, 3.0)) for seed in range(8)]
    for process in (*readers, *writers):
        process.start()
    for process in writers:
        process.join()
        assert process.exitcode == 0
    with open_pool(dsn) as pool:
        Follower(pool, new).catch_up()
        stop.set()
        for process in readers:
            process.join()
            assert process.exitcode == 0
        with pool.connection() as connection:
            wrong = [connection.execute(WRONG.format(name).encode()).fetchall() for name in ("tally_v1", "tally_v2")]
            total = connection.execute("SELECT count(*) FROM event").fetchone()
            disorder = connection.execute(
                "SELECT count(*) FROM (SELECT recorded_at < lag(recorded_at) "
                "OVER (PARTITION BY bucket ORDER BY position) AS back FROM event) e WHERE back"
            ).fetchone()
    assert wrong == [[], []]
    assert disorder == (0,)
    assert total[0] > 2000


def test_a_version_that_is_taken_is_refused_and_nothing_of_the_save_is_kept(recorder):
    taken, other = an_id(3), an_id(9)
    recorder.insert_events([event(taken)])
    with pytest.raises(RecordedAlready):
        recorder.insert_events([event(other), event(taken)])
    assert recorder.select_events(other) == []
    assert recorder.heads() == {3: 1}


def test_an_identifier_that_names_no_bucket_is_refused(recorder):
    with pytest.raises(ProgrammingError, match="not an identifier"):
        recorder.insert_events([event(UUID("00000fff-0000-4000-8000-000000000000"))])


def test_heads_are_only_locked_in_rising_order(recorder):
    with pytest.raises(IntegrityError, match="would be locked after"), recorder.append() as append:
        append.lock({7: 1})
        append.lock({3: 1})


@pytest.mark.parametrize("table", ["event", "command", "billed_line"])
@pytest.mark.parametrize("words", ["UPDATE {} SET bucket = 1", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"])
def test_what_was_recorded_cannot_be_changed_by_the_application(recorder, table, words):
    with recorder.pool.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(words.format(table).encode())


class CuttingProxy:
    """Passes a unix socket on, and cuts the line when the server answers the next COMMIT."""

    def __init__(self, target: str, directory: str) -> None:
        self.target, self.cut_next, self.cuts = target, False, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{directory}/.s.PGSQL.5432")
        self.listener.listen(16)
        self.ends: list[socket.socket] = [self.listener]
        self.threads: list[threading.Thread] = []
        self._begin(self._accept)

    def _begin(self, what, *arguments) -> None:
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            self.ends += [client, server]
            server.connect(self.target)
            self._begin(self._pass, client, server, False)
            self._begin(self._pass, server, client, True)

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers and self.cut_next and (b"COMMIT\x00" in data or b"SELECT 1\x00" in data):
                    self.cut_next = False
                    self.cuts += 1
                    break
                sink.sendall(data)
        _shut(source, sink)

    def close(self) -> None:
        _shut(*self.ends)
        for thread in self.threads:
            thread.join()
        for end in self.ends:
            end.close()


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("command", [None, uuid4()])
@pytest.mark.parametrize("buckets", [(4,), (4, 6, 8)])
def test_a_lost_acknowledgement_is_recognised_and_not_reported_as_a_conflict(dsn, tmp_path_factory, command, buckets):
    host = psycopg.conninfo.conninfo_to_dict(dsn).get("host")
    if not host or not str(host).startswith("/"):
        pytest.skip("the proxy stands in front of a unix socket")
    directory = f"/tmp/tally-proxy-{uuid4().hex[:8]}"
    os.mkdir(directory)
    proxy = CuttingProxy(f"{host}/.s.PGSQL.5432", directory)
    through = psycopg.conninfo.make_conninfo(dsn, host=directory)
    with ConnectionPool(through, min_size=1, max_size=4, kwargs={"options": "-c role=tally_app"}, open=True) as pool:
        recorder = BucketedRecorder(pool)
        streams = [an_id(bucket) for bucket in buckets]
        proxy.cut_next = True
        ids = recorder.insert_events([event(stream) for stream in streams], command=command, body=b"x")
        assert proxy.cuts == 1
        assert len(ids) == len(streams)
        assert [len(recorder.select_events(stream)) for stream in streams] == [1] * len(streams)
        assert recorder.heads() == dict.fromkeys(buckets, 1)
        if command:
            with pytest.raises(AlreadyDone):
                recorder.insert_events([event(an_id(b)) for b in buckets], command=command, body=b"x")
    proxy.close()
    os.unlink(f"{directory}/.s.PGSQL.5432")
    os.rmdir(directory)


def test_a_command_repeated_is_a_no_op_and_another_body_under_its_id_is_refused(tally):
    from decimal import Decimal

    from domain.application.accounts import OpenAccount
    from domain.events.account import Party

    name = uuid4()
    command = OpenAccount(reference="acme", party=Party(name="Acme"), currency="EUR", tax_percent=Decimal(19))
    assert tally.billing.execute(command, command_id=name) is not None
    assert tally.billing.execute(command, command_id=name) is None
    other = OpenAccount(reference="other", party=Party(name="Other"), currency="EUR")
    with pytest.raises(DuplicateRequest):
        tally.billing.execute(OpenAccount(reference="acme", party=Party(name="?"), currency="EUR"), command_id=name)
    tally.billing.execute(other, command_id=uuid4())
    assert sum(tally.log.heads().values()) == 2


def test_commands_at_once_open_an_account_once(tally, dsn):
    results: list[object] = []

    def attempt() -> None:
        try:
            open_account(tally, "acme")
            results.append("opened")
        except Exception as error:
            results.append(type(error).__name__)

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["Conflict"] * 5 + ["opened"]
    assert sum(tally.log.heads().values()) == 1


def test_a_single_event_is_stored_to_the_byte_and_also_where_a_connection_forgot_its_statements(dsn):
    at, command = datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), uuid4()
    one = StoredEvent(an_id(), 2**31 - 1, "test.h\u00e4ppened", bytes(range(256)))
    with open_pool(dsn, 1) as pool:
        recorder = BucketedRecorder(pool)
        assert recorder.insert_events([one], command=command, body=b"x", now=at) == [(5 << 48) + 1]
        with pool.connection() as connection:
            connection.execute("DEALLOCATE ALL")
            stored = connection.execute("SELECT position, recorded_at FROM event").fetchall()
        assert stored == [(1, at)]
        assert list(recorder.select_events(one.originator_id)) == [one]
        assert recorder.said([5], command)[0] == b"x"
        assert recorder.insert_events([event(an_id())]) == [(5 << 48) + 2]


def test_many_events_go_the_same_way_as_few(recorder):
    streams = [an_id(bucket) for bucket in range(40)]
    ids = recorder.insert_events([event(stream, version) for version in (1, 2, 3) for stream in streams])
    assert len(set(ids)) == 120
    assert recorder.heads() == dict.fromkeys(range(40), 3)
    assert [found.originator_version for found in recorder.select_events(streams[7])] == [1, 2, 3]
    assert {bucket_of(stream) for stream in streams} == set(range(40))
