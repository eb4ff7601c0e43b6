"""The probe believes effects, not words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation.teachers import outcome
from curation.teachers.client import Endpoint, TeacherClient
from curation.teachers.outcome import TeacherError
from curation.teachers.pacing import Limits
from curation.teachers.probe import Capabilities, probe
from tests.fakes.openai_server import (
    LikeTransformersServe,
    Reply,
    ScriptedServer,
    completion,
    error,
    html,
    like_vllm,
    stream,
)

FAST = Limits(backoff_base=0, max_attempts=2, deadline=20)
Answerer = Callable[[dict[str, Any]], Reply]


def probed(fallback: Answerer, **given: Any) -> Capabilities:
    with ScriptedServer(fallback=fallback, **given) as server:

        async def main() -> Capabilities:
            async with TeacherClient(Endpoint(server.url, "fake", private=True), FAST) as client:
                return await probe(client)

        return asyncio.run(main())


def test_a_server_that_can_everything_is_found_to() -> None:
    found = probed(like_vllm)
    assert (found.n, found.seed, found.logprobs) == ("yes", "yes", "yes")
    assert (found.response_format, found.streaming, found.stream_usage) == ("yes", "yes", "yes")
    assert (found.completes, found.serves_model, found.context_length) == ("yes", "yes", 4096)
    assert found.usage == "yes"
    assert found.notes == {}


def test_parameters_that_are_ignored_in_silence_are_found_missing() -> None:
    found = probed(LikeTransformersServe())
    assert (found.n, found.logprobs, found.response_format) == ("no", "no", "no")
    assert found.streaming == "yes"
    assert found.notes["n"] == "1 of 2 came"


def test_parameters_that_are_refused_are_found_missing_with_the_servers_words() -> None:
    def strict(body: dict[str, Any]) -> Reply:
        for name in ("n", "logprobs", "response_format", "seed", "stream", "stream_options"):
            if body.get(name):
                return error(422, f"Unexpected fields: {name}")
        return completion(body, ["x"])

    found = probed(strict)
    assert (found.n, found.logprobs, found.response_format) == ("no", "no", "no")
    assert (found.streaming, found.seed) == ("no", "unknown")
    assert "Unexpected fields: n" in found.notes["n"]


def test_a_server_that_refuses_stream_options_alone_still_streams() -> None:
    def picky(body: dict[str, Any]) -> Reply:
        return error(400, "stream_options") if "stream_options" in body else like_vllm(body)

    found = probed(picky)
    assert (found.streaming, found.stream_usage) == ("yes", "no")


def test_a_stream_asked_for_and_answered_whole_is_no_streaming() -> None:
    found = probed(lambda body: completion(body, ["x"] * (body.get("n") or 1)))
    assert found.streaming == "no"


def seeded_alone_only() -> Answerer:
    """Honours a seed while nobody else asks; counts how many are asking at once."""
    calls: list[Any] = []

    def answer(body: dict[str, Any]) -> Reply:
        calls.append(body.get("seed"))
        crowd = len([s for s in calls if s is not None]) > 3
        return like_vllm(body, nonce=len(calls) if crowd else 0)

    return answer


def test_a_seed_that_holds_only_without_company_is_not_honoured() -> None:
    found = probed(seeded_alone_only())
    assert found.seed == "no"
    assert "among other requests" in found.notes["seed"]


def test_a_server_that_always_says_the_same_leaves_the_seed_unknown() -> None:
    def greedy(body: dict[str, Any]) -> Reply:
        return (stream if body.get("stream") else completion)(body, ["same"])

    assert probed(greedy).seed == "unknown"


def test_random_answers_are_not_taken_for_a_schema_that_was_followed() -> None:
    def chatty(body: dict[str, Any]) -> Reply:
        return completion(body, ['{"probe": "sunshine"}'])

    assert probed(chatty).response_format == "no"


def test_a_missing_model_list_does_not_end_the_probe() -> None:
    found = probed(like_vllm, models=error(404))
    assert (found.models, found.n, found.serves_model) == ((), "yes", "yes")


def test_a_model_that_the_list_does_not_name_but_that_answers_is_served() -> None:
    found = probed(like_vllm, models=[{"id": "other"}])
    assert found.serves_model == "yes"
    assert "fake" in found.notes["serves_model"]


def test_vllms_model_list_gives_the_context_length_and_the_engine() -> None:
    path = Path(__file__).parent.parent / "fixtures" / "vllm" / "models.json"
    listed = json.loads(path.read_text())["data"]
    found = probed(like_vllm, models=[listed[0] | {"id": "fake"}])
    assert (found.context_length, found.engine) == (40960, "vllm")


@pytest.mark.parametrize(
    ("reply", "code"),
    [(error(401), outcome.UNAUTHORIZED), (error(503), outcome.DEFERRED)],
)
def test_an_endpoint_that_cannot_be_used_at_all_is_an_error(reply: Reply, code: str) -> None:
    with pytest.raises(TeacherError) as caught:
        probed(lambda body: reply)
    assert caught.value.failure.code == code


def test_a_page_in_place_of_an_api_is_said_to_complete_nothing() -> None:
    found = probed(lambda body: html(), models=html())
    assert found.completes == "no"
    assert "html" in found.notes["completes"]


def test_the_stored_form_reads_back_and_an_empty_one_knows_nothing() -> None:
    found = probed(like_vllm)
    assert Capabilities.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    assert Capabilities.from_dict({"dtype": "x"}).n == "unknown"
