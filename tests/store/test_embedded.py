"""The embedded server: there when it is asked for, whoever asks, whatever was killed."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import psycopg
import pytest

from adapters.embedded import NOBODY, SHARED, Embedded
from domain.errors import Unavailable


@pytest.fixture
def home():
    path = Path(tempfile.mkdtemp(prefix="tally-embedded-"))
    path.chmod(0o755)
    yield path
    Embedded(path).stop()
    shutil.rmtree(path, ignore_errors=True)


def pid_of(embedded: Embedded) -> int:
    return int((embedded.data / "postmaster.pid").read_text().splitlines()[0])


def test_it_starts_attaches_and_stops(home):
    embedded = Embedded(home)
    dsn = embedded.start()
    pid = pid_of(embedded)
    assert Embedded(home).start() == dsn
    assert pid_of(embedded) == pid
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
    assert embedded.stop()
    assert not embedded.running()
    assert not embedded.stop()


def test_it_survives_a_kill_of_the_server_and_keeps_what_was_acknowledged(home):
    embedded = Embedded(home)
    with psycopg.connect(embedded.start()) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
        connection.execute("INSERT INTO kept VALUES (1)")
    os.kill(pid_of(embedded), signal.SIGKILL)
    with psycopg.connect(embedded.start()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


def test_two_that_start_at_once_end_at_one_server(home):
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(Embedded(home).start())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1


def test_data_of_another_version_is_refused_with_what_to_do(home):
    embedded = Embedded(home)
    embedded.start()
    embedded.stop()
    (embedded.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(Unavailable, match="made by PostgreSQL 9"):
        embedded.start()


def test_a_server_that_cannot_start_shows_what_its_log_says(home):
    embedded = Embedded(home)
    embedded.start()
    embedded.stop()
    with (embedded.data / "postgresql.conf").open("a") as file:
        file.write("\nno_such_setting = 1\n")
    with pytest.raises(Unavailable, match="no_such_setting"):
        embedded.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another place")
def test_as_root_data_goes_where_the_servers_user_can_reach_it():
    closed = Path(tempfile.mkdtemp(prefix="tally-closed-"))
    closed.chmod(0o700)
    embedded = Embedded(closed / "home", durable=False)
    try:
        assert embedded.data.is_relative_to(SHARED)
        embedded.start()
        assert embedded.running()
    finally:
        embedded.stop()
        shutil.rmtree(embedded.place, ignore_errors=True)
        shutil.rmtree(closed, ignore_errors=True)


def as_nobody(home: Path, answers) -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        embedded = Embedded(home, durable=False)
        answers.put(embedded.start().split("?")[0])
        embedded.stop()
    except Unavailable as error:
        answers.put(str(error))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_an_ordinary_user_can_run_it_and_is_told_when_a_directory_is_not_theirs():
    home, foreign = (Path(tempfile.mkdtemp(prefix="tally-user-")) for _ in range(2))
    os.chown(home, NOBODY, NOBODY)
    context = multiprocessing.get_context("fork")
    try:
        for place, said in ((home, "postgresql:///tally"), (foreign / "x", "no permission")):
            answers = context.Queue()
            process = context.Process(target=as_nobody, args=(place, answers))
            process.start()
            assert said in answers.get(timeout=60)
            process.join()
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(foreign, ignore_errors=True)
