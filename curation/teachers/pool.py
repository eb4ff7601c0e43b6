"""Many requests at once for synchronous code: an event loop in a thread, queues between.

The caller's thread keeps the database to itself; this thread keeps the network. At most ``window``
requests are known here at a time, so memory does not grow with the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from curation.teachers.client import Answer, ChatRequest, Endpoint, TeacherClient, TeacherError
from curation.teachers.outcome import BAD_RESPONSE, Failure
from curation.teachers.pacing import Limits

BATCH = 32  # answers taken together, stored by callers in one transaction
TICK = 0.5  # seconds between looks at cancel and lease while nothing comes

Tag = TypeVar("Tag")


@dataclass(frozen=True)
class Result(Generic[Tag]):
    """What became of one submitted request."""

    tag: Tag
    outcome: Answer | Failure


class RequestPool(Generic[Tag]):
    """``submit`` while ``has_room``; take finished ones with ``results``. Use as ``with``.

    Without a ``window``, enough requests wait behind the limit that no connection idles while
    answers are being stored. Leaving the block cancels whatever is still under way and waits for
    the thread to end.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        window: int | None = None,
        make: Callable[[Endpoint, Limits], TeacherClient] = TeacherClient,
    ) -> None:
        self._endpoint, self._limits, self._make = endpoint, limits, make
        self._window = window or int(limits.concurrency) + BATCH
        self._pending = 0
        self._results: queue.Queue[Result[Tag]] = queue.Queue()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._broken: BaseException | None = None
        self._client: TeacherClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="teacher-requests", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._broken is not None:
            raise self._broken
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)

    @property
    def pending(self) -> int:
        """Requests submitted whose result was not taken yet."""
        return self._pending

    @property
    def has_room(self) -> bool:
        return self._pending < self._window

    @property
    def closed_because(self) -> Failure | None:
        """Why the endpoint is not asked any more, once its circuit breaker is open."""
        return self._client.breaker.reason if self._client else None

    def submit(self, tag: Tag, request: ChatRequest) -> None:
        """Start one request; its result comes with its ``tag``."""
        self._pending += 1
        self._loop.call_soon_threadsafe(self._start, tag, request)

    def results(self, timeout: float, most: int) -> list[Result[Tag]]:
        """At least one result if any comes within ``timeout`` seconds, at most ``most``."""
        if not self._thread.is_alive() and self._results.empty():
            raise RuntimeError("the thread that asks the teacher has ended") from self._broken
        found: list[Result[Tag]] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._results.get(timeout=timeout))
            while len(found) < most:
                found.append(self._results.get_nowait())
        self._pending -= len(found)
        return found

    def drain(
        self,
        asks: Iterable[Tag],
        request: Callable[[Tag], ChatRequest],
        take: Callable[[list[Result[Tag]]], None],
        check: Callable[[], None],
    ) -> None:
        """Keep the pool full and hand results to ``take``, until all is asked or the breaker opens.

        ``check`` is called at least every ``TICK`` seconds; what it raises ends the work.
        """
        waiting = iter(asks)
        more = True
        while True:
            check()
            while more and self.has_room and self.closed_because is None:
                try:
                    tag = next(waiting)
                except StopIteration:
                    more = False
                else:
                    self.submit(tag, request(tag))
            if not self._pending:
                return
            if results := self.results(TICK, BATCH):
                take(results)

    def _start(self, tag: Tag, request: ChatRequest) -> None:
        task = self._loop.create_task(self._ask(tag, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, tag: Tag, request: ChatRequest) -> None:
        assert self._client is not None
        result: Answer | Failure
        try:
            result = await self._client.complete(request)
        except TeacherError as error:
            result = error.failure
        except Exception as error:  # a bug must not lose the request
            result = Failure(BAD_RESPONSE, f"our client failed: {type(error).__name__}")
        self._results.put(Result(tag, result))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as error:
            self._broken = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _live(self) -> None:
        async with self._make(self._endpoint, self._limits) as self._client:
            self._ready.set()
            await self._stop.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
