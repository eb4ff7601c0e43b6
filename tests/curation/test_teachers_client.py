"""The client against a scripted server on a real socket: what is sent, N3, and many at once."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from curation.teachers import outcome
from curation.teachers.client import ChatRequest, Endpoint, TeacherClient
from curation.teachers.outcome import Answer, Failure
from curation.teachers.pacing import Limits
from curation.teachers.pool import RequestPool
from curation.teachers.sampling import Sampling
from tests.curation.teachers_asking import FAST, HI, KEY, STREAMS, answer, ask, failure, request
from tests.fakes import openai_server
from tests.fakes.openai_server import Reply, ScriptedServer, error


@STREAMS
def test_an_answer_brings_text_usage_latency_and_attempts(
    server: ScriptedServer, streamed: bool
) -> None:
    got = answer(server, request(stream=streamed, n=2, seed=5))
    assert len(got.choices) == 2
    assert got.usage.completion_tokens
    assert got.latency > 0
    assert got.attempts == 1
    (sent,) = server.chats
    assert sent.body["seed"] == 5
    assert sent.body["n"] == 2
    assert sent.headers["authorization"] == f"Bearer {KEY}"


def test_the_request_has_the_shape_that_vllm_documents() -> None:
    path = Path(__file__).parent.parent / "fixtures" / "vllm" / "request.json"
    documented = json.loads(path.read_text())
    extra = {name: documented[name] for name in ("top_k", "min_p", "chat_template_kwargs")}
    sampling = Sampling(temperature=0.6, top_p=0.95, max_tokens=4096, extra=extra)
    sent = ChatRequest(documented["messages"], sampling, n=2, seed=11).body("Qwen/Qwen3-8B")
    assert json.loads(sent) == documented


def test_what_is_not_asked_for_is_not_sent() -> None:
    body = json.loads(ChatRequest(HI, Sampling(max_tokens=None), stream=False).body("m"))
    assert set(body) == {"model", "messages", "temperature", "top_p"}


# N3: the key goes to one host only, and nowhere else


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_n3_a_redirect_is_shown_and_never_followed(server: ScriptedServer, status: int) -> None:
    with ScriptedServer() as other:
        where = {"Location": f"{other.url}/chat/completions"}
        server.script.append(Reply(status=status, headers=where))
        got = failure(server)
        assert got.code == outcome.REFUSED
        assert "redirect" in got.message
        assert other.requests == []
    assert len(server.requests) == 1


def test_n3_the_key_is_in_no_message_log_line_or_repr(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    in_stream = openai_server.event({"error": {"message": f"Bearer {KEY}", "code": 400}})
    server.script.extend(
        [
            error(401, f"the key {KEY} is wrong"),
            error(400, f"Bearer {KEY}"),
            Reply(parts=[in_stream], content_type="text/event-stream"),
        ]
    )
    got = [failure(server) for _ in range(3)]
    assert all(KEY not in item.message and "***" in item.message for item in got)
    assert KEY not in caplog.text  # httpcore logs the server's headers, so it is asked before them
    server.script.append(Reply(status=302, headers={"Location": f"http://elsewhere.invalid/{KEY}"}))
    assert "elsewhere.invalid" not in failure(server).message
    server.script.extend(error(400, "x" * at + KEY) for at in range(460, 500))
    got = ask(server, *[request()] * 40, limits=Limits(refusals_to_open=99))
    assert all(isinstance(item, Failure) and KEY[:6] not in item.message for item in got)
    assert KEY not in repr(Endpoint(server.url, "fake", KEY))


def test_n3_the_environments_proxies_and_netrc_are_not_used(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert answer(server).choices


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/v1",
        "file:///etc/passwd",
        "x",
        "http://",
        "http://u:p@h/v1",
        "http://h/v1?key=1",
        "http://h:99999/v1",
        "http://[::1/v1",
    ],
)
def test_n3_addresses_that_hold_secrets_or_are_none_are_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Endpoint(url, "m")


@pytest.mark.parametrize("key", ["a\nb", "ключ", "a\r\nX: y"])
def test_n3_a_key_that_would_break_the_header_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError) as caught:
        Endpoint("http://h/v1", "m", key)
    assert key not in str(caught.value)


def test_the_host_in_a_manifest_holds_no_path_or_credentials() -> None:
    assert Endpoint("http://[::1]:8000/v1", "m").host == "[::1]:8000"
    assert Endpoint("https://api.example.invalid/a/v1", "m").host == "api.example.invalid"


def test_no_more_requests_are_open_than_the_limit_allows(server: ScriptedServer) -> None:
    server.latency = 0.02
    limits = Limits(concurrency=7)

    async def main() -> None:
        async with TeacherClient(Endpoint(server.url, "fake", private=True), limits) as client:
            await asyncio.gather(*(client.complete(request()) for _ in range(60)))

    asyncio.run(main())
    assert server.most_in_flight == 7


FAULTS = [
    lambda body: error(429, "x", {"Retry-After": "0"}),
    lambda body: error(500),
    lambda body: error(503),
    lambda body: Reply(reset=True),
    lambda body: error(408),
]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_storm_of_faults_loses_no_request_and_answers_none_twice(seed: int) -> None:
    rng = random.Random(seed)
    script = [
        rng.choice(FAULTS) if rng.random() < 0.3 else openai_server.like_vllm for _ in range(400)
    ]
    limits = Limits(backoff_base=0.001, max_attempts=20, concurrency=32)
    with (
        ScriptedServer(script) as server,
        RequestPool[int](Endpoint(server.url, "fake", private=True), limits, window=64) as pool,
    ):
        waiting, got = iter(range(150)), []
        while len(got) < 150:
            while pool.has_room and (tag := next(waiting, None)) is not None:
                pool.submit(tag, request(seed=tag))
            got += pool.results(5, 50)
    assert sorted(result.tag for result in got) == list(range(150))
    assert all(isinstance(result.outcome, Answer) for result in got)
    texts = {result.outcome.choices[0].text for result in got}  # type: ignore[union-attr]
    assert len(texts) == 150
    assert server.answered >= 150


def test_leaving_the_pool_ends_its_thread_and_its_requests() -> None:
    with ScriptedServer(fallback=lambda body: Reply(hang=60)) as server:
        start = time.monotonic()
        with RequestPool[int](Endpoint(server.url, "fake", private=True), FAST, window=8) as pool:
            for tag in range(8):
                pool.submit(tag, request())
            assert pool.results(0.3, 8) == []
            assert not pool.has_room
        assert time.monotonic() - start < 30
    assert "teacher-requests" not in {thread.name for thread in threading.enumerate()}


def test_a_bug_in_the_client_is_a_failure_of_that_request_not_a_silence() -> None:
    with (
        ScriptedServer() as server,
        RequestPool[int](Endpoint(server.url, "fake", private=True), FAST, window=8) as pool,
    ):
        unsendable = ChatRequest([{"role": "user", "content": "\ud800"}], Sampling())
        pool.submit(1, unsendable)
        (result,) = pool.results(5, 1)
    assert isinstance(result.outcome, Failure)


def test_a_pool_whose_thread_died_says_so_instead_of_waiting_for_ever(
    server: ScriptedServer,
) -> None:
    with RequestPool[int](Endpoint(server.url, "fake", private=True), FAST, window=8) as pool:
        pool._loop.call_soon_threadsafe(pool._stop.set)
        pool._thread.join(5)
        with pytest.raises(RuntimeError, match="ended"):
            pool.results(1, 1)


def test_the_model_list_is_read(server: ScriptedServer) -> None:
    async def main() -> list[dict[str, Any]]:
        async with TeacherClient(Endpoint(server.url, "fake", private=True), FAST) as client:
            return await client.models()

    assert asyncio.run(main()) == [{"id": "fake", "max_model_len": 4096}]


def test_httpx_is_not_asked_to_follow_or_trust_anything(server: ScriptedServer) -> None:
    async def main() -> httpx.AsyncClient:
        async with TeacherClient(Endpoint(server.url, "fake", private=True), FAST) as client:
            return client._http()

    inner = asyncio.run(main())
    assert (inner.follow_redirects, inner.trust_env) == (False, False)
