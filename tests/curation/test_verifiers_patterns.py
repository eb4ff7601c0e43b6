"""Regular expressions, JSON schemas and the form of a completion."""

from __future__ import annotations

import time
from typing import Any

import pytest

from curation.verifiers import verify
from curation.verifiers.format import most_repeated, script_counts

THOUGHT = "<think>\nFirst this, then that.\n</think>\n"


@pytest.mark.parametrize(
    ("response", "pattern", "options", "verdict", "reason"),
    [
        ("<answer>AB12</answer>", r"[A-Z]+\d+", {}, "correct", ""),
        ("<answer>AB12!</answer>", r"[A-Z]+\d+", {}, "incorrect", ""),
        ("<answer>AB12!</answer>", r"[A-Z]+\d+", {"mode": "search"}, "correct", ""),
        ("<answer>ab</answer>", r"[A-Z]+", {"flags": "i"}, "correct", ""),
        (THOUGHT + "line\nend", r"line\nend", {"subject": "response"}, "correct", ""),
        (THOUGHT + "", r".*", {"subject": "response"}, "incorrect", "no_answer"),
        ("<think>AB12", r"[A-Z]+\d+", {}, "incorrect", "truncated"),
        ("no answer in so many words here", r"x", {}, "incorrect", "no_answer"),
        ("<answer>1</answer>", "(", {}, "unverifiable", "bad_reference"),
        ("<answer>1</answer>", "x" * 30_000, {}, "unverifiable", "bad_reference"),
        ("<answer>1</answer>", None, {}, "unverifiable", "no_reference"),
    ],
)
def test_an_answer_must_match_the_pattern(
    response: str, pattern: str | None, options: dict[str, Any], verdict: str, reason: str
) -> None:
    found = verify("regex", response, pattern, **options)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_a_pattern_that_backtracks_for_ever_is_our_timeout() -> None:
    started = time.monotonic()
    found = verify("regex", f"<answer>{'a' * 400}</answer>", r"(a|aa)+$b")
    assert (found.verdict, found.reason) == ("error", "timeout")
    assert time.monotonic() - started < 10


SCHEMA = (
    '{"type": "object", "required": ["n"], "additionalProperties": false, '
    '"properties": {"n": {"type": "integer", "minimum": 1}, "s": {"pattern": "^a+$"}}}'
)


@pytest.mark.parametrize(
    ("response", "verdict", "reason"),
    [
        ('{"n": 3}', "correct", ""),
        (THOUGHT + 'Here:\n```json\n{"n": 3}\n```\nDone.', "correct", ""),
        ('```json\n{"n": 0}\n```\nno:\n```json\n{"n": 1}\n```', "correct", ""),
        ('so <answer>{"n": 3}</answer>', "correct", ""),
        ('{"n": "3"}', "incorrect", ""),
        ('{"n": 3, "x": 1}', "incorrect", ""),
        ('{"n": 3, "s": "b"}', "incorrect", ""),
        ('{"n": 3', "incorrect", "unparsed_answer"),
        ('{"n": NaN}', "incorrect", "unparsed_answer"),
        ("[" * 50_000, "incorrect", "unparsed_answer"),
        ('<think>{"n": 3}', "incorrect", "truncated"),
    ],
)
def test_a_response_must_hold_json_that_the_schema_allows(
    response: str, verdict: str, reason: str
) -> None:
    found = verify("json_schema", response, SCHEMA)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_what_breaks_a_schema_is_named_with_its_place() -> None:
    found = verify("json_schema", '{"n": {"deep": 1}}', SCHEMA)
    assert found.detail["problems"][0]["at"] == "n"


@pytest.mark.parametrize(
    "schema",
    ["{", "[]", '"text"', '{"type": "nonsense"}', '{"$ref": "http://127.0.0.1:9/x.json"}',
     '{"$ref": "file:///etc/passwd"}', '{"pattern": "("}'],
)  # fmt: skip
def test_a_bad_schema_is_unverifiable_and_nothing_is_fetched(schema: str) -> None:
    found = verify("json_schema", '{"n": 3}', schema)
    assert (found.verdict, found.reason) == ("unverifiable", "bad_reference")


def test_a_schemas_own_pattern_may_not_hang() -> None:
    started = time.monotonic()
    schema = '{"type": "string", "pattern": "^(?=a)(a|aa)+$(?!b)c"}'
    assert verify("json_schema", '"' + "a" * 5_000 + '"', schema).verdict != "correct"
    assert time.monotonic() - started < 10


WELL = THOUGHT + "The answer is 4."
SENTENCE = "Now let me check this step once more and then go on with the rest of it. "


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        (WELL, {}, ""),
        ("The answer is 4.", {}, ""),
        ("The answer is 4.", {"require_reasoning": True}, "no_reasoning"),
        (WELL, {"finish_reason": "length"}, "truncated"),
        (WELL, {"style": "begin_of_thought"}, "other_style"),
        (WELL, {"style": "think"}, ""),
        ("<think>\nnever closed", {}, "reasoning_not_closed"),
        ("<think>\n\n</think>\nfour", {}, "empty_reasoning"),
        (THOUGHT, {}, "no_answer"),
        (THOUGHT + "<answer>4", {}, "answer_not_closed"),
        (THOUGHT + "答案是四，因为二加二等于四，这是显然的。so it is four",
         {}, "language_mix"),
        (THOUGHT + "so α + β = γ with 𝑥 and 𝑦, for every ε > 0 there is a δ", {}, ""),
        ("Решение: сначала сложим два числа, потом проверим ответ. Ответ: четыре.", {}, ""),
        (THOUGHT.replace("First", SENTENCE * 40) + "so 4", {}, "ngram_repetition"),
        (THOUGHT + "word " * 10, {"ngram": 2, "max_ngram_times": 3}, "ngram_repetition"),
        ("<think>\n" + "".join(f"Step {i}: try {i * i}.\n" for i in range(9))
         + "Wait, that is not right at all.\n\n" * 15 + "</think>\nok 4", {}, "loop"),
        ("lone \ud800 surrogate", {}, "bad_characters"),
    ],
)  # fmt: skip
def test_the_first_check_that_fails_is_the_reason(
    text: str, options: dict[str, Any], reason: str
) -> None:
    found = verify("format", text, None, **options)
    assert found.reason == reason, found.detail
    assert found.verdict == ("incorrect" if reason else "correct")
    assert found.score is not None
    assert (found.score == 1.0) == (not reason)


def test_senseless_options_count_as_not_given() -> None:
    for bad in ("many", -1, None, float("nan"), [], 10**400, True):
        found = verify("format", WELL, None, ngram=bad, max_ngram_times=bad, max_foreign_share=bad)
        assert found.verdict == "correct", bad


@pytest.mark.parametrize(
    ("text", "size", "times"),
    [("a b c a b d a b", 2, 3), ("a b", 3, 0), ("", 2, 0), ("x", 1, 1), ("好好好好", 2, 3)],
)
def test_repetition_counts_the_commonest_string_of_tokens(text: str, size: int, times: int) -> None:
    assert most_repeated(text, size) == times


def test_scripts_are_counted_by_letter_and_kana_are_japanese_with_kanji() -> None:
    assert script_counts("abc 漢字かな αβ 𝑥 1,2") == {"CJK": 4, "LATIN": 3}
