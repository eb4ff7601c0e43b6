"""The path of each leaf: DLCoT's five macro parts and the attempts and checks inside them.

The parts stand in a fixed order, each is one run of leaves, and together they are the text:
``Question_Repeat``, ``Problem_Understand``, ``Solution_Explore`` (up to the first answer that is
obtained), ``Verify`` (what follows it) and ``Conclusion`` (closing words of the reasoning, its
closing tag and the answer part). Any of them may be missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from curation.segmentation import kinds
from curation.segmentation.tags import ReasoningSplit
from curation.segmentation.types import AnswerMention, Segment

QUESTION = "Question_Repeat"
UNDERSTAND = "Problem_Understand"
EXPLORE = "Solution_Explore"
VERIFY = "Verify"
CONCLUSION = "Conclusion"
PARTS = (QUESTION, UNDERSTAND, EXPLORE, VERIFY, CONCLUSION)
# A question is restated in a few leaves, and understood in a few more.
_QUESTION_LEAVES, _UNDERSTAND_LEAVES = 6, 8
_CLOSING_LEAVES = 4
# An attempt this short has not begun yet: a second change of approach belongs to it.
_ATTEMPT_LEAVES = 3
_UNDERSTANDING = (kinds.PROBLEM_SETUP, kinds.PLAN, kinds.FACT, kinds.UNCERTAINTY)
_SETTLED = (kinds.CONSOLIDATION, kinds.FINAL_ANSWER)


def place(
    leaves: Sequence[Segment],
    split: ReasoningSplit,
    obtained: AnswerMention | None,
    mentions: Sequence[AnswerMention],
) -> list[Segment]:
    """The same leaves with their paths; ``obtained`` is the first answer the trace arrives at."""
    explore_end = obtained.leaf + 1 if obtained else None
    bounds = _bounds(leaves, split, explore_end, {mention.leaf for mention in mentions})
    parts = [_part(index, bounds) for index in range(len(leaves))]
    paths = _paths(leaves, parts)
    return [
        Segment(leaf.start, leaf.end, leaf.kind, path)
        for leaf, path in zip(leaves, paths, strict=True)
    ]


def _bounds(
    leaves: Sequence[Segment],
    split: ReasoningSplit,
    explore_end: int | None,
    stating: set[int],
) -> tuple[int, int, int, int]:
    """First leaf of each part but the first, in their order."""
    low, high = _reasoning_leaves(leaves, split)
    conclusion = high
    if split.closed and explore_end is not None:
        # The first answer is no conclusion, unless the text is one untagged solution.
        floor = explore_end - 1 if split.style == "none" else explore_end
        conclusion = _conclusion_start(leaves, max(low, floor), high, stating)
    explored = min(explore_end if explore_end is not None else conclusion, conclusion)
    understand = _question_end(leaves, low, max(low, explored))
    explore = _understood(leaves, understand, max(understand, explored))
    return understand, explore, max(explore, explored), max(explore, conclusion)


def _part(index: int, bounds: tuple[int, int, int, int]) -> str:
    return PARTS[sum(index >= bound for bound in bounds)]


def _reasoning_leaves(leaves: Sequence[Segment], split: ReasoningSplit) -> tuple[int, int]:
    """Indexes of the leaves of the reasoning; of all leaves where the text has no tags."""
    if split.style == "none":
        return 0, len(leaves)
    low = sum(leaf.end <= split.reasoning_start for leaf in leaves)
    while low < len(leaves) and leaves[low].kind == kinds.TAG:
        low += 1
    high = sum(leaf.start < split.reasoning_end for leaf in leaves)
    return min(low, high), high


def _question_end(leaves: Sequence[Segment], low: int, limit: int) -> int:
    end = low
    for index in range(low, min(limit, low + _QUESTION_LEAVES)):
        if leaves[index].kind == kinds.PROBLEM_SETUP:
            end = index + 1
        elif leaves[index].kind in (kinds.COMPUTATION, kinds.CHANGE, kinds.FINAL_ANSWER):
            break
    return end


def _understood(leaves: Sequence[Segment], low: int, limit: int) -> int:
    """Understanding lasts while nothing is calculated, concluded, checked or changed."""
    for index in range(low, min(limit, low + _UNDERSTAND_LEAVES)):
        if leaves[index].kind not in _UNDERSTANDING:
            return index
    return min(limit, low + _UNDERSTAND_LEAVES)


def _conclusion_start(leaves: Sequence[Segment], floor: int, high: int, stating: set[int]) -> int:
    """First leaf of the closing words: a run of settled leaves, from where it states the answer.

    Only a closed reasoning that obtained an answer has a conclusion.
    """
    start, stated = high, high
    while start > max(floor, high - _CLOSING_LEAVES) and leaves[start - 1].kind in _SETTLED:
        start -= 1
        # "**Final Answer**" alone on its line heads the statement that follows it.
        if start in stating or leaves[start].kind == kinds.FINAL_ANSWER:
            stated = start
    return stated


def _paths(leaves: Sequence[Segment], parts: Sequence[str]) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    names = {EXPLORE: _Numbered("Solution", _ATTEMPT_LEAVES), VERIFY: _Numbered("Check", 1)}
    for leaf, part in zip(leaves, parts, strict=True):
        numbered = names.get(part)
        paths.append((part, numbered.name_for(leaf)) if numbered else (part,))
    return paths


class _Numbered:
    """Numbers the attempts of a part: a change of approach opens the next one."""

    def __init__(self, word: str, least: int) -> None:
        self.word, self.least, self.number, self.size = word, least, 1, 0
        self.worked = False

    def name_for(self, leaf: Segment) -> str:
        if leaf.kind == kinds.CHANGE and (self.worked or self.size >= self.least):
            self.number, self.size, self.worked = self.number + 1, 0, False
        self.size += 1
        self.worked = self.worked or leaf.kind == kinds.COMPUTATION
        return f"{self.word} {self.number}"
