"""Over which cuts a text reads on, and what ``repeats`` leaves alone for it."""

from __future__ import annotations

import pytest

from curation.segmentation import apply_cuts, propose_cuts, segment
from curation.segmentation.seams import reads_on
from curation.segmentation.types import Cut

DROPPED = "We count once more what we counted before.\n\n"


def over(before: str, behind: str, *, concluding: bool = False) -> bool:
    cut = Cut(len(before), len(before) + len(DROPPED), "")
    return reads_on(before + DROPPED + behind, cut, concluding=concluding)


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("The sum is 12.\n\n", "Now look at the product.\n"),
        ("\\[ 3 + 4 = 7 \\]\n\n", "Now look at the product.\n"),
        ("The sum is 12.\n\n", "But now look at the product.\n"),
        ("85 - 19: ones 15 - 9 = 6, so 66.\n\n", "66 + 3: ones 6 + 3 = 9, so 69.\n"),
    ],
)
def test_a_text_reads_on_from_an_ended_sentence_to_a_new_one(before: str, behind: str) -> None:
    assert over(before, behind)


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("Then, for the second case\n\n", "Now look at the product.\n"),
        ("- the first item.\n", "Now look at the product.\n"),
        ("**Case 3**\n\n", "Now look at the product.\n"),
        ("The sum is 12. ", "Now look at the product.\n"),
        ("The sum is 12.\n\n", "- the fourth item\n"),
        ("The sum is 12.\n\n", "Square 4: (1,4), (4,7)\n"),
        ("The sum is 12.\n\n", "**Case 4**\n"),
        ("The sum is 12.\n\n", "\\( x = 3 \\) follows.\n"),
        ("The sum is 12.\n\n", "x + y = 3 and more\n"),
        ("The sum is 12.\n\n", "12 - 3 = 9\n"),
        ("The sum is 12.\n\n", "These equations look hard.\n"),
        ("The sum is 12.\n\n", "Similarly, the product is 3.\n"),
        ("The sum is 12.\n\n", "Hmm, wait. This is odd.\n"),
    ],
)
def test_a_text_does_not_read_on_into_what_leans_on_its_neighbour(before: str, behind: str) -> None:
    assert not over(before, behind)


def test_only_a_conclusion_may_follow_from_what_is_gone() -> None:
    assert not over("The sum is 12.\n\n", "Therefore, the answer is 12.\n")
    assert over("The sum is 12.\n\n", "Therefore, the answer is 12.\n", concluding=True)


def test_a_variable_keeps_its_case_behind_a_dropped_opener() -> None:
    text = f"The sum is 12.\n\n{DROPPED}So, d_2 = 2 holds.\n"
    start = text.index(DROPPED)
    assert apply_cuts(text, [Cut(start, start + len(DROPPED), "")]).text.endswith(
        "\n\nd_2 = 2 holds.\n"
    )


def test_a_step_that_another_attempt_takes_again_is_no_repeat() -> None:
    step = "28 + 96: ones 8 + 6 = 14, tens 2 + 9 + 1 = 12, so 124.\n\n"
    check = "Wait, let me check: 28 + 96: ones 8 + 6 = 14, tens 2 + 9 + 1 = 12, so 124.\n\n"
    last = "124 - 38: ones 14 - 8 = 6, tens 12 - 3 - 1 = 8, so 86.\n\n"
    other = f"Alternatively, take 96 - 38 + 28.\n\n96 - 38: ones 16 - 8 = 8, so 58.\n\n{step}"
    end = "The answer is 86.\n</think>\n\n\\boxed{86}"
    text = f"<think>\nI need 28 + 96 - 38.\n\n{step}{check}{last}{other}{end}"
    cuts = propose_cuts(text, segment(text, "86"), "86", "repeats")
    assert [text[cut.start : cut.end] for cut in cuts] == [check]
