"""The optional pass of a model: what it must give back, and every way in which it is refused."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.segmentation import Cut, apply_cuts, check_derived, llm
from curation.segmentation.joins import with_bridges
from curation.segmentation.types import Segment

TEXT = "First a.\n\nThen b. Then c."
LEAVES = [Segment(0, 5, "fact", ()), Segment(5, 9, "fact", ())]


def code_of(read: object, *given: object) -> str:
    with pytest.raises(llm.BadAnswer) as raised:
        read(*given)  # type: ignore[operator]
    return raised.value.code


def test_parts_that_are_the_text_become_ranges_that_partition_it() -> None:
    parts = json.dumps(["First a.", "Then b.", "Then c."])
    expected = [(0, 10), (10, 18), (18, len(TEXT))]
    assert llm.read_parts(TEXT, parts) == expected
    assert llm.read_parts(TEXT, f"<think>[1]</think>Here:\n```json\n{parts}\n```") == expected


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ('["Then b.", "First a.", "Then c."]', "reordered"),
        ('["First a.", "Then c."]', "lost_text"),
        ('["First a.", "Then b."]', "lost_text"),
        ("[]", "lost_text"),
        ('["First a.", "Then b.", "Then c.", "Bye"]', "invented_text"),
        ('["First a.", "Then b.", "So c."]', "invented_text"),
        ('["First a.", "First a.", "Then b.", "Then c."]', "reordered"),
        ("", "empty"),
        (" \n", "empty"),
        ("I cannot do that", "not_json"),
        ('["First a.", "Then b', "not_json"),
        ("]" + "[" * 50, "not_json"),
        ("[" * 100_000 + "]" * 100_000, "not_json"),
        ('{"0": "First a."}', "wrong_shape"),
        ('["First a.", 7]', "wrong_shape"),
    ],
)
def test_parts_that_lose_invent_or_reorder_are_refused_with_their_reason(
    answer: str, code: str
) -> None:
    assert code_of(llm.read_parts, TEXT, answer) == code


def test_what_was_lost_and_invented_is_counted_in_order() -> None:
    swapped = llm.fidelity(TEXT, ["Then b.", "First a.", "Then c."])
    assert (swapped.missing, swapped.invented, swapped.moved) == (8, 8, 8)


def test_no_part_begins_within_a_formula() -> None:
    text = "So $a = b + c$ holds."
    assert llm.read_parts(text, '["So", "$a = b + c$ holds."]')
    assert code_of(llm.read_parts, text, '["So $a =", "b + c$ holds."]') == "inside_formula"


@given(st.text(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_any_text_split_anywhere_is_taken_or_refused_but_never_changed(
    text: str, places: list[int]
) -> None:
    ends = [0, *sorted(place for place in places if place <= len(text)), len(text)]
    parts = [text[a:b] for a, b in pairwise(ends)]
    assert llm.fidelity(text, parts).whole
    try:
        ranges = llm.read_parts(text, json.dumps(parts))
    except llm.BadAnswer as refused:
        assert refused.code == "inside_formula"
    else:
        assert "".join(text[a:b] for a, b in ranges) == text


def test_labels_are_one_known_kind_for_each_step() -> None:
    found = llm.read_labels(LEAVES, '{"0": "fact", "1": "plan"}')
    assert [leaf.kind for leaf in found] == ["fact", "plan"]
    assert code_of(llm.read_labels, LEAVES, '{"0": "plan"}') == "missing_step"
    assert code_of(llm.read_labels, LEAVES, '{"0": "plan", "7": "plan"}') == "unknown_step"
    assert code_of(llm.read_labels, LEAVES, '{"0": "joke", "1": "plan"}') == "unknown_kind"
    assert code_of(llm.read_labels, LEAVES, '{"0": "tag", "1": "plan"}') == "unknown_kind"
    assert code_of(llm.read_labels, LEAVES, '{"0": ["plan"], "1": "plan"}') == "unknown_kind"
    assert code_of(llm.read_labels, LEAVES, "[1]") == "wrong_shape"
    assert code_of(llm.read_labels, LEAVES, "{") == "not_json"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("It is 6.", "new_number"),
        ("a" * 400, "too_long"),
        ("\\boxed{5}", "markup"),
        ("</think>", None),
        ("<b>So</b>", "markup"),
        ("Wait, this is it.", "dangling"),
    ],
)
def test_a_bridge_states_nothing_new(answer: str, code: str | None) -> None:
    if code is None:
        assert llm.read_bridge("x is 5.", "So 5.", answer) == ""
    else:
        assert code_of(llm.read_bridge, "x is 5.", "So 5.", answer) == code


def test_a_bridge_may_say_what_both_sides_know() -> None:
    assert llm.read_bridge("x is 5.", "So 5.", " Hence it\nis 5. ") == "Hence it is 5."


def test_a_bridge_is_one_more_insertion_of_a_derived_text() -> None:
    text = "We have a.\n\nWait, is it b? No.\n\nBut so it is c.\n\nHence d.\n\nEnd."
    cuts = [
        Cut(text.index("Wait"), text.index("But"), "gone"),
        Cut(text.index("Hence"), text.index("End"), "gone"),
    ]
    derived = apply_cuts(text, cuts)
    bridged = with_bridges(text, derived, {1: "That is all there is to it."})
    assert bridged.kept == derived.kept
    assert "a.\n\nThat is all there is to it. " in bridged.text
    assert with_bridges(text, derived, {}) == derived
    pieces, place = dict(bridged.insertions), 0
    rebuilt = ""
    for start, end in bridged.kept:
        rebuilt += pieces.get(place, "") + text[start:end]
        place = len(rebuilt)
    assert rebuilt == bridged.text
    assert check_derived(text, bridged) == []


def test_hostile_answers_cost_no_time() -> None:
    started = time.process_time()
    for answer in ("[" * 200_000, "{" * 200_000, "[{" * 100_000, '["' + "\\" * 200_000):
        assert code_of(llm.read_parts, TEXT, answer) == "not_json"
    assert time.process_time() - started < 2
