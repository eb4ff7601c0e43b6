"""Where reasoning and answer are, in every style of tags, whole and broken."""

from __future__ import annotations

import pytest

from curation.segmentation import ReasoningSplit, segment, split_reasoning


def parts(text: str) -> tuple[str, str, str, bool]:
    split = split_reasoning(text)
    reasoning = text[split.reasoning_start : split.reasoning_end]
    return reasoning, text[split.answer_start : split.answer_end], split.style, split.closed


@pytest.mark.parametrize(
    ("text", "reasoning", "answer", "style"),
    [
        ("<think>a</think>b", "a", "b", "think"),
        ("<THINK>a</Think>b", "a", "b", "think"),
        ("<thinking>a</thinking>b", "a", "b", "think"),
        ("<reasoning>a</reasoning>b", "a", "b", "think"),
        ("a</think>b", "a", "b", "think"),
        ("Sure. <think>a</think>b", "a", "b", "think"),
        ("<think>a</think>x\n<answer>b</answer>", "a", "b", "think"),
        (
            "<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>b<|end_of_solution|>",
            "a",
            "b",
            "begin_of_thought",
        ),
        ("<|begin_of_thought|>a<|end_of_thought|>b", "a", "b", "begin_of_thought"),
        ("<|begin_of_thought|>a<|begin_of_solution|>b", "a", "b", "begin_of_thought"),
        ("<|channel>thought\na<channel|>b", "\na", "b", "channel"),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            "a",
            "b",
            "harmony",
        ),
        ("a<answer>b</answer>", "a", "b", "answer"),
        ("a <answer>x</answer> or <answer>b</answer>", "a <answer>x</answer> or ", "b", "answer"),
        ("only an answer", "", "only an answer", "none"),
        ("", "", "", "none"),
        ("talk of `<think>` and `</think>`", "", "talk of `<think>` and `</think>`", "none"),
        ("𝑥<think>𝑥é</think>🎉", "𝑥é", "🎉", "think"),
    ],
)
def test_reasoning_and_answer_are_found(text: str, reasoning: str, answer: str, style: str) -> None:
    assert parts(text) == (reasoning, answer, style, True)


@pytest.mark.parametrize(
    "text",
    [
        "<think>never closed",
        "<|begin_of_thought|>never closed",
        "<|channel>thought never closed",
        "<|channel|>analysis<|message|>never closed",
        "<think>a</think>b\n<think>again, never closed",
    ],
)
def test_an_unclosed_reasoning_runs_to_the_end_and_has_no_answer(text: str) -> None:
    split = split_reasoning(text)
    assert not split.closed
    assert split.reasoning_end == split.answer_start == split.answer_end == len(text)


def test_nested_tags_that_balance_end_at_the_outer_one() -> None:
    assert parts("<think>a<think>b</think>c</think>d")[:2] == ("a<think>b</think>c", "d")


def test_nested_tags_that_do_not_balance_end_at_the_last_closing_one() -> None:
    assert parts("<think>use <think> here</think>d")[:2] == ("use <think> here", "d")


def test_several_blocks_are_one_reasoning() -> None:
    reasoning, answer, _, closed = parts("<think>a</think>\nx\n<think>b</think>c")
    assert (reasoning, answer, closed) == ("a</think>\nx\n<think>b", "c", True)


def test_a_tag_in_a_code_fence_of_the_answer_reopens_nothing() -> None:
    text = "<think>a</think>Write:\n```\n<think>\n```\nDone."
    assert parts(text)[1].startswith("Write:")
    assert split_reasoning(text).closed


def test_a_stray_closing_tag_in_the_answer_changes_nothing() -> None:
    assert parts("<think>a</think>the tag </think> ends it")[1] == "the tag </think> ends it"


def test_an_answer_that_is_cut_off_is_marked() -> None:
    text = "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>half"
    split = split_reasoning(text)
    assert split.closed
    assert not split.answer_closed


def test_positions_are_code_points() -> None:
    text = "<think>🎉🎉</think>a"
    assert split_reasoning(text) == ReasoningSplit(7, 9, 17, 18, "think", True, True)


def test_each_tag_is_a_leaf_of_its_own() -> None:
    text = "<think>\nfirst\n</think>\n\nlast"
    tags = [text[leaf.start : leaf.end] for leaf in segment(text) if leaf.kind == "tag"]
    assert tags == ["<think>\n", "</think>\n\n"]
