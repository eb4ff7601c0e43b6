"""When two problem texts are the same, and when they only look alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.problems import norm_hash, normalise_text, same_reference

SAME = [
    ("What is  1+1?", " what is 1+1?\n"),
    ("Janet’s ducks", "Janet's ducks"),
    ("“so” — he said", '"so" - he said'),
    ("ﬁnd 𝑥", "find x"),
    ("cafe\u0301", "café"),
    ("Straße", "STRASSE"),
    ("zero\u200bwidth", "zerowidth"),
    ("full１２", "full12"),
]
DIFFERENT = [
    ("What is 5²?", "What is 52?"),
    ("x₁ + 1", "x1 + 1"),
    ("2½ apples", "21⁄2 apples"),
    ("1+1", "1-1"),
    ("a b", "ab"),
    ("x < 3", "x > 3"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_texts_that_differ_in_writing_alone_are_one_problem(left: str, right: str) -> None:
    assert norm_hash(left) == norm_hash(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_texts_that_mean_different_things_are_two_problems(left: str, right: str) -> None:
    assert norm_hash(left) != norm_hash(right)


@given(st.text(max_size=80))
def test_white_space_and_case_never_matter(text: str) -> None:
    assert normalise_text(f"  {text}\r\n") == normalise_text(text)
    assert normalise_text(text) == normalise_text(" ".join(text.split()))


def test_references_agree_as_text_or_as_values() -> None:
    assert same_reference("18", " 18 ")
    assert same_reference("27", "27.0")
    assert same_reference("1/2", "0.5")
    assert not same_reference("18", "19")
    assert not same_reference("yes", "no")
