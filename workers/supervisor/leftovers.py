"""Ending the processes of a supervisor that is gone."""

from __future__ import annotations

from contextlib import suppress

import psutil

from curation import paths
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
        return (token is None or mark == token) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False  # it ended, or belongs to somebody else


def end(token: str | None = None, grace: float = 5.0) -> int:
    """Ask them to stop, kill those that do not; returns how many there were."""
    ended = set()
    # Twice: one that was just starting another is gone when the second look is taken.
    for _ in range(2):
        processes = find(token)
        for process in processes:
            ended.add(process.pid)
            with suppress(psutil.Error):
                process.terminate()
        _, alive = psutil.wait_procs(processes, timeout=grace)
        for process in alive:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=2)
    return len(ended)
