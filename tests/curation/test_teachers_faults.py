"""Faults N4 and N5 on a real socket: a server that is busy, refuses or is not there."""

from __future__ import annotations

import asyncio

import pytest

from curation.teachers import outcome
from curation.teachers.client import Endpoint, TeacherClient
from curation.teachers.outcome import Failure, TeacherError
from curation.teachers.pacing import Limits
from tests.curation.teachers_asking import FAST, KEY, STREAMS, Sleeps, answer, ask, failure, request
from tests.fakes.openai_server import Reply, ScriptedServer, completion, error, html

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
        async with TeacherClient(Endpoint(server.url, "fake", private=True), FAST) as client:
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
        endpoint = Endpoint(server.url.replace("http:", "https:"), "fake", KEY, private=True)
        async with TeacherClient(endpoint, Limits(connect_timeout=1, max_attempts=2)) as client:
            with pytest.raises(TeacherError) as caught:
                await client.complete(request())
        return caught.value.failure

    got = asyncio.run(main())
    assert (got.code, got.cause) == (outcome.DEFERRED, outcome.NETWORK)
