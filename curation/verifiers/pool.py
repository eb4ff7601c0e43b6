"""A pool of child processes that can be killed: the only place where the algebra system runs.

A child is forked from a fork server that has the libraries loaded, limits its own address space,
takes one comparison at a time, is killed when one takes too long, and is replaced after a number
of tasks. Needs pebble; loads it, and starts processes, on first use.

A process that is itself a daemonic child (a Celery prefork worker) may not have children: there,
use ``curation.sandbox.client.VerifierClient``.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import time
from concurrent.futures import CancelledError, wait
from dataclasses import dataclass, field
from typing import Any

from .deadline import is_over, shorter_of

DEFAULT_TIMEOUT = 5.0
# A comparison may wait this many times its limit for a processor before it counts as stuck.
PATIENCE = 4
DEFAULT_MEMORY = 2 * 1024**3
DEFAULT_MAX_TASKS = 2_000
# How long a comparison may wait for a free child before its own time starts.
QUEUE_TIMEOUT = 120.0
# A child that is killed while it holds pebble's lock on the channel takes the lock with it, and no
# other child gets a task again. When one is free and takes nothing for so long, all are replaced.
STUCK_SECONDS = 8.0
JOIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a child said, or what happened to it.

    ``name`` is an outcome of :func:`engine.compare_maths`, or ``timeout``, ``crashed`` or
    ``pool_unavailable``.
    """

    name: str
    detail: dict[str, Any] = field(default_factory=dict)


class MathPool:
    """Compares pairs of expressions in ``workers`` children; safe to call from many threads.

    ``timeout`` is in seconds of processor time per comparison (a busy machine makes no verdict an
    error), and PATIENCE times as many seconds on the clock; ``memory`` in bytes of address space
    per child.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        memory: int = DEFAULT_MEMORY,
        max_tasks: int = DEFAULT_MAX_TASKS,
    ) -> None:
        self.workers = workers
        self.timeout = timeout
        self.memory = memory
        self.max_tasks = max_tasks
        self._pool: Any = None
        self._closed = False
        self._lock = threading.Lock()
        self._waiting: set[Any] = set()  # futures of comparisons that have not ended
        self._progress: float | None = None  # when a child of this pool last gave an answer

    def compare(self, reference: str, answer: str, timeout: float | None = None) -> Outcome:
        """Compare two normalised LaTeX expressions; never raises."""
        limit = timeout if timeout is not None and 0 < timeout < self.timeout else self.timeout
        limit = shorter_of(limit)
        outcome = self._attempt(reference, answer, limit)
        if outcome.name == "crashed" and not is_over():
            # Someone else's kill (or the memory of an earlier task) is no fault of this pair.
            outcome = self._attempt(reference, answer, limit)
        return outcome

    def _attempt(self, reference: str, answer: str, limit: float) -> Outcome:
        from . import engine

        try:
            pool = self._running()
            future = pool.schedule(
                engine.compare_within,
                args=(limit, reference, answer),
                timeout=shorter_of(limit * PATIENCE),
            )
        except (ImportError, AssertionError, AttributeError, RuntimeError, OSError) as problem:
            self._drop()
            return Outcome("pool_unavailable", {"error": repr(problem)[:200]})
        if not self._wait(future):
            future.cancel()
            if self._closed:
                return Outcome("pool_unavailable", {"error": "closed"})
            if is_over():
                return Outcome("timeout", {"limit_s": limit})
            self._drop(pool)
            return Outcome("crashed", {"error": "no child took it"})
        outcome = _outcome(future, limit)
        if outcome.name == "pool_unavailable" and not self._closed:  # replaced while it waited
            return Outcome("crashed", outcome.detail)
        return outcome

    def _wait(self, future: Any) -> bool:
        """Wait for a comparison; False if its turn never came or the pool was closed meanwhile."""
        begun, patience = time.monotonic(), shorter_of(QUEUE_TIMEOUT)
        with self._lock:
            self._waiting.add(future)
        try:
            while not self._closed and time.monotonic() - begun < patience:
                if wait([future], timeout=min(0.5, patience)).done:
                    self._progress = time.monotonic()
                    return True
                if self._stuck(future, begun):
                    return False
            return bool(future.done())
        finally:
            with self._lock:
                self._waiting.discard(future)

    def _stuck(self, future: Any, begun: float) -> bool:
        """Whether a child is free and still none takes this comparison.

        A pool that never gave an answer may still be loading its libraries.
        """
        if self._progress is None or future.running():
            return False
        with self._lock:
            busy = sum(other.running() for other in self._waiting)
        idle = time.monotonic() - max(begun, self._progress)
        return busy < self.workers and idle > STUCK_SECONDS

    def _running(self) -> Any:
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            if self._pool is None or not self._pool.active:
                self._pool, self._progress = self._start(), None
            return self._pool

    def _start(self) -> Any:
        from pebble import ProcessPool

        from .children import child_context, limit_child

        return ProcessPool(
            max_workers=self.workers,
            max_tasks=self.max_tasks,
            initializer=limit_child,
            initargs=(self.memory,),
            context=child_context(),
        )

    def pids(self) -> list[int]:
        """Process ids of the children that are alive now."""
        # pebble shows its children nowhere public; without the attribute the list is empty.
        manager = getattr(getattr(self._pool, "_pool_manager", None), "worker_manager", None)
        children = list(getattr(manager, "workers", {}).items())
        return [pid for pid, process in children if process.is_alive()]

    def close(self) -> None:
        """Kill the children and wait for them; the pool takes no more work."""
        self._closed = True
        self._drop()

    def _drop(self, only: Any = None) -> None:
        """End the pool; with ``only`` not if that one was replaced already."""
        with self._lock:
            if only is not None and only is not self._pool:
                return
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()
            with contextlib.suppress(TimeoutError):
                pool.join(JOIN_SECONDS)


def _outcome(future: Any, limit: float) -> Outcome:
    """Name what became of a comparison that has ended."""
    from pebble import ProcessExpired

    try:
        result = future.result(timeout=0)
    except TimeoutError:
        return Outcome("timeout", {"limit_s": limit})
    except ProcessExpired as problem:
        return _expired(problem.exitcode, limit)
    except CancelledError:
        return Outcome("pool_unavailable", {"error": "closed"})
    except Exception as problem:  # whatever the library raised in the child
        return Outcome("crashed", {"error": type(problem).__name__})
    if result["outcome"] == "memory":
        return Outcome("crashed", {"error": result["detail"].get("error", "memory")})
    return Outcome(result["outcome"], result["detail"])


def _expired(exit_code: int, limit: float) -> Outcome:
    if exit_code == -signal.SIGPROF:  # see engine.compare_within
        return Outcome("timeout", {"limit_s": limit})
    return Outcome("crashed", {"exit": exit_code})


_default: MathPool | None = None
_default_pid = 0
_default_lock = threading.Lock()


def default_pool() -> MathPool:
    """This process's own pool; made on first use, again after a fork, closed at exit."""
    global _default, _default_pid
    with _default_lock:
        if _default is None or _default_pid != os.getpid():
            _default, _default_pid = MathPool(max(1, min(4, os.cpu_count() or 1))), os.getpid()
            atexit.register(_default.close)
        return _default


def use_pool(pool: MathPool) -> None:
    """Make ``pool`` this process's own (the verifier service sizes its pool itself)."""
    global _default, _default_pid
    with _default_lock:
        _default, _default_pid = pool, os.getpid()
