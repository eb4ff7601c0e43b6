"""Notices a PostgreSQL that has stopped answering, so that pages do not wait for it.

A statement that is slow on a server that lives is ended by that server (``statement_timeout``).
A server that is frozen, or behind a dead network, ends nothing: its clients wait as long as it
lasts. So each web process asks one trivial question twice a second on a connection of its own, and
statements under way give up once that question has gone unanswered. Closing the connection is all
that can be done then; what was open rolls back on the server.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from typing import Any

import psycopg

log = logging.getLogger(__name__)
EVERY = 0.5
ANSWER_WITHIN = 1.5
# How often a waiting statement looks at the pulse.
TICK = 0.1
# After so long nobody waits for the server at all.
GONE = 3.0
GRACE = 0.2


class ServerSilent(psycopg.OperationalError):
    """The database server does not answer."""


class Pulse(threading.Thread):
    """Asks ``conninfo``'s server every half second; a daemon thread, one for each process."""

    def __init__(self, conninfo: dict[str, Any]) -> None:
        super().__init__(name="database-pulse", daemon=True)
        self.conninfo = conninfo
        self.answered = time.monotonic()
        self.stopped = threading.Event()

    def run(self) -> None:
        """Until :meth:`stop`. A server that refuses connections has answered."""
        connection: psycopg.Connection[Any] | None = None
        while not self.stopped.wait(EVERY):
            try:
                if connection is None:
                    connection = _Asking.connect(**self.conninfo)
                connection.execute("SELECT 1")
            except Exception as problem:
                if connection is not None:
                    connection.close()
                connection = None
                if not _is_silence(problem):
                    self.answered = time.monotonic()
                continue
            self.answered = time.monotonic()
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        """End the thread at its next beat."""
        self.stopped.set()

    def silent(self) -> float:
        """Seconds since the server was last heard, beyond the pause between two questions."""
        return max(0.0, time.monotonic() - self.answered - EVERY)

    def is_silent(self) -> bool:
        """Whether the server has not answered in time."""
        return self.silent() > ANSWER_WITHIN

    def gives_up(self, waited: float) -> bool:
        """Whether a statement that has waited so long should wait no more."""
        silent = self.silent()
        return waited > (GRACE if silent > GONE else ANSWER_WITHIN) and silent > ANSWER_WITHIN


class _Asking(psycopg.Connection[Any]):
    """A connection whose every answer has a limit."""

    def wait(self, gen: Any, interval: float = TICK, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, ANSWER_WITHIN)


def _is_silence(problem: Exception) -> bool:
    return (
        isinstance(problem, psycopg.errors.ConnectionTimeout) or "Timeout" in type(problem).__name__
    )


_pulses: list[Pulse] = []  # of this process; at most one


def conninfo() -> dict[str, Any]:
    """How the settings' database is reached, for a connection beside Django's."""
    from django.conf import settings

    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    database = settings.DATABASES["default"]
    given = {name: database[key] for name, key in names.items() if database[key]}
    return given | {
        "dbname": database["NAME"],
        "connect_timeout": 2,
        "autocommit": True,
        "application_name": "whittle pulse",
    }


def start_pulse(conninfo: dict[str, Any]) -> Pulse:
    """Watch the server of this process, in place of any watched before."""
    while _pulses:
        _pulses.pop().stop()
    _pulses.append(Pulse(conninfo))
    _pulses[0].start()
    return _pulses[0]


def is_silent() -> bool:
    """Whether the watched server does not answer; False where none is watched."""
    return any(pulse.is_silent() for pulse in _pulses)


class WatchedConnection(psycopg.Connection[Any]):
    """Raises :class:`ServerSilent`, and closes, where the pulse is lost while it waits."""

    def wait(self, gen: Any, interval: float = TICK, timeout: float | None = None) -> Any:
        try:
            return super().wait(_watched(gen), TICK, timeout)
        except ServerSilent:
            self.pgconn.finish()  # its statement would go on if the server came back
            raise


def _watched(gen: Any) -> Generator[Any, Any, Any]:
    """``gen``, which drives one exchange with the server, until the pulse is lost."""
    begun = time.monotonic()
    try:
        state = next(gen)
        while True:
            ready = yield state
            waited = time.monotonic() - begun
            if not ready and any(pulse.gives_up(waited) for pulse in _pulses):
                raise ServerSilent("the database server does not answer")
            state = gen.send(ready)
    except StopIteration as done:
        return done.value
