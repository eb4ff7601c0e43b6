"""Asking a scripted server with the teachers' client, for the tests of its faults."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from curation.teachers.client import ChatRequest, Endpoint, TeacherClient
from curation.teachers.outcome import Answer, Failure, TeacherError
from curation.teachers.pacing import Clock, Limits
from curation.teachers.sampling import Sampling
from tests.fakes.openai_server import ScriptedServer

KEY = "sk-canary-5f2e"
FAST = Limits(backoff_base=0, max_attempts=4, deadline=30, attempt_timeout=10)
HI = [{"role": "user", "content": "hi"}]
STREAMS = pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])


def request(**changes: Any) -> ChatRequest:
    return ChatRequest(HI, Sampling(max_tokens=64), **changes)


def ask(
    server: ScriptedServer,
    *requests: ChatRequest,
    limits: Limits = FAST,
    clock: Clock | None = None,
    key: str = KEY,
) -> list[Answer | Failure]:
    """Answers or failures of these requests, asked one after the other by one client."""

    async def main() -> list[Answer | Failure]:
        got: list[Answer | Failure] = []
        endpoint = Endpoint(server.url, "fake", key, private=True)
        async with TeacherClient(endpoint, limits, clock=clock, rng=random.Random(0)) as client:
            for one in requests or (request(),):
                try:
                    got.append(await client.complete(one))
                except TeacherError as raised:
                    assert KEY not in str(raised)
                    got.append(raised.failure)
        return got

    return asyncio.run(main())


def failure(server: ScriptedServer, *args: ChatRequest, **kwargs: Any) -> Failure:
    (got,) = ask(server, *args, **kwargs)
    assert isinstance(got, Failure)
    return got


def answer(server: ScriptedServer, *args: ChatRequest, **kwargs: Any) -> Answer:
    (got,) = ask(server, *args, **kwargs)
    assert isinstance(got, Answer)
    return got


class Sleeps:
    """A clock on which only sleeping takes time."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def clock(self) -> Clock:
        return Clock(now=self.now, wall=lambda: 784111717.0, sleep=self.sleep)

    def now(self) -> float:
        return sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
