"""MinD's (unit, answer) form, decisions about turns, and truncations: made texts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from curation.segmentation import analyse, split_reasoning
from curation.segmentation.chunks import (
    DROP,
    KEEP_LONG,
    MAKE_SHORT,
    Thresholds,
    check_continued,
    check_truncated,
    continued,
    decide,
    truncate,
    truncation_point,
)
from curation.segmentation.multiturn import (
    FIRST_CORRECT,
    MultiTurn,
    NotDerived,
    TurnForm,
    check_turns,
    multi_turn,
    read_turns,
)
from curation.segmentation.prefixes import ChunkValue, chunk_points
from curation.segmentation.turns import find_turns

BODY = (
    "I need to find the area of the field 𝑥.\n\nWidth times length: 12 · 30 = 350.\n\n"
    "So the answer is 350.\n\nWait, let me check: 12 · 30 is not 350.\n\n"
    "Alternatively, I could split it: 10 · 30 = 300 and 2 · 30 = 60.\n\nSo the answer is 360.\n\n"
    "Let me verify this once more: 10 · 30 = 300 and 2 · 30 = 60.\n\n"
    "Therefore, the answer is 360.\n\nThat is a round number.\n"
)
TEXT = f"<think>\n{BODY}</think>\n\nThe answer is \\boxed{{360}}."
SKY = (
    f"<|begin_of_thought|>\n\n{BODY}<|end_of_thought|>\n\n"
    "<|begin_of_solution|>\n\nThe answer is \\boxed{360}.\n\n<|end_of_solution|>"
)
HEADLESS = TEXT.removeprefix("<think>\n")


def made_of(text: str, form: TurnForm | None = None) -> MultiTurn:
    return multi_turn(analyse(text, "360"), form)


@pytest.mark.parametrize("text", [TEXT, SKY, HEADLESS], ids=["think", "sky", "headless"])
def test_units_are_the_reasoning_word_for_word_and_each_has_its_answer(text: str) -> None:
    made = made_of(text)
    pairs = read_turns(made.derived.text, made.tags)
    assert "".join("".join(unit.split()) for unit, _ in pairs) == "".join(BODY.split())
    assert [answer for _, answer in pairs] == [
        "The answer is \\boxed{350}.", "The answer is \\boxed{360}.", "The answer is \\boxed{360}.",
    ]  # fmt: skip
    assert check_turns(text, made, "360") == []
    split = split_reasoning(made.derived.text)
    assert (split.closed, split.style) == (True, split_reasoning(text).style)
    assert made.derived.text[split.answer_start : split.answer_end].strip().endswith("{360}.")


def test_a_multi_turn_text_is_its_kept_ranges_with_its_insertions() -> None:
    for text in (TEXT, SKY, HEADLESS):
        made = made_of(text, TurnForm(upto=FIRST_CORRECT))
        rest = list(made.derived.text)
        for place, put in reversed(made.derived.insertions):
            assert "".join(rest[place : place + len(put)]) == put
            del rest[place : place + len(put)]
        assert "".join(rest) == "".join(text[start:end] for start, end in made.derived.kept)


def test_turns_behind_the_first_correct_one_are_cut_with_their_reason() -> None:
    made = made_of(TEXT, TurnForm(upto=FIRST_CORRECT))
    assert len(made.turns) == 2
    assert [cut.reason for cut in made.cuts] == ["1 turns behind the first correct one"]
    assert "once more" not in made.derived.text
    assert check_turns(TEXT, made, "360") == []


def test_a_turn_whose_answer_is_no_value_begins_the_next_unit() -> None:
    text = TEXT.replace("12 · 30 = 350.\n\nSo the answer is 350.", "So the answer is a number.")
    assert len(find_turns(analyse(text, "360"))) > len(made_of(text).turns) == 2
    assert check_turns(text, made_of(text), "360") == []


def test_what_a_model_answers_at_the_end_of_a_turn_takes_the_place_of_its_own_answer() -> None:
    analysis = analyse(TEXT, "360")
    made = multi_turn(analysis, None, {find_turns(analysis)[0].end: "$359"})
    assert made.answers[0] == "$359"
    assert "\\boxed{\\$359}" in made.derived.text
    assert check_turns(TEXT, made, "360") == []


def test_the_sentence_of_an_answer_is_a_parameter_and_never_a_format() -> None:
    made = made_of(TEXT, TurnForm(answer="\\boxed{{answer}} {0} %s"))
    assert "\\boxed{350} {0} %s" in made.derived.text
    for bad in ("no slot", "{answer}{answer}", "x" * 300 + "{answer}"):
        with pytest.raises(ValueError, match="answer"):
            TurnForm(answer=bad)
    with pytest.raises(ValueError, match="upto"):
        TurnForm(upto="some")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (TEXT.replace("\\boxed{360}", "\\boxed{361}"), "not_right"),
        (TEXT.partition("</think>")[0], "not_right"),
        (BODY + "\n\n\\boxed{360}", "no_tags"),
        ("<think>\n12 · 30 = 360.\n\nSo the answer is 360.\n</think>\n\n\\boxed{360}", "one_turn"),
        (TEXT.replace("Wait,", "</think>\n\nNo.\n\n<think>\nWait,"), "several_blocks"),
    ],
)
def test_traces_without_this_form_are_refused_with_their_reason(text: str, code: str) -> None:
    with pytest.raises(NotDerived) as raised:
        made_of(text)
    assert raised.value.code == code


def test_the_check_finds_lost_units_lost_answers_and_wrong_order() -> None:
    made = made_of(TEXT)

    def codes(text: str) -> set[str]:
        changed = replace(made, derived=replace(made.derived, text=text))
        return {problem.code for problem in check_turns(TEXT, changed, "360")}

    whole = made.derived.text
    assert "lost_text" in codes(whole.replace("10 · 30 = 300 and", "", 1))
    assert "no_turn_answer" in codes(whole.replace("\\boxed{350}", "\\boxed{351}"))
    assert "no_turn_answer" in codes(whole.replace("The answer is \\boxed{350}.", ""))
    assert "no_turn_answer" in codes(whole[: whole.rindex("{360}")] + "{359}.")
    pairs = whole.split("<think>")
    assert "lost_text" in codes("<think>".join([pairs[0], pairs[2], pairs[1], pairs[3]]))


def chunk(before: float, after: float, tokens: int = 100) -> ChunkValue:
    value = after - before
    return ChunkValue(0, 9, tokens, before, after, value, 100 * value / tokens)


def test_turns_stay_long_are_shortened_or_dropped_by_their_value() -> None:
    values = [chunk(0, 0.5), chunk(0.5, 0.5), chunk(0.2, 0.2), chunk(0.9, 0.6), chunk(0, 0.2, 900)]
    limits = Thresholds(efficiency=0.05)
    assert [d.action for d in decide(values, limits)] == [
        KEEP_LONG, DROP, MAKE_SHORT, DROP, MAKE_SHORT,
    ]  # fmt: skip
    assert decide(values)[4].action == KEEP_LONG
    assert decide(values)[1].reason == "50% are right without it"
    assert decide(values[1:2], Thresholds(enough=0.6))[0].action == MAKE_SHORT
    for bad in ({"gain": 0}, {"enough": 2}, {"efficiency": -1}):
        with pytest.raises(ValueError, match="lie above 0"):
            Thresholds(**bad)


def test_the_shortest_point_with_enough_right_continuations_is_taken() -> None:
    analysis = analyse(TEXT, "360")
    start, first, second, *_, last = chunk_points(analysis)
    rates = {start: (4, 4), first: (1, 4), second: (3, 4), last: (4, 4)}
    assert truncation_point(analysis, rates) == second
    assert truncation_point(analysis, rates, enough=0.25) == first
    for given, code in (({start: (4, 4)}, "not_probed"), ({first: (1, 4)}, "not_enough")):
        with pytest.raises(NotDerived, match=code):
            truncation_point(analysis, given)
    with pytest.raises(NotDerived, match="not_probed"):
        truncation_point(analysis, rates, least=5)


def test_a_truncated_trace_goes_on_with_its_answer_or_with_the_models_words() -> None:
    analysis = analyse(TEXT, "360")
    at = chunk_points(analysis)[1]
    derived, cut = truncate(analysis, at)
    assert derived.text == TEXT[:at] + TEXT[TEXT.index("</think>") :]
    assert TEXT[cut.end :].startswith("</think>")
    assert check_truncated(TEXT, derived, "360") == []
    right = "No: 12 · 30 = 360. So the answer is 360.\n</think>\n\n\\boxed{360}"
    assert check_continued(TEXT, continued(analysis, at, right), "360") == []
    for bad, code in (("So 3", "tags"), (right.replace("360", "36"), "no_answer")):
        problems = check_continued(TEXT, continued(analysis, at, bad), "360")
        assert code in {problem.code for problem in problems}
    nothing, _ = truncate(analysis, chunk_points(analysis)[0])
    assert {p.code for p in check_truncated(TEXT, nothing, "360")} == {"no_reasoning"}
