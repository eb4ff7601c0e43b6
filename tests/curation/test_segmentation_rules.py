"""Kinds, answers, attempts, repeats, loops and proposals, each rule by itself."""

from __future__ import annotations

import pytest

from curation.segmentation import (
    Cut,
    analyse,
    apply_cuts,
    propose_cuts,
    segment,
)
from curation.segmentation.kinds import KINDS, SEAL_OF, classify, load_phrases
from curation.segmentation.seal import CORRECTED, VERBATIM, load_lists, seal_type
from curation.segmentation.values import plain_equal


def test_seal_test_vectors_with_the_verbatim_lists() -> None:
    assert seal_type("Wait, let me check") == "reflection"
    assert seal_type("Alternatively, verify it by hand") == "reflection"
    assert seal_type("Alternatively, use symmetry") == "transition"
    assert seal_type("I should think differently") == "execution"
    assert seal_type("I should think differenly") == "transition"
    assert seal_type("2 + 2 = 4") == "execution"


def test_the_corrected_list_repairs_the_spelling() -> None:
    assert seal_type("I should think differently", CORRECTED) == "transition"


def test_both_sides_are_compared_in_lower_case() -> None:
    assert seal_type("LET ME CHECK this") == "reflection"
    assert seal_type("WAIT a moment") == "reflection"


def test_the_verbatim_list_keeps_the_published_entries() -> None:
    lists = load_lists(VERBATIM)
    assert lists.words["transition"][0] == "think differenly"
    assert (len(lists.words["reflection"]), len(lists.words["transition"])) == (8, 7)


def test_an_unknown_list_version_is_an_error() -> None:
    with pytest.raises(KeyError):
        load_lists("../kinds-1")
    with pytest.raises(KeyError):
        load_phrases("kinds-0")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Okay, so I have this problem about two trains.", "problem_setup"),
        ("First, I need to look at the units digit.", "plan"),
        ("I remember that the angles of a triangle sum to a straight line.", "fact"),
        ("12 × 13 = 156", "computation"),
        ("\\[ \\frac{a}{b} \\]", "computation"),
        ("Hmm, that is strange.", "uncertainty"),
        ("Wait, is that so?", "uncertainty"),
        ("Let me double-check the sum.", "self_checking"),
        ("That matches the value from before.", "self_checking"),
        ("Alternatively, use vectors.", "transition"),
        ("Maybe there's a better way.", "transition"),
        ("I made a mistake in the second line.", "backtrack"),
        ("Therefore, the line is a tangent.", "consolidation"),
        ("**Final Answer**", "final_answer"),
    ],
)
def test_phrases_decide_the_kind(text: str, kind: str) -> None:
    assert classify(text) == kind
    assert kind in KINDS


def test_the_first_leaf_that_asks_restates_the_problem() -> None:
    assert classify("Determine all primes below ten.", first=True) == "problem_setup"
    assert classify("Determine all primes below ten.") != "problem_setup"


def test_every_kind_but_the_tag_has_a_seal_type() -> None:
    assert set(SEAL_OF) == set(KINDS) - {"tag"}


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("27", "27.0", True),
        ("1,000", "1000", True),
        ("\\frac{1}{2}", "0.5", True),
        ("\\dfrac{2}{4}", "1/2", True),
        ("27 \\text{ miles}", "27", True),
        ("45^\\circ", "45", True),
        ("\\boxed{7}", "7", True),
        ("-\\frac{1}{3}", "1/3", False),
        ("28", "27", False),
        ("x + 1", "1 + x", None),
        ("1/0", "1", None),
    ],
)
def test_plain_values_are_compared_exactly(left: str, right: str, equal: bool | None) -> None:
    assert plain_equal(left, right) is equal


def mentions(text: str, reference: str | None = None) -> list[tuple[str, str, bool | None]]:
    found = analyse(text, reference, plain_equal).answers
    return [(mention.value, mention.strength, mention.matches) for mention in found]


@pytest.mark.parametrize(
    ("text", "value", "strength"),
    [
        ("Hence \\boxed{\\frac{1}{2}} it is.", "\\frac{1}{2}", "boxed"),
        ("The answer is 12 apples.", "12", "stated"),
        ("The final answer: **12**", "12", "stated"),
        ("The answer is \\(x = 12\\).", "12", "stated"),
        ("#### 12", "12", "stated"),
        ("The answer is (C).", "C", "stated"),
        ("I think 27 miles is the correct answer.", "27", "stated"),
        ("So, they meet 27 miles from the city.", "27", "concluded"),
        ("Therefore, \\(m + n = 25 + 8 = 33\\).", "33", "concluded"),
        ("It has 3 digits and 15 zeros, so it has 18 digits.", "18", "concluded"),
        ("Perhaps the answer is 12.", "12", "hedged"),
        ("If the answer is 12, then it is even.", "12", "hedged"),
        ("So could it be 12?", "12", "hedged"),
        ("The answer isn't 12.", "12", "hedged"),
        ("答案是12。", "12", "stated"),
    ],
)
def test_answers_are_read_with_their_strength(text: str, value: str, strength: str) -> None:
    assert mentions(text) == [(value, strength, None)]


@pytest.mark.parametrize(
    "text", ["We know x = 5.", "3 + 4 = 7", "An answer would help.", "\\boxed{"]
)
def test_plain_steps_state_no_answer(text: str) -> None:
    assert mentions(text) == []


def test_an_exponent_is_not_a_value() -> None:
    assert mentions("So it is 7 and neither x^2 nor y_3.") == [("7", "concluded", None)]


@pytest.mark.parametrize(
    "question",
    ["I need to find m + n.", "What is \\(m+n\\)?", "I have to figure out what m + n is."],
)
def test_the_formula_that_is_asked_for_is_answered_by_its_value(question: str) -> None:
    text = f"<think>\n{question}\n\nHere m = 3.\n\nIn lowest terms, m + n = 3 + 4 = 7.\n\nGood."
    first = analyse(text, "7").first_correct
    assert first is not None
    assert (first.leaf, first.strength, first.value) == (3, "asked", "7")


def test_a_bound_is_not_an_answer() -> None:
    assert mentions("So it is less than 50.") == [("50", "hedged", None)]


def test_an_expression_that_is_not_worked_out_is_not_yet_the_answer() -> None:
    text = "So p = \\(\\frac{430}{0.86}\\).\n\nSo p = 500.\n\nThe answer is 500."
    first = analyse(text, "500").first_correct
    assert first is not None
    assert first.leaf == 1


def test_the_comparison_can_be_injected_and_is_asked_once_per_value() -> None:
    asked: list[tuple[str, str]] = []

    def equal(value: str, reference: str) -> bool | None:
        asked.append((value, reference))
        return None

    text = "The answer is 5.\n\nThe answer is 5.\n\nThe answer is 6."
    found = analyse(text, "five", equal)
    assert [pair for pair in asked if pair[1] == "five"] == [("5", "five"), ("6", "five")]
    assert [mention.matches for mention in found.answers] == [None, None, None]
    assert found.first_correct is None


def test_a_new_approach_starts_a_new_solution_and_a_new_check() -> None:
    text = (
        "<think>\nI need to find 2 · 21.\n\n2 · 20 = 40.\n\nAlternatively, add twice.\n\n"
        "21 + 21 = 42.\n\nSo the answer is 42.\n\nLet me check: 42 / 2 = 21.\n\n"
        "Alternatively, 42 - 21 = 21.\n</think>\n\n\\boxed{42}"
    )
    paths = list(dict.fromkeys(leaf.path for leaf in segment(text, "42")))
    assert paths == [
        ("Question_Repeat",),
        ("Solution_Explore", "Solution 1"),
        ("Solution_Explore", "Solution 2"),
        ("Verify", "Check 1"),
        ("Verify", "Check 2"),
        ("Conclusion",),
    ]


def test_two_changes_of_approach_in_a_row_are_one() -> None:
    text = "1 + 1 = 2\n\nAlternatively, this.\n\nAlternatively, that.\n\n3 + 3 = 6"
    assert {leaf.path[-1] for leaf in segment(text)} == {"Solution 1", "Solution 2"}


LINE = "Let me consider the sum once more, from the beginning."


def test_a_repeated_leaf_points_to_the_first_one() -> None:
    text = f"<think>\n{LINE}\n\nSomething new is said.\n\n{LINE.upper()}\n</think>\n\nDone."
    assert analyse(text).repeats == {3: 1}


def test_short_leaves_are_no_repeats() -> None:
    assert analyse("So.\n\nOther words.\n\nSo.\n\n").repeats == {}


def test_a_loop_starts_behind_its_first_cycle() -> None:
    cycle = f"{LINE}\n\nBut that does not lead anywhere at all.\n\n"
    head = "<think>\nI need to find it.\n\n"
    text = head + cycle * 6 + LINE[:20]
    loop = analyse(text).loop
    assert loop is not None
    assert loop.start == len(head + cycle)
    assert (loop.period, loop.end) == (2, len(text))
    assert loop.times >= 5


def test_a_loop_that_is_not_periodic_is_found_by_its_lack_of_news() -> None:
    lines = [f"Perhaps the {name} case should be looked at again.\n\n" for name in "abcd"]
    order = [0, 1, 2, 3, 1, 0, 3, 2, 2, 0, 1, 3, 3, 1, 0, 2, 1, 3, 0, 1]
    text = "<think>\nI need to find it.\n\n" + "".join(lines[index] for index in order)
    loop = analyse(text).loop
    assert loop is not None
    assert text[loop.start :].startswith(lines[1])
    assert loop.first_leaf == 6


def test_a_loop_inside_one_run_of_characters_is_found() -> None:
    text = "<think>\nThe digits are 0." + "142857" * 300
    loop = analyse(text).loop
    assert loop is not None
    assert loop.period == 0
    assert loop.start <= text.index("142857") + 12
    assert loop.times >= 290


@pytest.mark.parametrize(
    "text",
    [
        "\n\n".join(f"Line {n} says that {n} is the next number to try." for n in range(60)),
        f"{LINE}\n\n{LINE}\n\nThen it ends well.",
        "So 5.\n\n" * 3,
    ],
)
def test_lists_of_cases_and_a_few_repeats_are_no_loops(text: str) -> None:
    assert analyse(text).loop is None


def test_the_loop_policy_keeps_one_cycle_and_cuts_the_rest() -> None:
    cycle = f"{LINE}\n\nBut that does not lead anywhere at all.\n\n"
    text = "<think>\nI need to find it.\n\n" + cycle * 6 + "</think>\n\nI do not know."
    cuts = propose_cuts(text, segment(text), policy="loops")
    assert apply_cuts(text, cuts).text == (
        "<think>\nI need to find it.\n\n" + cycle + "</think>\n\nI do not know."
    )
    assert "6 times" in cuts[0].reason


def test_the_repeats_policy_cuts_later_copies_only() -> None:
    text = f"<think>\n{LINE}\n\nSomething new is said.\n\n{LINE}\n\nThe end.\n</think>\n\nDone."
    cuts = propose_cuts(text, segment(text), policy="repeats")
    assert [text[cut.start : cut.end] for cut in cuts] == [f"{LINE}\n\n"]
    assert text.rindex(LINE) == cuts[0].start


def test_an_unknown_policy_is_an_error() -> None:
    with pytest.raises(KeyError):
        propose_cuts("a", segment("a"), policy="all")


def test_an_answer_first_stated_in_the_answer_part_proposes_nothing() -> None:
    text = "<think>\nI need to find it.\n\nHmm, hard to say.\n</think>\n\nThe answer is 444."
    assert propose_cuts(text, segment(text, "444"), "444") == []


def test_applying_cuts_keeps_the_ranges_between_them() -> None:
    text = "one. two. three."
    derived = apply_cuts(text, [Cut(5, 10, "x")])
    assert (derived.text, derived.kept) == ("one. three.", ((0, 5), (10, 16)))
    assert derived.insertions == ()


def test_a_join_on_one_line_gets_the_line_end_of_what_was_cut() -> None:
    text = "<think>\nSo it is 5. Wait, no.\n\n</think>\n\n5"
    low, high = text.index("Wait"), text.index("</think>")
    derived = apply_cuts(text, [Cut(low, high, "x")])
    assert derived.text == "<think>\nSo it is 5. \n\n</think>\n\n5"
    assert derived.insertions == ((low, "\n\n"),)
    position, gap = derived.insertions[0]
    assert derived.text[position : position + len(gap)] == gap


@pytest.mark.parametrize(
    "cuts",
    [
        [Cut(2, 5, "a"), Cut(4, 6, "b")],
        [Cut(3, 3, "empty")],
        [Cut(-1, 2, "before")],
        [Cut(5, 99, "behind")],
    ],
)
def test_cuts_that_overlap_or_leave_the_text_are_refused(cuts: list[Cut]) -> None:
    with pytest.raises(ValueError, match="cut"):
        apply_cuts("0123456789", cuts)


def test_no_cuts_give_the_text_back() -> None:
    assert apply_cuts("abc", []).text == "abc"
    assert apply_cuts("", []).kept == ()
