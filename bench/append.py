"""How fast eight processes append single events, beside the library's own PostgreSQL recorder on the same server.

Both write the same events, each of an account of its own, and take turns, so that a slow moment of the disk hits both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from itertools import count
from multiprocessing import get_context
from threading import Barrier
from typing import Any

from eventsourcing.persistence import StoredEvent

from adapters.bootstrap import Tally
from bench.figure import Figure
from bench.ground import Ground, checkpoint
from bench.library import Shop, environment
from bench.population import account_id, opened, stored

WRITERS = 8
TURNS = 2
SECONDS = 2.5

Insert = Callable[[Sequence[StoredEvent]], Any]


def figures(ground: Ground) -> list[Figure]:
    """Single events appended by 8 processes, against the library's default recorder."""
    with ground.database("append") as ours, ground.database("append_library") as theirs:
        Tally(ours).close()
        Shop(environment(theirs)).close()
        checkpoint(ground.server)
        value, floor = (sum(counts) / (TURNS * SECONDS) for counts in zip(*_together(ours, theirs), strict=True))
    return [Figure.beside(f"append_{WRITERS}_writers_vs_library", value, "events/s", floor)]


def _together(ours: str, theirs: str) -> list[tuple[int, int]]:
    """What each writer appended to both."""
    context = get_context("spawn")
    with context.Manager() as shared, ProcessPoolExecutor(WRITERS, mp_context=context) as writers:
        start = shared.Barrier(WRITERS)
        writing = [writers.submit(_write, ours, theirs, writer, start) for writer in range(WRITERS)]
        return [written.result() for written in wait(writing, return_when=FIRST_EXCEPTION).done]


def _write(ours: str, theirs: str, writer: int, start: Barrier) -> tuple[int, int]:
    """One writer's events, to our log and to the library's recorder in turns."""
    shop, value, floor = Shop({**environment(theirs), "CREATE_TABLE": "no"}), 0, 0
    with Tally(ours) as tally:
        events = _events(writer)
        for insert in (tally.log.insert_events, shop.recorder.insert_events):
            insert([next(events)])
        for _ in range(TURNS):
            value += _appended(tally.log.insert_events, events, start)
            floor += _appended(shop.recorder.insert_events, events, start)
    shop.close()
    return value, floor


def _appended(insert: Insert, events: Iterator[StoredEvent], start: Barrier) -> int:
    """How many events fit into a turn, one transaction each."""
    start.wait(60)
    end = time.perf_counter() + SECONDS
    done = 0
    while time.perf_counter() < end:
        insert([next(events)])
        done += 1
    return done


def _events(writer: int) -> Iterator[StoredEvent]:
    """Accounts that only this writer opens."""
    sample = stored(account_id(writer), opened(writer))
    for n in count(writer, WRITERS):
        yield StoredEvent(account_id(n), 1, sample.topic, sample.state)
