"""Turns, attempts, methods, self-talk, policies, joins, tokens, anchors: made texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.segmentation import (
    POLICIES,
    Cut,
    Evidence,
    analyse,
    apply_cuts,
    check_derived,
    cuts_of,
    propose_cuts,
    segment,
    split_reasoning,
    tokens,
)
from curation.segmentation.anchors import FOUND, LOST, MOVED, SAME, anchor_of, reanchor
from curation.segmentation.clusters import (
    CORRECT,
    INCOMPLETE,
    INCORRECT,
    Attempt,
    Cluster,
    cluster_attempts,
    find_attempts,
)
from curation.segmentation.cues import find_cues, script_of, self_talk
from curation.segmentation.equations import find_redone
from curation.segmentation.policies import keep_rule
from curation.segmentation.report import summarise
from curation.segmentation.turns import find_repair, find_turns, find_waste
from curation.segmentation.types import Segment

TWO_WAYS = (
    "<think>\nI need to find the area of the field.\n\n"
    "Width times length: 12 · 30 = 350.\n\nSo the answer is 350.\n\n"
    "Wait, let me check: 12 · 30 is not 350.\n\n"
    "Alternatively, I could split it: 10 · 30 = 300 and 2 · 30 = 60.\n\n"
    "So the answer is 360.\n\n"
    "Yes, that makes sense.\n\n"
    "Let me verify this once more: 10 · 30 = 300 and 2 · 30 = 60.\n\n"
    "Therefore, the answer is 360.\n</think>\n\nThe answer is \\boxed{360}."
)


def test_turns_partition_the_reasoning_and_end_with_their_answers() -> None:
    analysis = analyse(TWO_WAYS, "360")
    turns = find_turns(analysis)
    split = split_reasoning(TWO_WAYS)
    assert (
        "".join(TWO_WAYS[t.start : t.end] for t in turns)
        == TWO_WAYS[turns[0].start : split.reasoning_end]
    )
    assert [(t.answer, t.matches) for t in turns] == [("350", False), ("360", True), ("360", True)]


def test_waste_is_what_follows_the_first_correct_answer() -> None:
    analysis = analyse(TWO_WAYS, "360")
    waste = find_waste(analysis)
    assert waste is not None
    assert (waste.turn, waste.turns_after) == (1, 1)
    assert (
        TWO_WAYS[-waste.characters_after - len("</think>\n\nThe answer is \\boxed{360}.") :][:4]
        == "Yes,"
    )
    assert 0.2 < waste.share < 0.5


def test_a_wrong_first_answer_is_completed_by_the_smallest_stretch_that_has_the_right_one() -> None:
    repair = find_repair(analyse(TWO_WAYS, "360"))
    assert (repair.complete, repair.correct, repair.moved) == (True, False, 3)
    assert find_repair(analyse(TWO_WAYS, "350")).moved == 0


def test_attempts_are_labelled_against_the_reference() -> None:
    analysis = analyse(TWO_WAYS, "360")
    attempts = find_attempts(analysis.segments, analysis.answers)
    assert [a.label for a in attempts][:2] == [INCORRECT, CORRECT]
    assert {a.label for a in attempts} <= {CORRECT, INCORRECT, INCOMPLETE}
    assert [a.number for a in attempts] == list(range(1, len(attempts) + 1))


def test_attempts_with_the_same_equations_share_a_method() -> None:
    analysis = analyse(TWO_WAYS, "360")
    attempts = find_attempts(analysis.segments, analysis.answers)
    clusters = cluster_attempts(TWO_WAYS, attempts)
    shared = [c.members for c in clusters if len(c.members) > 1]
    assert shared and shared[0][0] == 2
    assert all(list(c.members) == sorted(c.members) for c in clusters)


def test_vectors_join_what_words_do_not() -> None:
    attempts = [
        Attempt(n, f"Solution {n}", "Solution_Explore", n - 1, n, 3 * n - 3, 3 * n, INCOMPLETE)
        for n in (1, 2, 3)
    ]
    text = "abcdefghi"
    vectors = [[1.0, 0.0], [0.0, 1.0], [0.99, 0.05]]
    clusters = cluster_attempts(text, attempts, lambda bodies: vectors[: len(bodies)])
    assert [c.members for c in clusters] == [(1, 3), (2,)]
    assert len(cluster_attempts(text, attempts)) == 3


def attempts_of(labels: str) -> list[Attempt]:
    names = {"c": CORRECT, "i": INCORRECT, "n": INCOMPLETE}
    return [
        Attempt(n, f"Solution {n}", "Solution_Explore", n - 1, n, n - 1, n, names[label])
        for n, label in enumerate(labels, 1)
    ]


@pytest.mark.parametrize(
    ("labels", "clusters", "dropped"),
    [
        ("iic", [(1, 2, 3)], {2}),  # on the path the correct one stays
        ("icc", [(1,), (2, 3)], {3}),  # beyond f all but the first go
        ("ici", [(1, 3), (2,)], {3}),
        ("icn", [(1,), (2,), (3,)], set()),  # another method stays
        ("iiiiiiiiiic", [(2, 10), (11,)], {10}),  # 10 is not before 2
    ],
)
def test_the_keep_rule_is_dlcots_with_numbers_in_their_order(
    labels: str, clusters: list[tuple[int, ...]], dropped: set[int]
) -> None:
    attempts = attempts_of(labels)
    first = labels.index("c") + 1
    found = keep_rule(attempts, [Cluster(members, "same") for members in clusters], first)
    assert set(found) == dropped
    assert all(attempts[n - 1].name in reason for n, reason in found.items())


def test_a_wrong_span_goes_alone_on_the_path_and_with_its_solution_beyond_it() -> None:
    analysis = analyse(TWO_WAYS, "360")
    attempts = find_attempts(analysis.segments, analysis.answers)
    last = attempts[-1]
    start = TWO_WAYS.index("12 · 30 = 350")
    evidence = Evidence(
        errors=((start, start + 13), (last.start + 1, last.end - 1)),
        clusters=tuple((a.number,) for a in attempts),
    )
    segments = segment(TWO_WAYS, "360")
    cuts = propose_cuts(TWO_WAYS, segments, "360", "failed-attempts", evidence=evidence)
    assert (start, start + 13) in [(cut.start, cut.end) for cut in cuts]
    if last.label != CORRECT:
        assert any(cut.start <= last.start and cut.end >= last.end for cut in cuts)


def test_failed_attempts_need_a_correct_one() -> None:
    assert cuts_of(analyse(TWO_WAYS, "999"), "failed-attempts") == []


@pytest.mark.parametrize(
    ("leaf", "said"),
    [
        ("Yes, that checks out.", "affirmation"),
        ("Hmm, that might be too complicated.", "negation"),
        ("So x = 5, which makes sense.", None),  # it says more than that
        ("That makes sense because 5 of them are red.", None),
        ("The triangle is right-angled.", None),
        ("没错", "affirmation"),
    ],
)
def test_self_talk_is_a_leaf_that_says_nothing_else(leaf: str, said: str | None) -> None:
    assert self_talk(leaf) == said


def test_a_last_minute_guess_and_a_spiral_are_found() -> None:
    guess = "<think>\nI need x.\n\nThis is hard to see.\n\nI'll go with 7.\n</think>\n\n\\boxed{7}"
    analysis = analyse(guess, "7")
    cues = find_cues(guess, analysis.segments, analysis.answers, analysis.split.reasoning_end)
    assert cues.guess is not None
    assert guess[analysis.segments[cues.guess].start :].startswith("I'll go with")
    turns = "".join(
        f"Wait, that's wrong, I made a mistake.\n\nSo the answer is {n}.\n\n" for n in range(5)
    )
    spiral = f"<think>\nI need x.\n\nSo the answer is 9.\n\n{turns}</think>\n\n\\boxed{{4}}"
    analysis = analyse(spiral, "9")
    cues = find_cues(spiral, analysis.segments, analysis.answers, analysis.split.reasoning_end)
    assert cues.spiral is not None
    assert "answer is 9" in spiral[analysis.segments[cues.spiral].start :][:30]


def test_language_switches_are_leaves_in_another_script_and_formulas_are_none() -> None:
    text = "I need to find the sum.\n\n首先我们计算这个总和。\n\n\\[ x = 5 \\]\n\nSo the sum is 5."
    analysis = analyse(text)
    cues = find_cues(text, analysis.segments, analysis.answers, len(text))
    assert [(s.before, s.script) for s in cues.switches] == [("latin", "han"), ("han", "latin")]
    assert script_of("\\alpha + \\beta = 12") is None
    assert script_of("Привет, мир") == "cyrillic"


def test_a_calculation_done_again_in_other_words_is_found() -> None:
    analysis = analyse(TWO_WAYS, "360")
    redone = find_redone(TWO_WAYS, analysis.segments, analysis.repeats)
    again = {TWO_WAYS[analysis.segments[i].start :][:14] for i in redone}
    assert again == {"Let me verify "}


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_leaves_a_derived_text_that_passes_the_checks(policy: str) -> None:
    cuts = cuts_of(analyse(TWO_WAYS, "360"), policy)
    assert check_derived(TWO_WAYS, apply_cuts(TWO_WAYS, cuts), "360") == []


def test_self_talk_and_prefix_policies_cut_what_they_say() -> None:
    analysis = analyse(TWO_WAYS, "360")
    cut = [TWO_WAYS[c.start : c.end] for c in cuts_of(analysis, "self-talk")]
    assert cut == ["Yes, that makes sense.\n\n"]
    enough = TWO_WAYS.index("Yes, that makes")
    evidence = Evidence(sufficient=enough)
    found = propose_cuts(
        TWO_WAYS, analysis.segments, "360", "shortest-sufficient-prefix", evidence=evidence
    )
    assert found and found[0].start == enough
    assert cuts_of(analysis, "shortest-sufficient-prefix") == []


def cut_of(text: str, quote: str) -> Cut:
    start = text.index(quote)
    return Cut(start, start + len(quote), "made")


@pytest.mark.parametrize(
    ("behind", "kept"),
    [
        ("Wait, that is 5.", "That is 5."),
        ("But wait, so it is 5.", "So it is 5."),
        ("Hmm.\n\nThe sum is 5.", "The sum is 5."),
        ("However, 5 is odd.", "5 is odd."),
        ("Alternatively, add them.", "Add them."),
        ("So the sum is 5.", "So the sum is 5."),
        ("Waiting takes 5 hours.", "Waiting takes 5 hours."),
    ],
)
def test_an_opener_that_answers_what_is_gone_goes_too(behind: str, kept: str) -> None:
    text = f"<think>\nFirst a plain line.\n\nGone.\n\n{behind}\n</think>\n\n5"
    derived = apply_cuts(text, [cut_of(text, "Gone.\n\n")])
    assert derived.text == f"<think>\nFirst a plain line.\n\n{kept}\n</think>\n\n5"
    assert rebuilt(text, derived.kept, dict(derived.insertions)) == derived.text
    assert check_derived(text, derived) == []
    exact = apply_cuts(text, [cut_of(text, "Gone.\n\n")], clean=False)
    assert exact.text == text.replace("Gone.\n\n", "")


def test_a_contrast_stays_where_an_attempt_stands_before_the_join() -> None:
    text = "<think>\nFirst 2 + 3 = 5.\n\nGone.\n\nAlternatively, count them.\n</think>\n\n5"
    derived = apply_cuts(text, [cut_of(text, "Gone.\n\n")])
    assert derived.text == text.replace("Gone.\n\n", "")
    assert check_derived(text, derived) == []
    turned = text.replace("Alternatively", "Wait, alternatively")
    assert "\n\nAlternatively, count" in apply_cuts(turned, [cut_of(turned, "Gone.\n\n")]).text


def rebuilt(text: str, kept: object, insertions: dict[int, str]) -> str:
    out = ""
    for start, end in kept:  # type: ignore[attr-defined]
        out += insertions.get(len(out), "") + text[start:end]
    return out


@pytest.mark.parametrize(
    ("text", "quote", "code"),
    [
        ("<think>\n\\[ a \\]\n\nb\n</think>\n\n5", "\\]\n\nb", "display"),
        ("<think>\n```\na\n```\n\nb c d e f g h i j k\n</think>\n\n5", "```\n\nb c", "fence"),
        ("<think>\nso $x + y$ is z, and more\n</think>\n\n5", "y$ is z", "dollar"),
        ("<think>\n\\frac{1}{2} is it, no more\n</think>\n\n5", "{2} is", None),
        ("<think>\nsee \\frac{1}{2} there, no more\n</think>\n\n5", "2} there", "brace"),
        ("<think>\nWait, it is so, I think\n</think>\n\n5", "it is so, I think", "dangling_before"),
        ("<think>\nThe sum is 5 and so on.\n</think>\n\n5", "</think>\n\n5", "tags"),
        ("<think>\nThe sum is 5 and so on.\n</think>\n\nfive 5", "five ", "answer_part"),
        ("<think>\nThe sum is 5, so be it.\n</think>\n\n5", "sum is 5, so be it", "no_reasoning"),
    ],
)  # fmt: skip
def test_a_broken_derived_text_is_named(text: str, quote: str, code: str | None) -> None:
    derived = apply_cuts(text, [cut_of(text, quote)], clean=False)
    codes = {problem.code for problem in check_derived(text, derived)}
    assert code in codes if code else not codes


def test_cutting_all_the_reasoning_does_not_pass() -> None:
    split = split_reasoning(TWO_WAYS)
    derived = apply_cuts(TWO_WAYS, [Cut(split.reasoning_start, split.reasoning_end, "all")])
    codes = {problem.code for problem in check_derived(TWO_WAYS, derived, "360")}
    assert {"no_reasoning", "no_answer"} <= codes


def test_money_is_no_formula() -> None:
    text = (
        "<think>\nHe has $43 to spend.\n\nShe has $7, so $50 in all.\n\nDone so far.\n</think>\n\n5"
    )
    derived = apply_cuts(text, [cut_of(text, "He has $43 to spend.\n\n")])
    assert check_derived(text, derived) == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400), st.data())
def test_any_cut_of_any_text_is_its_kept_ranges_and_insertions(text: str, data: object) -> None:
    draw = data.draw  # type: ignore[attr-defined]
    places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    cuts = [Cut(a, b, "made") for a, b in zip(places[::2], places[1::2], strict=False)]
    derived = apply_cuts(text, cuts)
    assert rebuilt(text, derived.kept, dict(derived.insertions)) == derived.text
    for cut in cuts:
        assert not any(start < cut.end and cut.start < end for start, end in derived.kept)


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=600))
def test_any_text_is_partitioned_and_summarised(text: str) -> None:
    analysis = analyse(text, "5")
    assert "".join(text[s.start : s.end] for s in analysis.segments) == text
    json.dumps(summarise(analysis))
    for policy in POLICIES:
        assert len(apply_cuts(text, cuts_of(analysis, policy)).text) <= len(text) + 8


@settings(max_examples=25, deadline=None)
@given(st.text(alphabet="ab 1=.\n$\\(),Wait𝑥🎉\r", max_size=300), st.integers(0, 400))
def test_an_edit_elsewhere_moves_no_leaf_of_another_paragraph(body: str, size: int) -> None:
    head = "Let us begin with a plain sentence here.\n\n"
    body = f"Here it goes on. {body}"
    before = [p for p in segment(head + body) if p.end <= len(head)]
    after = [
        p for p in segment(head + body + "\n\nOne more line." * (size % 3)) if p.end <= len(head)
    ]
    assert [(p.start, p.end) for p in before] == [(p.start, p.end) for p in after]


@pytest.mark.parametrize("name", [tokens.DEMO_TEACHER, tokens.WORDPIECE])
def test_tokens_are_counted_as_the_tokenizer_counts_them(name: str) -> None:
    if tokens.find(name) is None:
        pytest.skip("the demo extra is not installed")
    from tokenizers import Tokenizer

    counter = tokens.load(name)
    plain = Tokenizer.from_file(str(tokens.find(name)))
    plain.no_truncation()
    plain.no_padding()
    text = TWO_WAYS + "\n\n𝑥 等等 🎉\r\n\r\n  done\n\n\n"
    assert counter.count(text) == len(plain.encode(text, add_special_tokens=False))
    starts = counter.starts(text)
    assert starts == sorted(starts)
    middle = text.index("Alternatively")
    assert tokens.tokens_in(starts, 0, middle) + tokens.tokens_in(starts, middle, len(text)) == len(
        starts
    )


def test_own_tokenizers_come_first_and_unknown_or_broken_ones_are_named(tmp_path: Path) -> None:
    source = tokens.find(tokens.DEMO_TEACHER)
    assert source is not None
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "tokenizer.json").write_bytes(source.read_bytes())
    (tmp_path / "broken.json").write_text("{")
    assert tokens.load("student", tmp_path).count("1 + 1") > 2
    for name in ("nobody", "broken", "../student", ""):
        with pytest.raises(tokens.UnknownTokenizer):
            tokens.load(name, tmp_path)


def test_labels_keep_their_range_and_say_which_leaves_they_stand_on() -> None:
    text = "One two three. Four five six. Seven."
    anchors = [anchor_of(text, 0, 15), anchor_of(text, 4, 20)]
    leaves = [Segment(0, 15, "fact", ()), Segment(15, len(text), "fact", ())]
    placed = reanchor(anchors, text, leaves)
    assert [(p.status, p.first, p.last) for p in placed] == [(SAME, 0, 1), (MOVED, 0, 2)]


def test_labels_are_found_by_quote_in_an_edited_text_nearest_to_where_they_were() -> None:
    text = "alpha beta. gamma. beta. delta"
    anchor = anchor_of(text, 19, 24)
    edited = "NEW " + text
    leaves = [Segment(0, len(edited), "fact", ())]
    placed = reanchor([anchor, anchor_of("zzz", 0, 3)], edited, leaves)
    assert (placed[0].status, edited[placed[0].start : placed[0].end]) == (FOUND, "beta.")
    assert placed[0].start == 23
    assert placed[1].status == LOST


def test_what_only_answers_a_dropped_check_goes_with_it() -> None:
    text = (
        "<think>\nI need 37 + 48 + 19.\n\n37 + 48: ones 7 + 8 = 15, tens 3 + 4 + 1 = 8, so 85.\n\n"
        "Wait, let me check: 37 + 48: ones 7 + 8 = 15, tens 3 + 4 + 1 = 8, so 85.\n\n"
        "Yes, that is right.\n\n85 + 19: ones 5 + 9 = 14, tens 8 + 1 + 1 = 10, so 104.\n\n"
        "So the answer is 104.\n</think>\n\nThe answer is \\boxed{104}."
    )
    (cut,) = cuts_of(analyse(text, "104"), "repeats")
    assert text[cut.start : cut.end].startswith("Wait")
    assert text[cut.start : cut.end].endswith("Yes, that is right.\n\n")
