"""Billing by itself: one leader wakes every minute, queues a job for each zone and day, any worker carries it out.

APScheduler only wakes; what is due is asked of the database. The leader holds a session lock that dies with its
connection, so that another takes over when it is killed. A wake is a row with a unique key, so that none is queued
twice and missed ones are caught up. procrastinate carries the jobs over any number of machines. Source: ADR-0013.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import procrastinate
import psycopg
from apscheduler.schedulers.background import BackgroundScheduler
from eventsourcing.persistence import PersistenceError

from adapters.billing_workers import run_billing
from adapters.bootstrap import Tally
from adapters.bootstrap.payments import payer_of
from domain.errors import TallyError
from domain.provider import Provider
from jobs import retention
from jobs.collect import Collector
from jobs.collect_open import collect_open
from jobs.due import behind, due
from jobs.dun import dun
from jobs.settle import settle
from jobs.trials import end_trials

log = logging.getLogger("tally.schedule")
LEADER_LOCK = 0x7A11E4D
QUEUE = "billing"
CATCH_UP_DAYS = 62
STALLED_SECONDS = 60
DELIVER_SECONDS = 5
AGAIN_SECONDS = 5.0
TRIES = procrastinate.RetryStrategy(max_attempts=9, wait=30, exponential_wait=3)
"""A job that fails is tried nine times more, ever more slowly, for eight hours before it is given up.

The days of a zone wait for each other meanwhile. Whom a day that was given up has missed is billed by the next that is
carried out; until then the doctor finds it.
"""

ONCE: Mapping[str, Any] = MappingProxyType({"coalesce": True, "max_instances": 1, "misfire_grace_time": None})
"""How what is repeated is repeated: never beside itself, late rather than not."""


def tasks(dsn: str, providers: Mapping[str, Provider] = MappingProxyType({})) -> procrastinate.App:
    """The queue with its one task; its tables are made once, by whoever comes first."""
    connector = procrastinate.SyncPsycopgConnector(conninfo=dsn)
    app = procrastinate.App(connector=connector)

    @app.task(name="tallystick.bill", queue=QUEUE, retry=TRIES)
    def bill(zone: str, day: str, issued_on: str) -> None:
        try:
            with Tally(dsn, providers) as tally:
                bill_day(tally, zone, date.fromisoformat(day), date.fromisoformat(issued_on))
                if day == issued_on:  # days that were missed are billed one by one, and collected once
                    collect_day(tally, zone, date.fromisoformat(day))
        except Exception as error:
            # What is tried again is no error to the queue, and hours may go by until it is given up.
            log.error("%s on %s failed: %s: %s", zone, day, type(error).__name__, " ".join(str(error).split()))
            raise

    return app


def install_queue(dsn: str) -> None:
    """Makes the queue's tables where they are missing."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LEADER_LOCK + 1])
        if connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone() == (None,):
            app = tasks(dsn)
            with app.open():
                app.schema_manager.apply_schema()


def bill_day(tally: Tally, zone: str, day: date, issued_on: date) -> None:
    """Ends the trials that are over, and bills the accounts of a zone whose billing day it is, or has missed them."""
    tally.follower().catch_up()
    with tally.pool.connection() as connection:
        end_trials(tally.billing, connection, day)
    for on, accounts in ((day, due(tally.pool, zone, day)), *behind(tally.pool, zone, day).items()):
        if accounts:
            run_billing(tally, on, issued_on, accounts)


def collect_day(tally: Tally, zone: str, day: date) -> None:
    """Draws credit, charges what is open, lets the overdue invoices of a zone take their turn, and pays credit out."""
    settle(tally.billing, tally.pool, day, tally.follower().catch_up)
    collector = Collector(tally.billing, tally.providers) if tally.providers else None
    if collector:
        collect_open(collector, tally.pool)
    tally.follower().catch_up()
    dun(tally.billing, tally.pool, collector, day, zone)
    payer_of(tally).pay_out(day, zone)


class Scheduler:
    """One of any number of schedulers; the leader wakes, the others wait to take over.

    Units: `interval` in seconds; `keep` is how long what is done with stays.
    """

    def __init__(
        self, tally: Tally, *, interval: float = 60.0, now: Any = None, keep: timedelta = retention.KEPT_FOR
    ) -> None:
        self.tally, self.interval, self._keep = tally, interval, keep
        self._pruned_on: date | None = None
        self._now = now or (lambda zone: datetime.now(ZoneInfo(zone)))
        install_queue(tally.dsn)
        self._leader: psycopg.Connection | None = None

    def run(self, seconds: float | None = None) -> None:
        """Serves until it is stopped, or for some seconds."""
        # That a long delivery outlasts its interval is no news.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        scheduler = BackgroundScheduler(timezone="UTC")
        scheduler.add_job(
            _calmly, "interval", [self.wake], seconds=self.interval, next_run_time=datetime.now(ZoneInfo("UTC")), **ONCE
        )
        scheduler.add_job(_calmly, "interval", [self.deliver], seconds=DELIVER_SECONDS, **ONCE)
        scheduler.start()
        end = None if seconds is None else time.monotonic() + seconds
        try:
            while end is None or time.monotonic() < end:
                time.sleep(min(self.interval, 0.2))
        finally:
            scheduler.shutdown(wait=True)
            self.step_down()

    def step_down(self) -> None:
        """Lets another lead, at once: closing alone frees the lock only when the server notices."""
        if self._leader is not None:
            with suppress(psycopg.OperationalError), self._leader as connection:
                connection.execute("SELECT pg_advisory_unlock(%s)", [LEADER_LOCK])
            self._leader = None

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *error: object) -> None:
        self.step_down()

    def leads(self) -> bool:
        """Whether this one leads; it tries to when nobody does."""
        try:
            if self._leader is None:
                self._leader = psycopg.connect(self.tally.dsn, autocommit=True)
            row = self._leader.execute(
                "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() "
                "AND objid = %s) OR pg_try_advisory_lock(%s)",
                [LEADER_LOCK, LEADER_LOCK],
            ).fetchone()
        except psycopg.OperationalError:
            self.step_down()
            return False
        return row == (True,)

    def wake(self) -> int:
        """Queues what became due since the last wake; how many jobs were queued."""
        if not self.leads():
            return 0
        self.tally.follower().catch_up()
        queued = sum(self._wake_zone(zone) for zone in self._zones())
        asyncio.run(_revive(self.tally.dsn))
        self._prune()
        return queued

    def _prune(self) -> None:
        """Drops what is done with and old, once a day."""
        now = self._now("UTC")
        if self._pruned_on != now.date():
            retention.prune(self.tally.pool, now - self._keep)
            self._pruned_on = now.date()

    def deliver(self) -> None:
        """Tells endpoints and mailboxes what is due; every scheduler does, whoever leads."""
        self.tally.deliverer.deliver_due()

    def _zones(self) -> list[str]:
        with self.tally.pool.connection() as connection:
            return [
                zone for (zone,) in connection.execute("SELECT DISTINCT zone FROM account_v2 ORDER BY 1").fetchall()
            ]

    def _wake_zone(self, zone: str) -> int:
        today = self._now(zone).date()
        return sum(self._queue(zone, day, today) for day in self._missed(zone, today))

    def _missed(self, zone: str, today: date) -> Iterator[date]:
        """The days since the last wake of the zone, today too; a first wake begins today."""
        with self.tally.pool.connection() as connection:
            row = connection.execute("SELECT max(day) FROM wake WHERE zone = %s", [zone]).fetchone()
        last = row[0] if row and row[0] else today - timedelta(days=1)
        day = max(last, today - timedelta(days=CATCH_UP_DAYS))
        while day < today:
            day += timedelta(days=1)
            yield day

    def _queue(self, zone: str, day: date, today: date) -> int:
        """Queues the billing of a zone's day, with its wake in one transaction, so that neither is there alone."""
        with psycopg.connect(self.tally.dsn) as connection:
            new = connection.execute(
                "INSERT INTO wake (zone, day) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING day", [zone, day]
            ).fetchone()
            if new is None:
                return 0
            connection.execute(
                "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(%s, 'tallystick.bill', 0, %s, NULL, "
                "jsonb_build_object('zone', %s::text, 'day', %s::text, 'issued_on', %s::text), NULL)"
                "::procrastinate_job_to_defer_v1])",
                [QUEUE, f"billing/{zone}", zone, day.isoformat(), today.isoformat()],
            )
        return 1


def _calmly(step: Callable[[], object]) -> None:
    """A step that fails is told in a line, and comes again at its time."""
    try:
        step()
    except (psycopg.Error, PersistenceError, procrastinate.exceptions.ConnectorException, TallyError) as error:
        log.error("%s: %s; tried again", type(error).__name__, " ".join(str(error).split()))


async def _revive(dsn: str) -> None:
    """Gives jobs of workers that died to others."""
    app = tasks(dsn).with_connector(procrastinate.PsycopgConnector(conninfo=dsn))
    async with app.open_async():
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
            await app.job_manager.retry_job(job)


def work(tally: Tally, *, wait: bool = True) -> None:
    """Carries out queued jobs, one at a time, until it is stopped (or until none is left).

    A worker that waits for jobs also waits for a database that went away, and goes on when others took it for dead.
    """
    install_queue(tally.dsn)
    app = tasks(tally.dsn, tally.providers).with_connector(procrastinate.PsycopgConnector(conninfo=tally.dsn))
    while True:
        try:
            app.run_worker(queues=[QUEUE], wait=wait, concurrency=1, install_signal_handlers=wait)
            return
        except (procrastinate.exceptions.ConnectorException, psycopg.OperationalError) as error:
            if not wait:
                raise
            log.error("%s; begun again in %g seconds", " ".join(str(error.__cause__ or error).split()), AGAIN_SECONDS)
            time.sleep(AGAIN_SECONDS)
