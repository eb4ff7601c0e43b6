"""A limit for everything that one verdict costs, whatever the verifier does in between.

>>> with within(10.0):
...     shorter_of(5.0) <= 5.0
True
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# On time.monotonic(); None where nobody set a limit.
_until: ContextVar[float | None] = ContextVar("until", default=None)
LEAST = 0.05


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound what runs inside, in this thread, to so many seconds; an outer limit stays."""
    before, until = _until.get(), time.monotonic() + seconds
    token = _until.set(until if before is None else min(before, until))
    try:
        yield
    finally:
        _until.reset(token)


def remaining() -> float | None:
    """Seconds that are left; None without a limit."""
    until = _until.get()
    return None if until is None else until - time.monotonic()


def is_over() -> bool:
    """Whether the limit has passed."""
    left = remaining()
    return left is not None and left <= 0


def shorter_of(seconds: float) -> float:
    """``seconds``, or what is left of the limit where that is less; never nothing at all."""
    left = remaining()
    return seconds if left is None else max(LEAST, min(seconds, left))
