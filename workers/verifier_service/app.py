"""The ASGI application: judge a batch, say how things stand.

``POST /verify {"items": [{"kind", "response", "reference", "options"}]}`` gives
``{"verdicts": [...]}`` in the same order, each with ``verifier`` and ``version`` beside the
verdict's own fields. ``GET /health`` gives ``{"status", "sandbox", "sandbox_memory", "pool",
"versions"}``.

A batch that does not fit into the queue is refused whole with 503 and ``Retry-After``; a body
over the limit with 413; a malformed one with 400. A bad item is an ``error`` verdict of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from curation.sandbox import selftest
from curation.sandbox.identity import memory_limit
from curation.verifiers import VERIFIERS, verify
from curation.verifiers.base import error
from curation.verifiers.pool import MathPool, use_pool


@dataclass(frozen=True, slots=True)
class Limits:
    """``workers`` children, ``threads`` items at once, ``queue`` items waiting or running.

    ``body`` is bytes of one request, ``items`` entries of one batch, ``timeout`` seconds and
    ``memory`` bytes of one comparison.
    """

    workers: int = 2
    threads: int = 8
    queue: int = 4_000
    body: int = 64 * 1024**2
    items: int = 2_000
    timeout: float = 5.0
    memory: int = 2 * 1024**3


class Service:
    """The pool, the threads that feed it, and the count of items under way."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pool = MathPool(limits.workers, timeout=limits.timeout, memory=limits.memory)
        self.threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="verify")
        self.selftest = selftest.SHARED
        self.pending = 0
        self.served = 0
        self.started = time.monotonic()
        use_pool(self.pool)

    async def verify(self, request: Request) -> Response:
        """Judge a batch; see the module."""
        items = await _items(request, self.limits)
        if self.pending + len(items) > self.limits.queue:
            return _json({"error": "overloaded"}, 503, {"Retry-After": "1"})
        self.pending += len(items)
        try:
            loop = asyncio.get_running_loop()
            work = [loop.run_in_executor(self.threads, judge, item) for item in items]
            verdicts = await asyncio.gather(*work)
        finally:
            self.pending -= len(items)
        self.served += len(items)
        return _json({"verdicts": verdicts})

    async def health(self, request: Request) -> Response:
        """How things stand; answers while the pool is busy."""
        return _json(
            {
                "status": "ok",
                "sandbox": self.selftest.status,
                "sandbox_checks": self.selftest.checks,
                "sandbox_memory": memory_limit(),
                "pool": {
                    "workers": self.limits.workers,
                    "alive": len(self.pool.pids()),
                    "pending": self.pending,
                    "queue": self.limits.queue,
                    "served": self.served,
                    "timeout_s": self.limits.timeout,
                },
                "versions": {name: verifier.version for name, verifier in VERIFIERS.items()},
                "uptime_s": round(time.monotonic() - self.started, 1),
            }
        )

    async def test_sandbox(self) -> None:
        """The self-test at start and every ten minutes; its threads live as long as it does."""
        while True:
            await asyncio.to_thread(self.selftest.run)
            await asyncio.sleep(600)

    async def warm_up(self) -> None:
        """Start the children before the first request needs one."""
        await asyncio.to_thread(self.pool.compare, "x + 1", "1 + x")

    def close(self) -> None:
        """Stop the threads and kill the children."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.pool.close()


def judge(item: Any) -> dict[str, Any]:
    """The verdict of one item as JSON, with verifier and version; never raises."""
    problem = _malformed(item)
    if problem:
        return error("bad_item", problem=problem).as_dict() | {"verifier": "", "version": ""}
    kind = item["kind"]
    options = {k: v for k, v in (item.get("options") or {}).items() if k not in _POSITIONAL}
    try:
        verdict = verify(kind, item["response"], item.get("reference"), **options)
    except Exception as failure:  # one item must not take its batch down
        verdict = error("crashed", error=type(failure).__name__)
    return verdict.as_dict() | _stamp(kind)


_POSITIONAL = ("kind", "response", "reference", "self")


def _stamp(kind: str) -> dict[str, str]:
    verifier = VERIFIERS.get(kind)
    return {"verifier": kind, "version": verifier.version if verifier else ""}


def _malformed(item: Any) -> str:
    """What is wrong with an item, or nothing."""
    if not isinstance(item, dict):
        return "an item is an object"
    if not isinstance(item.get("kind"), str) or not isinstance(item.get("response"), str):
        return "kind and response are strings"
    if not isinstance(item.get("reference"), str | None):
        return "reference is a string or null"
    options = item.get("options")
    return "" if options is None or isinstance(options, dict) else "options is an object"


async def _items(request: Request, limits: Limits) -> list[Any]:
    """The items of a request; HTTPException 400 or 413 for what is none."""
    try:
        data = orjson.loads(await _body(request, limits.body))
    except orjson.JSONDecodeError as problem:
        raise HTTPException(400, "the body is not JSON") from problem
    items = data.get("items") if isinstance(data, dict) else None
    if not isinstance(items, list):
        raise HTTPException(400, "items is a list")
    if len(items) > limits.items:
        raise HTTPException(413, f"at most {limits.items} items in one batch")
    return items


async def _body(request: Request, limit: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise HTTPException(413, f"at most {limit} bytes in one request")
    except ClientDisconnect as problem:
        raise HTTPException(400, "the request was cut") from problem
    return bytes(body)


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(data), status, headers, "application/json")


async def _http_error(request: Request, problem: Exception) -> Response:
    if isinstance(problem, HTTPException):
        return _json({"error": problem.detail}, problem.status_code)
    return _json({"error": "internal"}, 500)


def create_app(limits: Limits | None = None) -> Starlette:
    """The application with its own pool, which lives from startup to shutdown."""
    service = Service(limits or Limits())

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (service.warm_up(), service.test_sandbox())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            service.close()

    routes = [
        Route("/verify", service.verify, methods=["POST"]),
        Route("/health", service.health, methods=["GET"]),
    ]
    handlers: Any = {HTTPException: _http_error}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.state.service = service
    return app
