"""Keeps Python's garbage collector from walking many live facts again and again while they are worked on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def calm() -> Iterator[None]:
    """Work in parts during which nothing is collected; each is to be followed by `tidy`."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def tidy(_: int = 0) -> None:
    """Gives back what the last part, however large, left in circles."""
    gc.collect(0)
