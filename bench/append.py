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
SECONDS = 2.5

Insert = Callable[[Sequence[StoredEvent]], Any]


def figures(ground: Ground) -> list[Figure]:
    """Single events appended by 8 processes, against the library's default recorder."""
    with ground.database("append") as ours, ground.database("append_library") as theirs:
        Tally(ours).close()
        Shop(environment(theirs)).close()
        checkpoint(ground.server)
        written = _together(ours, theirs, ground.rounds)
    turns = [[sum(counts) / SECONDS for counts in zip(*turn, strict=True)] for turn in zip(*written, strict=True)]
    rounds = [(value, floor) for value, floor in turns]
    return [Figure.of_rounds(f"append_{WRITERS}_writers_vs_library", "events/s", rounds)]


def _together(ours: str, theirs: str, turns: int) -> list[list[tuple[int, int]]]:
    """What each writer appended to both in each turn."""
    context = get_context("spawn")
    with context.Manager() as shared, ProcessPoolExecutor(WRITERS, mp_context=context) as writers:
        start = shared.Barrier(WRITERS)
        writing = [writers.submit(_write, ours, theirs, writer, start, turns) for writer in range(WRITERS)]
        return [written.result() for written in wait(writing, return_when=FIRST_EXCEPTION).done]


def _write(ours: str, theirs: str, writer: int, start: Barrier, turns: int) -> list[tuple[int, int]]:
    """One writer's events, to our log and to the library's recorder in turns."""
    shop = Shop({**environment(theirs), "CREATE_TABLE": "no"})
    with Tally(ours) as tally:
        events = _events(writer)
        tally.log.insert_events([next(events)])
        shop.recorder.insert_events([next(events)])
        log, library = tally.log.insert_events, shop.recorder.insert_events
        written = [(_appended(log, events, start), _appended(library, events, start)) for _ in range(turns)]
    shop.close()
    return written


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
