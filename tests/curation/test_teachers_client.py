"""The client against a scripted server on a real socket: faults N3 to N8, one by one."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from curation.teachers import outcome
from curation.teachers.client import ChatRequest, Endpoint, TeacherClient
from curation.teachers.outcome import Answer, Completion, Failure, TeacherError
from curation.teachers.pacing import Clock, Limits
from curation.teachers.pool import RequestPool
from curation.teachers.sampling import Sampling
from tests.fakes import openai_server
from tests.fakes.openai_server import Reply, ScriptedServer, completion, error, html, stream

KEY = "sk-canary-5f2e"
FAST = Limits(backoff_base=0, max_attempts=4, deadline=30, attempt_timeout=10)
HI = [{"role": "user", "content": "hi"}]
STREAMS = pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


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
        endpoint = Endpoint(server.url, "fake", key)
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
    server.script.append(Reply(status=302, headers={"Location": f"http://elsewhere/{KEY}"}))
    assert "***" in failure(server).message
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
    assert Endpoint("https://api.example.org/a/v1", "m").host == "api.example.org"


# N4: 429


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ({}, 0.25, 0.5),
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}, 60, 60),
        ({"Retry-After": "soon"}, 0.25, 0.5),
        ({"Retry-After": "-3"}, 0.25, 0.5),
        ({"Retry-After": "1000000000"}, 120, 120),
    ],
)
def test_n4_a_429_is_waited_out_and_asked_again(
    server: ScriptedServer, header: dict[str, str], least: float, most: float
) -> None:
    sleeps = Sleeps()
    server.script.append(error(429, "slow down", header))
    got = answer(server, limits=Limits(), clock=sleeps.clock())
    assert got.attempts == 2
    assert least <= sleeps.waits[0] <= most


def test_n4_a_429_without_end_is_deferred_at_the_deadline_not_failed(
    server: ScriptedServer,
) -> None:
    sleeps = Sleeps()
    server.fallback = lambda body: error(429, "busy", {"Retry-After": "100"})
    limits = Limits(deadline=350, max_attempts=50)
    got = failure(server, limits=limits, clock=sleeps.clock())
    assert (got.code, got.cause) == (outcome.DEFERRED, outcome.RATE_LIMITED)
    assert got.attempts == 4
    assert sum(sleeps.waits) <= 350


def test_n4_one_answer_of_429_holds_the_others_back_too(server: ScriptedServer) -> None:
    server.script.append(error(429, "busy", {"Retry-After": "1"}))

    async def main() -> None:
        async with TeacherClient(Endpoint(server.url, "fake"), FAST) as client:
            first = asyncio.create_task(client.complete(request()))
            while client._rate._hold_until < 0:  # until the 429 has arrived
                await asyncio.sleep(0.01)
            await asyncio.gather(first, *(client.complete(request()) for _ in range(5)))

    asyncio.run(main())
    times = [chat.at for chat in server.chats]
    assert len(times) == 7
    assert min(times[1:]) - times[0] >= 0.9


# N5: statuses and the network


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
@STREAMS
def test_n5_transient_statuses_are_asked_again(
    server: ScriptedServer, status: int, streamed: bool
) -> None:
    server.script.extend([error(status), html(status)])
    assert answer(server, request(stream=streamed)).attempts == 3


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, outcome.REFUSED),
        (402, outcome.REFUSED),
        (409, outcome.REFUSED),
        (413, outcome.REFUSED),
        (422, outcome.REFUSED),
        (401, outcome.UNAUTHORIZED),
        (403, outcome.UNAUTHORIZED),
        (404, outcome.NOT_FOUND),
        (204, outcome.BAD_RESPONSE),
    ],
)
def test_n5_other_statuses_stop_at_once_and_show_the_servers_words(
    server: ScriptedServer, status: int, code: str
) -> None:
    parts = [] if status == 204 else error(status, "because").parts
    server.script.append(Reply(status=status, parts=parts))
    got = failure(server)
    assert (got.code, got.status, got.attempts) == (code, status, 1)
    assert status == 204 or "because" in got.message
    assert len(server.chats) == 1


def test_n5_a_refused_key_stops_all_further_requests(server: ScriptedServer) -> None:
    server.script.append(error(401))
    codes = [got.code for got in ask(server, *[request()] * 4) if isinstance(got, Failure)]
    assert codes == [outcome.UNAUTHORIZED, *[outcome.PAUSED] * 3]
    assert len(server.chats) == 1


def test_n5_a_row_of_refusals_stops_the_endpoint_but_a_few_do_not(server: ScriptedServer) -> None:
    limits = Limits(backoff_base=0, refusals_to_open=3)
    server.script.extend([error(400), error(400), completion({}, ["fine"]), *[error(400)] * 5])
    got = ask(server, *[request()] * 8, limits=limits)
    codes = [item.code if isinstance(item, Failure) else "ok" for item in got]
    refused, paused = outcome.REFUSED, outcome.PAUSED
    assert codes == [refused, refused, "ok", refused, refused, refused, paused, paused]


def test_n5_a_connection_that_is_refused_is_deferred_in_the_end() -> None:
    server = ScriptedServer()
    server.port = 9
    got = failure(server)
    assert (got.code, got.cause, got.attempts) == (outcome.DEFERRED, outcome.NETWORK, 4)


@STREAMS
def test_n5_a_reset_before_the_answer_is_asked_again(
    server: ScriptedServer, streamed: bool
) -> None:
    server.script.extend([Reply(reset=True)] * 2)
    assert answer(server, request(stream=streamed)).attempts == 3


def test_n5_a_server_without_tls_is_a_network_failure(server: ScriptedServer) -> None:
    async def main() -> Failure:
        endpoint = Endpoint(server.url.replace("http:", "https:"), "fake", KEY)
        async with TeacherClient(endpoint, Limits(connect_timeout=1, max_attempts=2)) as client:
            with pytest.raises(TeacherError) as caught:
                await client.complete(request())
        return caught.value.failure

    got = asyncio.run(main())
    assert (got.code, got.cause) == (outcome.DEFERRED, outcome.NETWORK)


# N6: a 200 that is none


@pytest.mark.parametrize(
    "reply",
    [
        html(),
        Reply(parts=[b""]),
        Reply(parts=[b"{"]),
        Reply(parts=[b'{"choices": []}']),
        Reply(parts=[b'{"choices": []}'], content_type="text/plain"),
        openai_server.gzip_bomb(30_000_000),
        Reply(parts=[b"x"], headers={"Content-Encoding": "gzip"}),
        Reply(parts=[b"x"], headers={"Content-Encoding": "br"}),
        Reply(parts=[b'{"choices": [1,2,3]}'], length=9),
    ],
    ids=["html", "empty", "half", "none", "plain", "bomb", "no-gzip", "br", "short-length"],
)
@STREAMS
def test_n6_a_200_that_is_no_completion_is_a_bad_response_and_not_asked_again(
    server: ScriptedServer, reply: Reply, streamed: bool
) -> None:
    server.script.append(reply)
    got = failure(server, request(stream=streamed))
    assert (got.code, got.attempts) == (outcome.BAD_RESPONSE, 1)
    assert len(server.chats) == 1


def test_n6_a_gzip_bomb_costs_little_memory(server: ScriptedServer) -> None:
    server.script.append(openai_server.gzip_bomb(150_000_000))
    tracemalloc.start()
    try:
        assert failure(server).code == outcome.BAD_RESPONSE
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


def test_n6_an_honestly_packed_answer_is_read(server: ScriptedServer) -> None:
    import gzip

    whole = completion({"model": "fake"}, ["packed"])
    whole.parts = [gzip.compress(whole.parts[0])]
    whole.headers["Content-Encoding"] = "gzip"
    server.script.append(whole)
    (choice,) = answer(server, request(stream=False)).choices
    assert isinstance(choice, Completion)
    assert choice.text == "packed"


@pytest.mark.parametrize("kind", ["whole", "stream", "line", "error"])
def test_n6_a_body_over_the_cap_is_dropped_early(server: ScriptedServer, kind: str) -> None:
    block = b"a" * 65536
    parts = {
        "whole": [block] * 600,
        "stream": [openai_server.chunk("m", 0, {"content": "a" * 60000})] * 600,
        "line": [b"data: ", *[block] * 600],
        "error": [block] * 600,
    }[kind]
    streamed = kind in {"stream", "line"}
    server.script.append(
        Reply(
            status=400 if kind == "error" else 200,
            parts=parts,
            content_type="text/event-stream" if streamed else "application/json",
            length="chunked",
        )
    )
    got = failure(server, limits=Limits(max_body=1_000_000, backoff_base=0))
    assert got.code == (outcome.REFUSED if kind == "error" else outcome.BAD_RESPONSE)
    assert server.answered == 0


def test_n6_a_line_of_a_stream_that_does_not_end_is_dropped_early(server: ScriptedServer) -> None:
    parts = [b"data: ", *[b"a" * 65536] * 200]
    server.script.append(Reply(parts=parts, content_type="text/event-stream", length="chunked"))
    got = failure(server)
    assert (got.code, got.message) == (outcome.BAD_RESPONSE, "a line of the stream is too long")


def test_n6_a_slow_drip_ends_at_the_time_limit_of_the_attempt(server: ScriptedServer) -> None:
    drip = Reply(parts=[b" "] * 1000, pause=0.05, length="chunked")
    server.script.extend([drip, drip])
    start = time.monotonic()
    got = failure(server, limits=Limits(attempt_timeout=0.6, idle_timeout=5, backoff_base=0))
    assert (got.code, got.cause) == (outcome.DEFERRED, outcome.TIMEOUT)
    assert got.attempts == 2
    assert time.monotonic() - start < 30


def test_n6_a_silent_server_ends_at_the_idle_limit(server: ScriptedServer) -> None:
    server.script.extend([Reply(hang=30), Reply(hang=30)])
    got = failure(server, limits=Limits(idle_timeout=0.3, backoff_base=0))
    assert got.cause == outcome.TIMEOUT


def test_n6_a_whole_answer_may_take_longer_than_the_idle_limit(server: ScriptedServer) -> None:
    slow = completion({}, ["slow"])
    slow.hang = 0.8
    server.script.append(slow)
    assert answer(server, request(stream=False), limits=Limits(idle_timeout=0.3)).attempts == 1


def test_n6_a_length_that_promises_more_than_comes_is_no_answer(server: ScriptedServer) -> None:
    for _ in range(2):
        server.script.append(Reply(parts=completion({}, ["x"]).parts, length=10_000))
    got = failure(server, request(stream=False))
    assert (got.code, got.attempts) == (outcome.INCOMPLETE, 2)


# N7: cut streams


def cut_points(texts: list[str]) -> int:
    return len(stream({"stream_options": {"include_usage": True}}, texts).parts)


@pytest.mark.parametrize("clean", [True, False], ids=["fin", "reset"])
def test_n7_a_stream_cut_at_any_chunk_is_finished_only_after_its_finish_reason(
    server: ScriptedServer, clean: bool
) -> None:
    text = "<think>\nlong\n</think>\n\n42"
    outcomes = []
    for at in range(cut_points([text]) + 1):
        reply = stream({"stream_options": {"include_usage": True}}, [text])
        reply.cut_after = at
        reply.headers = {"X-Clean": "1"} if clean else {}
        server.script.append(reply)
        (got,) = ask(server, limits=Limits(max_cut_retries=0))
        outcomes.append(got)
    finished = [got for got in outcomes if isinstance(got, Answer)]
    assert len(finished) == 3  # cut before the usage chunk, before [DONE], and not at all
    for got in finished:
        assert got.choices == (Completion(text, "stop"),)
    cut = [got for got in outcomes if isinstance(got, Failure)]
    assert {got.code for got in cut} == {outcome.INCOMPLETE}


def test_n7_a_stream_that_ends_politely_without_finish_reason_is_incomplete(
    server: ScriptedServer,
) -> None:
    reply = stream({}, ["half"])
    reply.parts = [*reply.parts[:-2], b"data: [DONE]\n\n"]
    server.script.extend([reply, reply])
    got = failure(server)
    assert (got.code, got.attempts) == (outcome.INCOMPLETE, 2)


def test_n7_a_cut_stream_is_asked_again_and_the_second_answer_taken_whole(
    server: ScriptedServer,
) -> None:
    reply = stream({}, ["first try"])
    reply.cut_after = 2
    server.script.extend([reply, stream({}, ["second try"])])
    got = answer(server)
    assert got.choices == (Completion("second try", "stop"),)


def test_n7_finished_choices_of_a_cut_stream_are_kept_and_the_rest_fail(
    server: ScriptedServer,
) -> None:
    reply = stream({}, ["one", "two"])
    reply.cut_after = len(stream({}, ["one"]).parts)
    server.script.append(reply)
    one, two = answer(server, request(n=2)).choices
    assert one == Completion("one", "stop")
    assert isinstance(two, Failure)
    assert len(server.chats) == 1


@STREAMS
def test_n7_a_truncated_answer_is_kept_and_not_asked_again(
    server: ScriptedServer, streamed: bool
) -> None:
    make = stream if streamed else completion
    server.script.append(make({}, ["so far"], finish="length"))
    (choice,) = answer(server, request(stream=streamed)).choices
    assert isinstance(choice, Completion)
    assert choice.truncated
    assert len(server.chats) == 1


def test_n7_an_error_in_the_stream_is_asked_again(server: ScriptedServer) -> None:
    broken = stream({}, ["x"])
    broken.parts[2:] = [openai_server.event({"error": {"message": "engine died", "code": 500}})]
    plain = stream({}, ["x"])
    plain.parts[2:] = [openai_server.event({"error": "cuda"})]
    server.script.extend([broken, plain])
    assert answer(server).attempts == 3


# N8 and load


def test_n8_an_answer_that_comes_after_our_time_limit_is_dropped(server: ScriptedServer) -> None:
    late = completion({}, ["late"])
    late.hang = 0.8
    server.script.extend([late, completion({}, ["in time"])])
    got = answer(server, limits=Limits(attempt_timeout=0.3, backoff_base=0))
    assert got.choices == (Completion("in time", "stop"),)
    time.sleep(0.7)
    assert len(server.chats) == 2


def test_no_more_requests_are_open_than_the_limit_allows(server: ScriptedServer) -> None:
    server.latency = 0.02
    limits = Limits(concurrency=7)

    async def main() -> None:
        async with TeacherClient(Endpoint(server.url, "fake"), limits) as client:
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
        RequestPool[int](Endpoint(server.url, "fake"), limits, window=64) as pool,
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
        with RequestPool[int](Endpoint(server.url, "fake"), FAST, window=8) as pool:
            for tag in range(8):
                pool.submit(tag, request())
            assert pool.results(0.3, 8) == []
            assert not pool.has_room
        assert time.monotonic() - start < 30
    assert "teacher-requests" not in {thread.name for thread in threading.enumerate()}


def test_a_bug_in_the_client_is_a_failure_of_that_request_not_a_silence() -> None:
    with (
        ScriptedServer() as server,
        RequestPool[int](Endpoint(server.url, "fake"), FAST, window=8) as pool,
    ):
        unsendable = ChatRequest([{"role": "user", "content": "\ud800"}], Sampling())
        pool.submit(1, unsendable)
        (result,) = pool.results(5, 1)
    assert isinstance(result.outcome, Failure)


def test_a_pool_whose_thread_died_says_so_instead_of_waiting_for_ever(
    server: ScriptedServer,
) -> None:
    with RequestPool[int](Endpoint(server.url, "fake"), FAST, window=8) as pool:
        pool._loop.call_soon_threadsafe(pool._stop.set)
        pool._thread.join(5)
        with pytest.raises(RuntimeError, match="ended"):
            pool.results(1, 1)


def test_the_model_list_is_read(server: ScriptedServer) -> None:
    async def main() -> list[dict[str, Any]]:
        async with TeacherClient(Endpoint(server.url, "fake"), FAST) as client:
            return await client.models()

    assert asyncio.run(main()) == [{"id": "fake", "max_model_len": 4096}]


def test_httpx_is_not_asked_to_follow_or_trust_anything(server: ScriptedServer) -> None:
    async def main() -> httpx.AsyncClient:
        async with TeacherClient(Endpoint(server.url, "fake"), FAST) as client:
            return client._http()

    inner = asyncio.run(main())
    assert (inner.follow_redirects, inner.trust_env) == (False, False)
