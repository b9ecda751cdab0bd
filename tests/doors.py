"""Crash points: what a worker does to the world goes through doors, and each is a point before and a point after.

The doors are the commands (every commit of the books), the connections (every other commit) and all that a provider can
be asked. They are registered by construction: whatever the port `Provider` has is a door.
"""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from domain.provider import Provider

CALLS = tuple(name for name, _ in inspect.getmembers(Provider, inspect.isfunction) if not name.startswith("_"))
Step = Callable[[], None]


class Killed(BaseException):
    """The worker is gone: nothing of it runs any more."""


class Doors:
    """An object whose named methods are crash points, before they begin and after they have ended."""

    def __init__(self, inner: Any, names: tuple[str, ...], step: Step) -> None:
        self._inner, self._names, self._step = inner, names, step

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def through(*words: Any, **more: Any) -> Any:
            self._step()
            answer = found(*words, **more)
            self._step()
            return answer

        return through


class PoolDoors:
    """Connections whose commits are crash points."""

    def __init__(self, inner: Any, step: Step) -> None:
        self._inner, self._step = inner, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextmanager
    def connection(self, *words: Any, **more: Any) -> Iterator[Any]:
        """A connection; what it does is committed between two points."""
        with self._inner.connection(*words, **more) as connection:
            yield connection
            self._step()
        self._step()


def behind(provider: Any, step: Step) -> Any:
    """A provider all of whose calls are crash points."""
    return Doors(provider, CALLS, step)


def at(step: int, end: Callable[[], None]) -> Step:
    """Ends the worker at its nth point."""
    steps = iter(range(1_000_000))

    def count() -> None:
        if next(steps) == step:
            end()

    return count


def killed() -> None:
    """As a fault inside the process, which no code catches."""
    raise Killed


def kill_nine() -> None:
    """As the operating system does it: nothing is closed, flushed or rolled back."""
    os.kill(os.getpid(), signal.SIGKILL)
