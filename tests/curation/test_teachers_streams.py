"""Faults N6 to N8 on a real socket: answers that are none, cut streams, late answers."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from curation.teachers import outcome
from curation.teachers.outcome import Answer, Completion, Failure
from curation.teachers.pacing import Limits
from tests.curation.teachers_asking import STREAMS, answer, ask, failure, request
from tests.fakes import openai_server
from tests.fakes.openai_server import Reply, ScriptedServer, completion, html, stream

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
