"""Finding the final answer: order of rules, ranges, truncation, and time linear in the text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.verifiers.extraction import extract_answer, split_answer

ANSWERS = [
    (r"<think>a \boxed{3}</think> so \boxed{\frac{1}{2}}.", r"\frac{1}{2}", "boxed"),
    (r"first \boxed{1}, no: \boxed{2}", "2", "boxed"),
    (r"\boxed{5}. \boxed{}. \boxed{ }", "5", "boxed"),
    (r"\fbox{7}", "7", "boxed"),
    (r"\fbox{\boxed{7}}", "7", "boxed"),
    (r"\boxed{\{1, \{2\}\}}", r"\{1, \{2\}\}", "boxed"),
    (r"\boxed{\text{a {nested} text}}", r"\text{a {nested} text}", "boxed"),
    (r"a stray { and then \boxed{9}", "9", "boxed"),
    (r"an open \boxed{8 and then \boxed{9}", "9", "boxed"),
    (r"\boxed 5", "5", "boxed"),
    (r"\\boxed{6}", "6", "boxed"),
    (r"$\boxed{1}$ and $\boxed{2}$", "1, 2", "boxed"),
    (r"\boxed{3}. \boxed{4}", "4", "boxed"),
    ("<answer> 12 </answer>", "12", "answer_tag"),
    ("<answer>11</answer> better: <ANSWER>12</ANSWER>", "12", "answer_tag"),
    ("The final answer is 42.", "42", "stated"),
    ("the **final answer is** $x=42$.", "$x=42$", "stated"),
    ("The answer is 3.5 meters. Let me check", "3.5 meters", "stated"),
    ("The answer is 4. No, the answer is 5.", "5", "stated"),
    ("work\n#### 1,234\n", "1,234", "stated"),
    ("**Answer:** 18", "18", "stated"),
    ("A: 18", "18", "stated"),
    ("Final Answer:\n\n$18$", "$18$", "stated"),
    ("最终答案是：12。", "12", "stated"),
    ("Die Antwort lautet 12.", "12", "stated"),
    ("La respuesta es 12.", "12", "stated"),
    ("La réponse est 12.", "12", "stated"),
    ("Ответ: 12", "12", "stated"),
    ("42", "42", "whole"),
    ("<think>\nlong\n</think>\n\n42", "42", "whole"),
    (
        "<|begin_of_thought|>\\boxed{1}<|end_of_thought|>\n<|begin_of_solution|>\n\\boxed{2}",
        "2",
        "boxed",
    ),
]


@pytest.mark.parametrize(("text", "answer", "method"), ANSWERS)
def test_the_final_answer_is_found(text: str, answer: str, method: str) -> None:
    found = extract_answer(text)
    assert (found.answer, found.method, found.reason) == (answer, method, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_answer"),
        ("I tried 204 and 7 and gave up because it is hard.", "no_answer"),
        ("the answer is not 5", "no_answer"),
        (r"\boxed{}", "no_answer"),
        (r"\boxed{never closed", "no_answer"),
        ("<think>still \\boxed{5}", "truncated"),
        ("<|begin_of_thought|>\n\nstill thinking", "truncated"),
        ("<think>a</think> so <think> again", "truncated"),
    ],
)
def test_without_a_final_answer_there_is_a_reason(text: str, reason: str) -> None:
    found = extract_answer(text)
    assert (found.answer, found.reason) == (None, reason)


def test_complete_reasoning_is_searched_when_the_answer_part_states_nothing() -> None:
    text = "<think>so it is \\boxed{9}</think>\n\nI hope this long sentence explains everything."
    assert extract_answer(text).answer == "9"


def test_the_answer_part_wins_over_the_reasoning() -> None:
    text = "<think>so it is \\boxed{9}</think>\n\nThe final answer is 10."
    assert extract_answer(text).answer == "10"


def test_a_response_without_opening_tag_is_split_at_its_closing_tag() -> None:
    parts = split_answer("thoughts\n</think>\n\n5")
    assert (parts.answer_start, parts.has_reasoning, parts.closed) == (17, True, True)


@pytest.mark.parametrize("lead", ["𝑥🎉", "İ" * 9, "a\u0301\r\n"])
def test_ranges_are_code_points_of_the_given_text(lead: str) -> None:
    text = f"{lead}<THINK>{lead}</THINK>{lead} \\boxed{{𝑥+1}}"
    found = extract_answer(text)
    assert text[found.start : found.end] == found.answer == "𝑥+1"


@given(st.text(), st.sampled_from(["", "length", "stop"]))
def test_any_text_gives_an_answer_or_a_reason(text: str, finish_reason: str) -> None:
    found = extract_answer(text, finish_reason=finish_reason)
    assert (found.answer is None) == bool(found.reason)


HOSTILE = {
    "unclosed boxes": "\\boxed{" * 24_000,
    "empty boxes": "\\boxed{}. " * 17_000,
    "repeated boxes": "\\boxed{5}. " * 15_000,
    "joined boxes": "\\boxed{5}, " * 15_000,
    "braces": "{" * 167_000,
    "closing braces": "}" * 167_000,
    "answer tags": "<answer>" * 20_000,
    "markers": "the answer is " * 12_000,
    "markers without text": "A:\n" * 55_000,
    "answer to": "answer to " * 16_000,
    "spaces": " " * 167_000,
    "hashes": "#### " * 33_000,
    "tags": "</think>" * 20_000,
    "backslashes": "\\" * 167_000,
    "antwort": "die antwort " * 14_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_linearly_with_hostile_texts(name: str) -> None:
    """Ten times the text may take about ten times as long, and 167k characters well under 1 s."""
    text = HOSTILE[name]
    times = []
    for part in (text[: len(text) // 10], text):
        started = time.perf_counter()
        extract_answer(part)
        times.append(time.perf_counter() - started)
    assert times[1] < 0.8
    assert times[1] < 40 * times[0] + 0.05
