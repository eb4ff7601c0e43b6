"""Leaves partition any text, respect blocks and limits, and cost linear time."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.segmentation import analyse, apply_cuts, propose_cuts, segment
from curation.segmentation.leaves import LEAF_LIMIT
from curation.segmentation.proposals import POLICIES
from curation.segmentation.protect import protected_ranges

# Pieces that make traces go wrong, mixed with arbitrary text.
PIECES = st.sampled_from(
    ["<think>", "</think>", "\n\n", "\r\n\r\n", "\n", " ", "$", "$$", "\\[", "\\]", "\\(", "\\)",
     "```", "```py\n", "~~~\n", "\\begin{align}", "\\end{align}", "\\\\", "Wait, ", "So x = 5. ",
     "the answer is ", "\\boxed{", "}", "5", "e\u0301", "👩‍👩‍👧", "𝑥", "\0", "\u2028", "。", "等等",
     "Alternatively, ", "1. ", "| a | b |\n", "<answer>", "</answer>", "<|begin_of_thought|>",
     "<|end_of_thought|>", "a" * 900, "word " * 300, "=", "####"]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(), st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=40).map("".join)
)


def joined(text: str, reference: str | None = None) -> str:
    leaves = segment(text, reference)
    assert all(leaf.start < leaf.end for leaf in leaves)
    return "".join(text[leaf.start : leaf.end] for leaf in leaves)


@given(TEXTS)
@example("")
@example("\r\n" * 3000)
@example("e\u0301" * 2500)
@example("👩‍👩‍👧" * 1000)
@example("\0" * 5000)
@settings(max_examples=300, deadline=None)
def test_leaves_partition_arbitrary_text(text: str) -> None:
    assert joined(text, "5") == text


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_the_macro_parts_are_runs_in_their_order(text: str) -> None:
    order = ["Question_Repeat", "Problem_Understand", "Solution_Explore", "Verify", "Conclusion"]
    ranks = [order.index(leaf.path[0]) for leaf in segment(text, "5")]
    assert ranks == sorted(ranks)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_children_partition_their_parent(text: str) -> None:
    seen: list[tuple[str, ...]] = []
    for leaf in segment(text, "5"):
        if not seen or seen[-1] != leaf.path:
            seen.append(leaf.path)
    assert len(seen) == len(set(seen)), "a path comes back after another one"


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_long_leaves_are_blocks(text: str) -> None:
    for leaf in segment(text):
        if leaf.end - leaf.start > LEAF_LIMIT:
            blocks = [block for block in protected_ranges(text, 0, len(text)) if block.block]
            inner = sum(
                max(0, min(leaf.end, block.end) - max(leaf.start, block.start)) for block in blocks
            )
            assert leaf.end - leaf.start - inner <= LEAF_LIMIT


@given(TEXTS, st.sampled_from(sorted(POLICIES)))
@settings(max_examples=200, deadline=None)
def test_cuts_are_whole_leaves_and_spare_tags_and_answer(text: str, policy: str) -> None:
    analysis = analyse(text, "5")
    starts = {leaf.start for leaf in analysis.segments}
    ends = {leaf.end for leaf in analysis.segments}
    cuts = propose_cuts(text, analysis.segments, "5", policy)
    for cut in cuts:
        assert cut.start in starts
        assert cut.end in ends
        assert cut.reason
        for leaf in analysis.segments:
            if cut.start <= leaf.start < cut.end:
                assert leaf.kind != "tag"
                assert leaf.path[0] not in ("Question_Repeat", "Conclusion")
    derived = apply_cuts(text, cuts)
    kept = "".join(text[start:end] for start, end in derived.kept)
    assert len(derived.text) == len(kept) + sum(len(gap) for _, gap in derived.insertions)


@given(TEXTS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_a_paragraph_added_behind_moves_no_earlier_boundary(text: str, more: str) -> None:
    closed = "A first line of words.\n\nA second line of words.\n\n"
    before = [(leaf.start, leaf.end) for leaf in segment(closed)]
    plain = re.sub(r"[<|`~$\\]", "", text + more).strip()
    after = [(leaf.start, leaf.end) for leaf in segment(closed + "x" + plain)]
    assert after[: len(before)] == before


@pytest.mark.parametrize(
    "block",
    [
        "\\[\na\n\nb\n\\]",
        "$$\n\na = b\n\n$$",
        "```\ncode\n\nmore. And more\n```",
        "~~~text\na\n\nb\n~~~",
        "\\begin{align}\na\n\nb\n\\end{align}",
        "\\begin{cases}\n\\begin{array}{c}a\\end{array}\n\nb\n\\end{cases}",
    ],
)
def test_no_boundary_falls_into_a_block(block: str) -> None:
    text = f"Some words before it.\n\n{block}\n\nSome words behind it."
    start, end = text.index(block), text.index(block) + len(block)
    assert all(not start < leaf.start < end for leaf in segment(text))


def test_no_boundary_falls_into_inline_maths() -> None:
    formula = "\\(a. B. C. Wait, D\\)"
    sentence = f"Long words again and again. Here is {formula} and more of it. "
    text = sentence * 12
    cut = {leaf.start for leaf in segment(text)}
    for match in re.finditer(re.escape(formula), text):
        assert not any(match.start() < place < match.end() for place in cut)


def test_a_lost_dollar_pair_does_not_swallow_the_rest() -> None:
    text = "Here $$ is lost among plain words.\n\nThis is a paragraph of plain words.\n\n$$x = 1$$"
    assert len(segment(text)) == 3


def test_an_escaped_line_break_is_not_display_maths() -> None:
    text = "A row \\\\[5pt] and no maths.\n\nThe next paragraph.\n\n\\]"
    assert len(segment(text)) == 3


@pytest.mark.parametrize("unit", ["a", " ", "word ", "\n", "1,", "。", "👩‍👩‍👧", "e\u0301", "\r\n"])
def test_text_without_paragraphs_is_split_below_the_limit(unit: str) -> None:
    text = unit * (20_000 // len(unit))
    leaves = segment(text)
    assert max(leaf.end - leaf.start for leaf in leaves) <= LEAF_LIMIT
    assert joined(text) == text


def test_a_hard_split_keeps_words_and_composed_characters_whole() -> None:
    words = segment("word " * 2000)
    assert all((leaf.start % 5) == 0 for leaf in words)
    for unit in ("e\u0301", "👩‍👩‍👧"):
        assert all(leaf.start % len(unit) == 0 for leaf in segment(unit * 5000))


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        segment("a\ud800b")


def test_given_segments_must_partition_the_text() -> None:
    leaves = segment("one\n\ntwo")
    with pytest.raises(ValueError, match="partition"):
        propose_cuts("one\n\ntwo", leaves[1:], "5")


HOSTILE = {
    "one character": "a",
    "dots": ".",
    "dollars": "$ a",
    "open brackets": "\\[ x ",
    "open parentheses": "\\( a ",
    "fences": "```py\nx\n",
    "environments": "\\begin{align}",
    "tags": "<think>\n",
    "closing tags": "</think>",
    "boxes": "answer is \\boxed{ ",
    "answers": "the answer is $ ",
    "fractions": "\\frac{",
    "waits": "Wait, ",
    "equals": "So = ",
    "conclusions": "So 5. ",
    "steps": "So it is 5.\n\n",
    "inequalities": "So x < 5 and so 5. Then 6.\n\n",
    "spaces": "\n" + " " * 50,
    "loops": "Let me say the same thing again.\n\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_text_and_no_faster(name: str) -> None:
    def seconds(size: int) -> float:
        text = "<think>\n" + HOSTILE[name] * (size // len(HOSTILE[name]))
        started = time.process_time()
        assert joined(text, "5") == text
        return time.process_time() - started

    # Eight times the text: a quadratic step would take sixty-four times as long, and always would;
    # a collection of the whole test process's garbage comes now and then.
    small = seconds(20_000)
    assert any(seconds(160_000) < 24 * small + 0.2 for _ in range(4))


def test_importing_the_library_loads_nothing_heavy() -> None:
    code = (
        "import sys; import curation.segmentation as s; s.segment('<think>a</think>b');"
        "bad = {'django', 'celery', 'torch', 'numpy', 'sympy', 'math_verify'} & set(sys.modules);"
        "sys.exit(repr(bad) if bad else 0)"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"],
        check=True,
    )
