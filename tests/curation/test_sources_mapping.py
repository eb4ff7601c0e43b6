"""Mapping: detected from columns, shown, given, and applied to rows of many shapes."""

from __future__ import annotations

from typing import Any

import pytest

from curation.sources.conversations import conversation, question_of, split_last
from curation.sources.convert import apply, guess_kind
from curation.sources.detection import detect
from curation.sources.mapping import mapping_from
from curation.sources.records import BadRow, ProblemRecord

LONG = "Let me see. " * 60


def roles(row: dict[str, Any], *more: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for column in detect([row, *more]).columns:
        found.setdefault(column.role, []).append(column.column)
    return found


def read(row: dict[str, Any]) -> ProblemRecord:
    return apply(detect([row]), row)


@pytest.mark.parametrize("name", ["problem", "Question", "prompt", "instruction", "input", "query"])
@pytest.mark.parametrize(
    "answer", ["answer", "gt", "reference", "reference_answer", "ground_truth", "target"]
)
def test_problem_and_reference_are_found_under_their_usual_names(name: str, answer: str) -> None:
    record = read({"id": 7, name: "What is 1+1?", answer: "2"})
    assert (record.text, record.reference_answer) == ("What is 1+1?", "2")
    assert record.metadata == {"id": 7}
    assert record.traces == ()


RESPONSES = {
    "a response": ({"response": "It is 2."}, ["It is 2."]),
    "an output": ({"output": "It is 2."}, ["It is 2."]),
    "generations": ({"generations": ["a", "b"]}, ["a", "b"]),
    "completions": ({"completions": ["a"]}, ["a"]),
    "code as skythought keeps it": ({"code": ["a", "b"]}, ["a", "b"]),
    "messages": (
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        ["a"],
    ),
    "conversations": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        ["a"],
    ),
    "think tags under an ambiguous name": (
        {"answer": "<think>x</think>2", "gt": "2"},
        ["<think>x</think>2"],
    ),
    "thought tags": (
        {"solution": "<|begin_of_thought|>x<|end_of_thought|>2"},
        ["<|begin_of_thought|>x<|end_of_thought|>2"],
    ),
    "separate reasoning": (
        {"reasoning_content": "hm", "response": "2"},
        ["<think>\nhm\n</think>\n\n2"],
    ),
    "reasoning and solution": (
        {"deepseek_reasoning": "hm", "deepseek_solution": "2"},
        ["<think>\nhm\n</think>\n\n2"],
    ),
    "reasoning beside an answer": (
        {"thinking": "hm", "answer": "2", "gt": "2"},
        ["<think>\nhm\n</think>\n\n2"],
    ),
    "trajectories with an attempt": (
        {"thinking_trajectories": ["hm"], "attempt": "2"},
        ["<think>\nhm\n</think>\n\n2"],
    ),
    "reasoning alone": ({"thinking": "hm"}, ["<think>\nhm\n</think>\n\n"]),
    "a long answer beside a reference": ({"answer": LONG, "ground_truth": "2"}, [LONG]),
    "a pair": ({"chosen": "a", "rejected": "b"}, ["a", "b"]),
    "a pair of conversations": (
        {
            "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
            "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}],
        },
        ["a", "b"],
    ),
    "json text of a conversation": (
        {"messages": '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'},
        ["a"],
    ),
}


@pytest.mark.parametrize("shape", RESPONSES)
def test_the_response_is_found_in_its_many_shapes(shape: str) -> None:
    columns, expected = RESPONSES[shape]
    record = read({"question": "q", **columns})
    assert [trace.text for trace in record.traces] == expected
    assert record.text == "q"


def test_a_composed_text_says_so_and_a_given_one_does_not() -> None:
    composed = read({"question": "q", "reasoning": "hm", "response": "2"}).traces[0]
    assert composed.metadata == {"composed": True}
    given = read({"question": "q", "response": "2"}).traces[0]
    assert given.metadata == {}


def test_reasoning_that_the_response_already_holds_is_not_put_before_it_again() -> None:
    text = "<think>\nhm\n</think>\n2"
    assert read({"question": "q", "reasoning": "hm", "response": text}).traces[0].text == text


def test_a_short_answer_beside_a_reference_is_not_a_response() -> None:
    record = read({"question": "q", "gt": "2", "answer": "two"})
    assert record.traces == ()
    assert (record.reference_answer, record.metadata) == ("2", {"answer": "two"})


def test_judgements_of_the_source_are_evidence_of_each_response() -> None:
    row = {
        "question": "q",
        "generations": ["a", None, "c"],
        "correctness_math_verify": [True, False, False],
        "pass_rate_r1": 0.5,
        "finish_reasons": ["stop", None, "length"],
        "model_name": "R1",
    }
    first, third = read(row).traces
    assert (first.sample_no, third.sample_no) == (0, 2)
    assert first.upstream == {"correctness_math_verify": True, "pass_rate_r1": 0.5}
    assert third.upstream == {"correctness_math_verify": False, "pass_rate_r1": 0.5}
    assert (third.finish_reason, third.model) == ("length", "R1")


def test_messages_that_repeat_a_generation_are_not_a_second_trace() -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    row = {"problem": "q", "generations": ["a", "b"], "messages": turns}
    assert roles(row)["ignore"] == ["messages"]
    assert [trace.text for trace in read(row).traces] == ["a", "b"]


def test_an_instruction_with_its_input_is_one_problem() -> None:
    row = {"instruction": "Add.", "input": "1 and 1", "output": "2"}
    assert read(row).text == "Add.\n\n1 and 1"
    assert read(row).metadata == {"composed": True}
    assert read(row | {"input": ""}).text == "Add."


def test_columns_one_level_down_are_found_after_those_above() -> None:
    row = {
        "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
        "reward_model": {"ground_truth": "4", "style": "rule"},
        "extra_info": {"index": 3},
    }
    record = read(row)
    assert (record.text, record.reference_answer) == ("q", "4")
    assert record.metadata == {"extra_info": {"index": 3}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(27.0, "27.0"), (5, "5"), (True, "true"), (["7"], "7"), ("  ", None), (None, None)],
)
def test_a_reference_is_text_as_it_was_written(value: Any, expected: str | None) -> None:
    row = {"question": "q", "gt": value}
    given = mapping_from({"problem": "question", "reference_answer": "gt"})
    assert apply(given, row).reference_answer == expected


def test_the_kind_follows_from_what_there_is_to_compare_with() -> None:
    assert guess_kind("1+1?", "2") == "math"
    assert guess_kind("Which?\n(A) one\n(B) two", "(B)") == "choice"
    assert guess_kind("Name a letter", "B") == "math"
    assert guess_kind("Which?", "B", ["one", "two"]) == "choice"
    assert guess_kind("Write f", None, None, {"code": "assert f()"}) == "code"


def test_a_mapping_says_why_and_survives_json() -> None:
    found = detect([{"question": "q", "gt": "2", "code": ["<think>a</think>"], "score": [True]}])
    assert mapping_from(found.as_json()) == found
    assert all(column["why"] for column in found.as_json()["columns"])


def test_a_given_mapping_is_followed_to_the_letter() -> None:
    mapping = mapping_from(
        {
            "problem": ["title", "body"],
            "reference_answer": "meta.key",
            "response": "text",
            "upstream": "stars",
            "constants": {"kind": "exact", "model": "m", "language": "de"},
        }
    )
    row = {"title": "T", "body": "B", "meta": {"key": 3}, "text": "x", "stars": 4, "question": "n"}
    record = apply(mapping, row)
    assert (record.text, record.kind, record.reference_answer) == ("T\n\nB", "exact", "3")
    assert (record.traces[0].model, record.traces[0].upstream) == ("m", {"stars": 4})
    assert record.metadata == {"question": "n", "language": "de", "composed": True}


@pytest.mark.parametrize(
    "given",
    [
        {},
        [],
        {"problem": 3},
        {"response": "text"},
        {"problem": "q", "answers": "a"},
        {"problem": "q", "constants": {"colour": "red"}},
        {"problem": "q", "constants": {"kind": 3}},
        {"columns": [{"role": "problem"}]},
    ],
)
def test_a_wrong_mapping_is_refused_with_a_sentence(given: Any) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        mapping_from(given)


class TestConversations:
    def test_roles_and_fields_of_both_schools_become_one(self) -> None:
        turns = [
            {"from": "system", "value": "s"},
            {"from": "human", "value": "q"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]},
            {"role": "tool", "content": "42", "tool_call_id": "1"},
            {"from": "gpt", "value": "a", "weight": 0},
        ]
        found = conversation(turns)
        assert [turn["role"] for turn in found] == [
            "system",
            "user",
            "assistant",
            "tool",
            "assistant",
        ]
        assert found[2] == {"role": "assistant", "content": "", "tool_calls": [{"id": 1}]}
        before, last = split_last(found)
        assert len(before) == 4
        assert last == {"role": "assistant", "content": "a"}

    def test_parts_of_text_are_joined_and_pictures_refused(self) -> None:
        part = {"type": "text", "text": "a"}
        assert conversation([{"role": "user", "content": [part, part]}])[0]["content"] == "aa"
        with pytest.raises(BadRow, match="not_text"):
            conversation([{"role": "user", "content": [{"type": "image_url"}]}])

    def test_an_unknown_speaker_is_refused(self) -> None:
        with pytest.raises(BadRow, match="unknown_role"):
            conversation([{"role": "narrator", "content": "x"}])

    def test_the_problem_of_one_question_is_that_question(self) -> None:
        turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
        assert question_of(turns) == ("q", False)

    def test_the_problem_of_several_turns_is_all_of_them(self) -> None:
        turns = conversation(
            [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "hello"},
                {"role": "user", "content": "1+1?"},
            ]
        )
        assert question_of(turns) == ("User: hi\n\nAssistant: hello\n\nUser: 1+1?", True)

    def test_earlier_turns_and_the_system_prompt_stand_with_the_trace(self) -> None:
        row = {
            "system": "Think.",
            "conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}],
        }
        assert read(row).traces[0].messages == [
            {"role": "system", "content": "Think."},
            {"role": "user", "content": "q"},
        ]

    def test_reasoning_content_of_the_last_turn_is_composed(self) -> None:
        turns = [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "2", "reasoning_content": "hm"},
        ]
        trace = read({"messages": turns}).traces[0]
        assert trace.text == "<think>\nhm\n</think>\n\n2"
        assert trace.metadata == {"composed": True}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "", "answer": "2"}, "no_problem"),
        ({"question": "  \n", "answer": "2"}, "no_problem"),
        ({"question": None, "answer": "2"}, "no_problem"),
        ({"question": 5, "answer": "2"}, "wrong_type"),
        ({"question": "q", "response": 5}, "wrong_type"),
        ({"question": "q", "response": [1]}, "wrong_type"),
    ],
)
def test_a_row_that_does_not_fit_its_mapping_is_refused(row: dict[str, Any], reason: str) -> None:
    mapping = mapping_from({"problem": "question", "response": "response"})
    with pytest.raises(BadRow) as caught:
        apply(mapping, row)
    assert caught.value.reason == reason
