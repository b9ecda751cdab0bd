"""Deals with what is in the inbox, and asks providers for what their webhooks missed.

A row is worked on under its lock, which dies with the worker: two never work on one, and a killed one loses nothing.
What cannot be matched yet is parked and tried again for three days; nothing is ever dropped. Source: ADR-0023.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg_pool import ConnectionPool

from domain.errors import Invalid, Stale, Unavailable
from domain.identity import name_bucket
from domain.news import Hint, News
from domain.provider import Provider
from jobs.collect import Collector
from jobs.inbox import APART, State, keep
from jobs.news import Reader

Pool = ConnectionPool[psycopg.Connection]

CLAIM = """SELECT provider, event, kind, happened_at, received_at, body, tries FROM webhook_inbox
WHERE state IN ('new', 'parked') AND next_at <= %s AND provider = ANY(%s)
ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED"""
MARK = """UPDATE webhook_inbox SET state = %s, why = %s, tries = %s, next_at = %s
WHERE bucket = %s AND provider = %s AND event = %s"""
POLLED = "SELECT polled_at FROM webhook_poll WHERE provider = %s"
POLL = """INSERT INTO webhook_poll VALUES (%s, %s) ON CONFLICT (provider)
DO UPDATE SET polled_at = greatest(webhook_poll.polled_at, excluded.polled_at)"""

PARKED_FOR = timedelta(days=3)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(hours=1)
LISTED_FOR, OVERLAP = timedelta(days=30), timedelta(hours=1)


class Became(NamedTuple):
    """What became of an event. Shapes: `again` when it is to be tried again."""

    state: State
    why: str
    again: bool = False


class Claimed(NamedTuple):
    """A row that is locked."""

    provider: str
    event: str
    kind: str
    happened_at: datetime
    received_at: datetime
    body: bytes
    tries: int

    @property
    def hint(self) -> Hint:
        """As it came: what was set aside beside another one bears that one's name."""
        event = self.event.partition(APART)[0]
        return Hint(self.provider, event, self.kind, self.happened_at, bytes(self.body))


@dataclass(frozen=True)
class Processor:
    """Takes in what is due. Shapes: `catch_up` brings the projections up to the log."""

    collector: Collector
    pool: Pool
    catch_up: Callable[[], object]

    def process(self, limit: int = 1000) -> Counter[str]:
        """Takes in what is due, one by one; how many became what. Any number may run at once."""
        counts: Counter[str] = Counter()
        self.catch_up()
        while counts.total() < limit and (became := self._next()) is not None:
            counts["later" if became.again else became.state] += 1
        return counts

    def _next(self) -> Became | None:
        """The row is read, taken in and marked in one transaction that holds its lock."""
        with self.pool.connection() as connection, connection.transaction():
            row = connection.execute(CLAIM, [self.collector.now(), list(self.collector.providers)]).fetchone()
            if row is None:
                return None
            claimed = Claimed(*row)
            became = self._given_up(claimed, self._taken_in(claimed.hint))
            self._mark(connection, claimed, became)
            return became

    def _given_up(self, claimed: Claimed, became: Became) -> Became:
        """What could not be matched for so long waits for a person."""
        too_long = self.collector.now() - claimed.received_at > PARKED_FOR
        return became._replace(again=False) if became.state == "parked" and too_long else became

    def _taken_in(self, hint: Hint) -> Became:
        try:
            became = self._read(hint)
            if became.state == "parked":
                # What it is about may have been recorded a moment ago.
                self.catch_up()
                became = self._read(hint)
            return became
        except (Unavailable, Stale) as error:
            return Became("new", str(error), again=True)
        except psycopg.OperationalError:
            raise
        except Exception as error:
            # A fault of this program: the event waits for its mend, and the others go on.
            return Became("parked", f"{type(error).__name__}: {error}"[:500], again=True)

    def _read(self, hint: Hint) -> Became:
        try:
            found = self.collector.providers[hint.provider].news(hint)
        except Invalid as error:
            return Became("quarantined", str(error))
        return self._all_of(hint.provider, found)

    def _all_of(self, provider: str, found: Sequence[News]) -> Became:
        """An event is as far as the worst of its news."""
        reader = Reader(self.collector, self.pool, provider)
        verdicts = dict(reversed([reader.take_in(news) for news in found]))
        if "quarantined" in verdicts:
            return Became("quarantined", verdicts["quarantined"])
        if "unmatched" in verdicts:
            return Became("parked", verdicts["unmatched"], again=True)
        if "done" in verdicts:
            return Became("done", verdicts["done"])
        return Became("foreign", verdicts.get("foreign", "tells of nothing that is kept here"))

    def _mark(self, connection: psycopg.Connection, claimed: Claimed, became: Became) -> None:
        tries = claimed.tries + 1
        next_at = self.collector.now() + _wait(tries) if became.again else None
        key = [name_bucket(claimed.event), claimed.provider, claimed.event]
        connection.execute(MARK, [became.state, became.why, tries, next_at, *key])


def _wait(tries: int) -> timedelta:
    doubled: int = 1 << min(tries - 1, 16)
    return min(FIRST_WAIT * doubled, LONGEST_WAIT)


def catch_up(provider: Provider, pool: Pool, now: datetime, since: datetime | None = None) -> Counter[str]:
    """Keeps what a provider's webhooks missed; how many were new. An outage is made good by the next one.

    Shapes: `since` when a person says so, else from where the last one was, an hour of overlap, 30 days at most.
    Raises: Unavailable when the provider does not answer; what came until then is kept.
    """
    counts: Counter[str] = Counter()
    for hint in provider.hints(since or _polled(provider.name, pool, now)):
        counts[keep(pool, hint, (), now)] += 1
    with pool.connection() as connection:
        connection.execute(POLL, [provider.name, now])
    return counts


def _polled(provider: str, pool: Pool, now: datetime) -> datetime:
    with pool.connection() as connection:
        row = connection.execute(POLLED, [provider]).fetchone()
    return max(row[0] - OVERLAP, now - LISTED_FOR) if row else now - LISTED_FOR
