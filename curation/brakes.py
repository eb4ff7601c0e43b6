"""How much of a process the costly requests of one person may hold.

Pages and REST share the threads of a web process. What may run for seconds (the stateless tools,
running a trace's code, a preview that asks the verifier, very large pages) takes a slot first, so
that most threads are always left for the rest.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings


class TooBusy(Exception):
    """All slots are taken; ``retry_after`` is in seconds."""

    code = "too_busy"

    def __init__(self, message: str, retry_after: int = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Slots:
    """At most ``total`` holders at once in this process, and ``per_user`` of one user."""

    def __init__(self, total: int, per_user: int) -> None:
        self.total = total
        self.per_user = per_user
        self._held: Counter[int] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, user_id: int | None) -> Iterator[None]:
        """A slot for as long as the block runs; :class:`TooBusy` at once where there is none."""
        user_id = user_id or 0  # nobody is one user
        self._take(user_id)
        try:
            yield
        finally:
            with self._lock:
                self._held[user_id] -= 1
                self._held += Counter()  # forget users who hold none

    def _take(self, user_id: int) -> None:
        with self._lock:
            if self._held[user_id] >= self.per_user:
                raise TooBusy("Your last request of this kind still runs.")
            if self._held.total() >= self.total:
                raise TooBusy("Too many requests of this kind run at the moment.")
            self._held[user_id] += 1


TOOLS = Slots(settings.TOOLS_AT_ONCE, settings.TOOLS_PER_USER)
