"""Threads behind the endpoints: the inbox is dealt with soon after it was filled, and providers are asked at times."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Self

import psycopg
from eventsourcing.persistence import PersistenceError

from domain.errors import TallyError
from jobs.collect import Collector
from jobs.take_in import Processor, catch_up

log = logging.getLogger("tally.web")
WORKERS = 2
LOOK_EVERY = 2.0
ASK_EVERY = 900.0
"""Seconds: how long what is parked may wait beyond its time, and between two looks at a provider's list of events."""
QUIET, MOST_PATIENCE = 0.2, 2.0
"""Seconds without a new webhook before what came is dealt with, and the most of them: acknowledging comes first."""


class Worker:
    """Runs while it is entered. Shapes: `look_every` and `ask_every` in seconds."""

    def __init__(self, processor: Processor, look_every: float = LOOK_EVERY, ask_every: float = ASK_EVERY) -> None:
        self._processor = processor
        self._stop = Event()
        self._bells = [Event() for _ in range(WORKERS)]
        steps = [(bell, look_every, self._process) for bell in self._bells]
        self._threads = [
            Thread(target=self._run, args=words, daemon=True) for words in [*steps, (Event(), ask_every, self._ask)]
        ]

    def wake(self) -> None:
        """There is something new."""
        for bell in self._bells:
            bell.set()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """What is being worked on is finished, or left to the next one by its lock."""
        self._stop.set()
        self.wake()
        for thread in self._threads[: len(self._bells)]:
            thread.join(30)

    def _run(self, bell: Event, every: float, step: Callable[[], None]) -> None:
        while not self._stop.is_set():
            bell.clear()
            try:
                step()
            except (psycopg.Error, PersistenceError, TallyError) as error:
                log.error("%s: %s; tried again in %g seconds", type(error).__name__, error, every)
                self._stop.wait(min(every, 5))
                continue
            except Exception:
                log.exception("a fault of this program; tried again in %g seconds", every)
            if bell.wait(every):
                self._let_pass(bell)

    def _let_pass(self, bell: Event) -> None:
        """Waits until a burst is over, or has lasted."""
        until = time.monotonic() + MOST_PATIENCE
        while bell.is_set() and time.monotonic() < until and not self._stop.is_set():
            bell.clear()
            bell.wait(QUIET)

    def _process(self) -> None:
        while self._processor.process(limit=100) and not self._stop.is_set():
            pass

    def _ask(self) -> None:
        collector: Collector = self._processor.collector
        for provider in collector.providers.values():
            found = catch_up(provider, self._processor.pool, collector.now())
            if found["new"]:
                log.warning("%d events of %s had not come by webhook", found["new"], provider.name)
                self.wake()
