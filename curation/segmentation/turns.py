"""MinD's turns, DLCoT's completeness repair, and how much text follows the first correct answer.

A **turn** (MinD) is a stretch of reasoning with the answer it arrives at: it ends where an answer
is stated, together with the leaves that look back at that statement at once; what comes after the
last answer is a turn without one. Joined, the turns are the reasoning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.segmentation import kinds
from curation.segmentation.analysis import Analysis
from curation.segmentation.statements import CONCLUDED, HEDGED
from curation.segmentation.types import AnswerMention, Segment


@dataclass(frozen=True, slots=True)
class Turn:
    """Leaves ``first`` to ``last`` (exclusive), their code points, and the answer they end with."""

    first: int
    last: int
    start: int
    end: int
    answer: str | None
    matches: bool | None


@dataclass(frozen=True, slots=True)
class Repair:
    """DLCoT's completeness repair of one trace.

    ``complete``: exploring obtained an answer; ``correct``: it was the reference at once;
    ``moved``: leaves that went from Verify back to the last solution, the smallest stretch that
    contains the first correct answer.
    """

    complete: bool
    correct: bool | None
    moved: int


@dataclass(frozen=True, slots=True)
class Waste:
    """What follows the leaf that first states the reference answer, inside the reasoning."""

    turn: int
    turns_after: int
    leaves_after: int
    characters_after: int
    share: float


def find_turns(analysis: Analysis) -> list[Turn]:
    """The turns of the reasoning (of the whole text where it has no tags)."""
    low, high = reasoning_leaves(analysis)
    if low >= high:
        return []
    turns: list[Turn] = []
    begin = low
    for mention in _ending(analysis, low, high):
        turns.append(_turn(analysis.segments, begin, mention.leaf + 1, mention))
        begin = mention.leaf + 1
    if begin < high:
        turns.append(_turn(analysis.segments, begin, high, None))
    return turns


def reasoning_leaves(analysis: Analysis) -> tuple[int, int]:
    """First and last (exclusive) leaf of the reasoning, its tags left out."""
    split = analysis.split
    if split.style == "none":
        return 0, len(analysis.segments)
    inside = [
        index
        for index, leaf in enumerate(analysis.segments)
        if leaf.end > split.reasoning_start
        and leaf.start < split.reasoning_end
        and leaf.kind != kinds.TAG
    ]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def find_waste(analysis: Analysis, turns: Sequence[Turn] | None = None) -> Waste | None:
    """None without a first correct answer inside the reasoning."""
    first = analysis.first_correct
    low, high = reasoning_leaves(analysis)
    if first is None or not low <= first.leaf < high:
        return None
    units = find_turns(analysis) if turns is None else turns
    number = next((n for n, turn in enumerate(units) if turn.first <= first.leaf < turn.last), 0)
    start, end = analysis.segments[low].start, analysis.segments[high - 1].end
    after = end - analysis.segments[first.leaf].end
    return Waste(
        turn=number,
        turns_after=len(units) - number - 1,
        leaves_after=high - first.leaf - 1,
        characters_after=after,
        share=after / (end - start) if end > start else 0.0,
    )


def find_repair(analysis: Analysis) -> Repair:
    """Whether the exploration that ends at the first obtained answer had to be completed."""
    low, high = reasoning_leaves(analysis)
    stated = [m for m in analysis.answers if low <= m.leaf < high and m.strength != HEDGED]
    obtained = next((m for m in stated if m.strength != CONCLUDED), None)
    first = analysis.first_correct
    if first is None or not low <= first.leaf < high:
        return Repair(obtained is not None, None, 0)
    if obtained is None or obtained.leaf >= first.leaf:
        return Repair(True, True, 0)
    return Repair(True, False, first.leaf - obtained.leaf)


def _ending(analysis: Analysis, low: int, high: int) -> list[AnswerMention]:
    """Statements at which a turn ends: no guesses, and of equal ones in a row the last."""
    stating = {
        mention.leaf: mention
        for mention in analysis.answers
        if low <= mention.leaf < high and mention.strength not in (CONCLUDED, HEDGED)
    }
    if (first := analysis.first_correct) is not None and low <= first.leaf < high:
        stating[first.leaf] = first
    firm = [stating[leaf] for leaf in sorted(stating)]
    return [
        mention
        for number, mention in enumerate(firm)
        if number + 1 == len(firm)
        or firm[number + 1].value != mention.value
        or _works_between(analysis.segments, mention.leaf, firm[number + 1].leaf)
    ]


def _works_between(segments: Sequence[Segment], one: int, other: int) -> bool:
    """Something is worked out or tried anew between two equal statements."""
    return any(
        leaf.kind in (kinds.COMPUTATION, kinds.CHANGE, kinds.BACKTRACK, kinds.SELF_CHECKING)
        for leaf in segments[one + 1 : other]
    )


def _turn(
    segments: Sequence[Segment], first: int, last: int, mention: AnswerMention | None
) -> Turn:
    return Turn(
        first,
        last,
        segments[first].start,
        segments[last - 1].end,
        mention.value if mention else None,
        mention.matches if mention else None,
    )
