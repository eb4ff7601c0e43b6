"""Killable children that hold reasoning-gym: scorers that loop or eat memory end with their child.

Like ``pool``, but of one kind of child: it loads the library once (seconds), takes ``eval`` away
from it, and then judges one answer at a time.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass, field
from typing import Any

from .deadline import shorter_of
from .pool import DEFAULT_MAX_TASKS, DEFAULT_MEMORY

TIMEOUT = 20.0  # seconds for one answer; making a puzzle again may take a second by itself
START_TIMEOUT = 180.0  # a busy machine loads the library slowly


@dataclass(frozen=True, slots=True)
class Scored:
    """What a child said (outcomes of ``gym.score``), or ``timeout``, ``crashed``,
    ``pool_unavailable``, ``library_missing``."""

    outcome: str
    score: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def prepare_child(memory: int) -> None:
    """First in each child: its limits, then the library without ``eval``."""
    from . import gym
    from .children import limit_child

    limit_child(memory)
    gym.guard_scorers()


class PuzzlePool:
    """Scores answers in ``workers`` children; safe to call from many threads."""

    def __init__(
        self, workers: int = 1, *, timeout: float = TIMEOUT, memory: int = DEFAULT_MEMORY
    ) -> None:
        self.workers, self.timeout, self.memory = workers, timeout, memory
        self._pool: Any = None
        self._lock = threading.Lock()

    def score(self, puzzle: dict[str, Any], answer: str, reference: str | None) -> Scored:
        """Score one answer; never raises."""
        return self.call("score", puzzle, answer, reference)

    def call(self, function: str, *arguments: Any, timeout: float | None = None) -> Scored:
        """Run a function of ``gym`` in a child."""
        from . import gym

        try:
            future = self._running().schedule(
                getattr(gym, function), args=arguments, timeout=shorter_of(timeout or self.timeout)
            )
            result = future.result(timeout=START_TIMEOUT)
        except Exception as problem:
            return self._failed(problem)
        return Scored(result["outcome"], result["score"], result["detail"])

    def _failed(self, problem: Exception) -> Scored:
        from pebble import ProcessExpired

        if isinstance(problem, TimeoutError):
            return Scored("timeout", detail={"limit_s": self.timeout})
        if isinstance(problem, ProcessExpired):
            return Scored("crashed", detail={"exit": problem.exitcode})
        if isinstance(problem, ImportError):
            return Scored("library_missing", detail={"error": str(problem)[:200]})
        if isinstance(problem, MemoryError | RecursionError):
            return Scored("crashed", detail={"error": type(problem).__name__})
        self.close()
        return Scored("pool_unavailable", detail={"error": repr(problem)[:200]})

    def _running(self) -> Any:
        with self._lock:
            if self._pool is None or not self._pool.active:
                self._pool = self._start()
            return self._pool

    def _start(self) -> Any:
        from importlib.util import find_spec

        from pebble import ProcessPool

        from .children import child_context

        if find_spec("reasoning_gym") is None:
            raise ImportError("reasoning-gym is not installed")
        return ProcessPool(
            max_workers=self.workers,
            max_tasks=DEFAULT_MAX_TASKS,
            initializer=prepare_child,
            initargs=(self.memory,),
            context=child_context(),
        )

    def close(self) -> None:
        """Kill the children; the next call starts others."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
            pool.join()


_default: PuzzlePool | None = None
_default_pid = 0
_default_lock = threading.Lock()


def default_pool() -> PuzzlePool:
    """This process's own pool; made on first use, again after a fork, closed at exit."""
    global _default, _default_pid
    with _default_lock:
        if _default is None or _default_pid != os.getpid():
            _default, _default_pid = PuzzlePool(), os.getpid()
            atexit.register(_default.close)
        return _default
