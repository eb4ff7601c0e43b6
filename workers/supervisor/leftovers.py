"""Ending the processes of a supervisor that is gone."""

from __future__ import annotations

import signal
from contextlib import suppress

import psutil

from curation import paths
from workers.services.process import wait_until
from workers.supervisor.child import MARK


def find(token: str | None = None) -> list[psutil.Process]:
    """Living processes of this home that a supervisor started (one token's, or any's)."""
    home = str(paths.home())
    return [process for process in psutil.process_iter() if _is_ours(process, home, token)]


def _is_ours(process: psutil.Process, home: str, token: str | None) -> bool:
    try:
        told = process.environ()
        mark = told.get(MARK)
        if mark is None or told.get("WHITTLE_HOME") != home:
            return False
        return (token is None or mark == token) and lives(process)
    except (psutil.Error, OSError):
        return False  # it ended, or belongs to somebody else


def lives(process: psutil.Process) -> bool:
    """Whether it still does something: one that only waits to be buried by its parent does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(token: str | None = None, grace: float = 5.0) -> int:
    """Ask them to stop, kill those that do not; returns how many there were."""
    ended = set()
    # Twice: one that was just starting another is gone when the second look is taken.
    for _ in range(2):
        processes = find(token)
        ended |= {process.pid for process in processes}
        _send_and_wait(processes, signal.SIGTERM, grace)
        _send_and_wait(processes, signal.SIGKILL, 2)
    return len(ended)


def _send_and_wait(processes: list[psutil.Process], number: signal.Signals, seconds: float) -> None:
    _send(processes, number)
    wait_until(lambda: not any(map(lives, processes)), seconds)


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
