"""Reading answers: vLLM's documented shapes, and what must never become a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.teachers import outcome, response
from curation.teachers.outcome import Answer, Completion, Failure, TeacherError, Usage
from curation.teachers.response import EventReader, StreamAssembler, parse_completion

FIXTURES = Path(__file__).parent.parent / "fixtures" / "vllm"


def fixture(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def events(name: str) -> list[bytes]:
    return [
        item.encode() if isinstance(item, str) else json.dumps(item).encode()
        for item in json.loads(fixture(name))
    ]


def assemble(name: str, wanted: int = 1) -> Answer:
    assembler = StreamAssembler(wanted)
    for data in events(name):
        assembler.feed(data)
    return assembler.answer()


def only(answer: Answer) -> Completion:
    (choice,) = answer.choices
    assert isinstance(choice, Completion)
    return choice


def test_a_plain_vllm_completion_is_read_with_usage_and_fingerprint() -> None:
    answer = parse_completion(fixture("completion"), 1)
    assert only(answer) == Completion("12 + 30 = \\boxed{42}", "stop", 0, {})
    assert answer.usage == Usage(24, 11)
    assert answer.system_fingerprint == "vllm-0.17.0-tp1-3f9a12cd"
    assert answer.model == "Qwen/Qwen3-8B"


def test_reasoning_in_a_field_of_its_own_is_composed_and_said_so() -> None:
    answer = parse_completion(fixture("completion_reasoning"), 1)
    choice = only(answer)
    reasoning = "12 plus 30.\nThat is 42. Wait, check: 30 + 12 = 42."
    assert choice.text == f"<think>\n{reasoning}\n</think>\n\n\n\nThe answer is \\boxed{{42}}."
    assert choice.metadata == {"composed": True, "reasoning_field": "reasoning"}
    assert answer.usage.reasoning_tokens == 20


def test_the_older_reasoning_field_is_read_the_same_way() -> None:
    choice = only(parse_completion(fixture("completion_reasoning_older"), 1))
    assert choice.text.startswith("<think>\n12 plus 30.\nThat is 42.\n</think>\n\n")
    assert choice.metadata["reasoning_field"] == "reasoning_content"


def test_reasoning_cut_at_the_token_limit_is_not_closed() -> None:
    choice = only(parse_completion(fixture("completion_reasoning_cut"), 1))
    assert choice.text == "<think>\n12 plus 30. Let me"
    assert choice.truncated
    assert choice.metadata["closed"] is False


def test_several_choices_keep_their_order_and_cached_tokens_are_read() -> None:
    answer = parse_completion(fixture("completion_n2_logprobs"), 2)
    assert [c.text for c in answer.choices if isinstance(c, Completion)] == ["42", "It is 42."]
    assert answer.usage.cached_tokens == 16


def test_fewer_choices_than_asked_are_failures_for_the_missing_ones() -> None:
    answer = parse_completion(fixture("completion"), 3)
    assert isinstance(answer.choices[0], Completion)
    assert [type(c) for c in answer.choices[1:]] == [Failure, Failure]


def test_an_aborted_answer_is_no_trace() -> None:
    (choice,) = parse_completion(fixture("completion_aborted"), 1).choices
    assert isinstance(choice, Failure)
    assert choice.code == outcome.INCOMPLETE


def test_a_stream_gives_the_same_text_as_a_whole_answer() -> None:
    answer = assemble("stream")
    assert only(answer).text == "12 + 30 = 𝟜\\boxed{42}"
    assert answer.usage == Usage(24, 9)
    assert answer.system_fingerprint == "vllm-0.17.0-tp1-3f9a12cd"


@pytest.mark.parametrize("name", ["stream_reasoning", "stream_reasoning_older"])
def test_streamed_reasoning_is_composed(name: str) -> None:
    choice = only(assemble(name))
    assert choice.text == "<think>\n12 plus 30 is 42.\n</think>\n\n\n\nThe answer is 42."
    assert choice.metadata["composed"] is True


def test_interleaved_choices_of_a_stream_are_told_apart() -> None:
    answer = assemble("stream_n2", 2)
    assert answer.choices == (Completion("42", "stop", 0), Completion("It is 42.", "length", 1))


def test_an_error_inside_a_stream_wins_over_what_came_before() -> None:
    with pytest.raises(TeacherError, match="EngineCore") as caught:
        assemble("stream_error")
    assert caught.value.failure.code == outcome.UNAVAILABLE


@pytest.mark.parametrize("name", ["error", "error_older"])
def test_both_error_shapes_of_vllm_give_their_message(name: str) -> None:
    assert response.error_message(fixture(name)).startswith("This model's maximum context length")


@pytest.mark.parametrize("name", ["stream", "stream_reasoning", "stream_n2"])
def test_a_stream_cut_after_any_event_is_finished_only_if_a_finish_reason_came(name: str) -> None:
    wanted = 2 if name.endswith("n2") else 1
    whole = assemble(name, wanted)
    for kept in range(len(events(name))):
        assembler = StreamAssembler(wanted)
        seen: set[int] = set()
        for data in events(name)[:kept]:
            assembler.feed(data)
            value = json.loads(data) if data != b"[DONE]" else {"choices": []}
            seen |= {c["index"] for c in value["choices"] if c["finish_reason"]}
        for index, choice in enumerate(assembler.answer().choices):
            if index in seen:
                assert choice == whole.choices[index]
            else:
                assert isinstance(choice, Failure)
                assert choice.code == outcome.INCOMPLETE


BAD_BODIES: list[tuple[str, Any]] = [
    ("empty", b""),
    ("blank", b"  \n"),
    ("html", b"<html>502</html>"),
    ("half", b'{"choices": [{"mess'),
    ("list", b"[]"),
    ("number", b"5"),
    ("NaN", b'{"choices": NaN}'),
    ("deep", b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    ("no choices", {"id": "x"}),
    ("empty choices", {"choices": []}),
    ("choices null", {"choices": None}),
    ("choices of numbers", {"choices": [1]}),
    ("too many choices", {"choices": [{}] * 2000}),
]


@pytest.mark.parametrize(("name", "body"), BAD_BODIES, ids=[name for name, _ in BAD_BODIES])
def test_a_200_that_is_no_completion_is_a_bad_response(name: str, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(TeacherError) as caught:
        parse_completion(raw, 1)
    assert caught.value.failure.code == outcome.BAD_RESPONSE


BAD_CHOICES: list[tuple[str, dict[str, Any], str]] = [
    ("no message", {"finish_reason": "stop"}, outcome.BAD_RESPONSE),
    ("message list", {"message": [], "finish_reason": "stop"}, outcome.BAD_RESPONSE),
    ("no text", {"message": {"content": None}, "finish_reason": "stop"}, outcome.BAD_RESPONSE),
    ("number", {"message": {"content": 5}, "finish_reason": "stop"}, outcome.BAD_RESPONSE),
    ("NUL", {"message": {"content": "a\x00b"}, "finish_reason": "stop"}, outcome.BAD_RESPONSE),
    ("no finish", {"message": {"content": "a"}}, outcome.INCOMPLETE),
    ("finish list", {"message": {"content": "a"}, "finish_reason": []}, outcome.INCOMPLETE),
    ("null finish", {"message": {"content": "a"}, "finish_reason": None}, outcome.INCOMPLETE),
    ("odd finish", {"message": {"content": "a"}, "finish_reason": "error"}, outcome.INCOMPLETE),
    (
        "filtered",
        {"message": {"content": "a"}, "finish_reason": "content_filter"},
        outcome.CONTENT_FILTER,
    ),
]


@pytest.mark.parametrize(
    ("choice", "code"), [c[1:] for c in BAD_CHOICES], ids=[c[0] for c in BAD_CHOICES]
)
def test_a_choice_that_is_no_finished_text_is_a_failure(choice: dict[str, Any], code: str) -> None:
    answer = parse_completion(json.dumps({"choices": [{"index": 0} | choice]}).encode(), 1)
    (got,) = answer.choices
    assert isinstance(got, Failure)
    assert got.code == code


def test_a_lone_surrogate_is_a_bad_response_since_it_cannot_be_stored() -> None:
    body = b'{"choices":[{"message":{"content":"\\ud800"},"finish_reason":"stop"}]}'
    with pytest.raises(TeacherError) as caught:
        parse_completion(body, 1)
    assert caught.value.failure.code == outcome.BAD_RESPONSE


def test_an_empty_answer_is_a_sample_that_said_nothing() -> None:
    body = b'{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}'
    assert only(parse_completion(body, 1)).text == ""


@pytest.mark.parametrize(
    "text",
    ["  leading and trailing \r\n", "𝑥 = 1\r\n", "e\u0301 \u202e", "{0} %s {{x}} ${y}"],
)
def test_the_text_is_kept_exactly(text: str) -> None:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    assert only(parse_completion(json.dumps(body).encode(), 1)).text == text


@pytest.mark.parametrize("usage", [None, 5, {"prompt_tokens": -1, "completion_tokens": "9"}])
def test_token_counts_that_are_no_counts_are_left_out(usage: Any) -> None:
    assert response.parse_usage(usage) == Usage()


def test_text_after_the_finish_reason_is_a_bad_response() -> None:
    assembler = StreamAssembler(1)
    assembler.feed(b'{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}')
    with pytest.raises(TeacherError, match="after"):
        assembler.feed(b'{"choices":[{"index":0,"delta":{"content":"b"}}]}')


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"index":7,"delta":{}}]}',
        b'{"choices":[{"index":"0","delta":{}}]}',
        b'{"choices":[{"index":-1,"delta":{}}]}',
        b'{"choices":[3]}',
        b'{"choices":true}',
        b'{"choices":[{"delta":"x"}]}',
        b'{"choices":[{"delta":{"content":["x"]}}]}',
        b"{not json",
    ],
)
def test_a_chunk_that_makes_no_sense_is_a_bad_response(data: bytes) -> None:
    with pytest.raises(TeacherError) as caught:
        StreamAssembler(1).feed(data)
    assert caught.value.failure.code == outcome.BAD_RESPONSE


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]))), st.data())
def test_events_are_the_same_however_the_network_cuts_them(
    texts: list[str], data: st.DataObject
) -> None:
    payloads = [json.dumps(text).encode() for text in texts]
    wire = b"".join(b": ping\r\n\r\ndata: " + p + b"\r\n\r\n" for p in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    reader, got = EventReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        got += list(reader.feed(wire[start:end]))
    got += list(reader.close())
    assert got == payloads


def test_data_over_several_lines_and_without_a_space_is_joined() -> None:
    reader = EventReader()
    assert list(reader.feed(b"event: x\ndata:a\ndata: b\n\n")) == [b"a\nb"]


@given(st.text(max_size=2000))
def test_a_servers_words_can_always_be_stored(words: str) -> None:
    cleaned = outcome.clean(words)
    assert "\x00" not in cleaned
    assert len(cleaned.encode()) >= 0
    assert len(cleaned) <= outcome.MAX_MESSAGE


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_a_teacher_error(body: bytes) -> None:
    try:
        parse_completion(body, 1)
    except TeacherError as error:
        assert error.failure.code in {outcome.BAD_RESPONSE, outcome.UNAVAILABLE}


FIELD_NAMES = [
    "choices",
    "message",
    "delta",
    "content",
    "finish_reason",
    "index",
    "error",
    "usage",
    "reasoning",
    "prompt_tokens",
    "code",
    "id",
    "model",
]
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELD_NAMES),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSONS)
@settings(max_examples=400, deadline=None)
def test_any_json_is_an_answer_or_a_teacher_error(value: Any) -> None:
    body = json.dumps(value).encode()
    for read in (lambda: parse_completion(body, 2), lambda: StreamAssembler(2).feed(body)):
        try:
            read()
        except TeacherError as error:
            assert error.failure.code in {outcome.BAD_RESPONSE, outcome.UNAVAILABLE}
