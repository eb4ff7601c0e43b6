"""Named policies that propose cuts: ranges of whole leaves with a reason, never edits.

Only the reasoning is ever cut: no tag, no answer part, nothing of the conclusion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curation.segmentation import kinds
from curation.segmentation.analysis import Analysis, study
from curation.segmentation.attempts import CONCLUSION, QUESTION, VERIFY
from curation.segmentation.statements import BOXED, STATED
from curation.segmentation.types import Cut, Equal, Segment

AFTER_FIRST_CORRECT = "after-first-correct"
LOOPS = "loops"
REPEATS = "repeats"
_CONCLUDING = (kinds.CONSOLIDATION, kinds.FINAL_ANSWER, kinds.COMPUTATION)
Policy = Callable[[Analysis], list[Cut]]


@dataclass(frozen=True, slots=True)
class Derived:
    """What is left after cuts: the text, the kept ranges of the parent, and what was put between.

    ``insertions`` are (position in the derived text, inserted white space): they keep apart what
    a cut would have joined on one line.
    """

    text: str
    kept: tuple[tuple[int, int], ...]
    insertions: tuple[tuple[int, str], ...]


def propose_cuts(
    text: str,
    segments: Sequence[Segment],
    reference: str | None = None,
    policy: str = AFTER_FIRST_CORRECT,
    equal: Equal | None = None,
) -> list[Cut]:
    """Cuts of a named policy, in order, disjoint and made of whole segments.

    Raises KeyError for an unknown policy and ValueError when ``segments`` are not ``text``.
    """
    propose = POLICIES[policy]
    return propose(study(text, segments, reference, equal))


def cuts_of(analysis: Analysis, policy: str) -> list[Cut]:
    """The same from an analysis at hand."""
    return POLICIES[policy](analysis)


def apply_cuts(text: str, cuts: Sequence[Cut]) -> Derived:
    """Drop the cuts; ValueError when they overlap, are empty or lie outside the text."""
    ordered = sorted(cuts, key=lambda cut: cut.start)
    kept: list[tuple[int, int]] = []
    cursor = 0
    for cut in ordered:
        if not cursor <= cut.start < cut.end <= len(text):
            raise ValueError(f"cut {cut.start}-{cut.end} overlaps another or is not in the text")
        kept += [(cursor, cut.start)] if cursor < cut.start else []
        cursor = cut.end
    kept += [(cursor, len(text))] if cursor < len(text) else []
    return _joined(text, kept)


def _joined(text: str, kept: list[tuple[int, int]]) -> Derived:
    pieces: list[str] = []
    insertions: list[tuple[int, str]] = []
    size = 0
    for start, end in kept:
        gap = _gap(text, pieces[-1][-1:], start) if pieces else ""
        if gap:
            insertions.append((size, gap))
            pieces.append(gap)
        pieces.append(text[start:end])
        size += len(gap) + end - start
    return Derived("".join(pieces), tuple(kept), tuple(insertions))


def _gap(text: str, before: str, start: int) -> str:
    """The white space that ended what was cut, where the kept text before it has no line end."""
    if before == "\n":
        return ""
    low = start
    while low > max(0, start - 8) and text[low - 1].isspace():
        low -= 1
    space = text[low:start]
    return space if "\n" in space else "" if before.isspace() else space


def _after_first_correct(analysis: Analysis) -> list[Cut]:
    """What stands between the first statement of the verified answer and the conclusion.

    Only where the trace also ends with the verified answer: a reasoning that found it and then
    concludes something else would contradict itself after the cut.
    """
    first = analysis.first_correct
    firm = [mention for mention in analysis.answers if mention.strength in (BOXED, STATED)]
    if first is None or not analysis.split.closed or not firm or not firm[-1].matches:
        return []
    behind = [
        index
        for index in range(_statement_end(analysis, first.leaf), len(analysis.segments))
        if _may_cut(analysis, index)
    ]
    reason = f"the verified answer {_short(first.value)} is already stated at {first.start}"
    return _cuts(analysis.segments, behind, reason, AFTER_FIRST_CORRECT)


def _statement_end(analysis: Analysis, leaf: int) -> int:
    """The leaf behind the statement: "12 + 30 = 42." and "So the answer is 42." are one."""
    stating = {mention.leaf for mention in analysis.answers if mention.matches}
    end = leaf + 1
    while end in stating and analysis.segments[end].kind in _CONCLUDING:
        end += 1
    return end


def _loops(analysis: Analysis) -> list[Cut]:
    loop = analysis.loop
    if loop is None:
        return []
    inside = [
        index
        for index, segment in enumerate(analysis.segments)
        if segment.start >= loop.start and segment.end <= loop.end and _may_cut(analysis, index)
    ]
    cycle = f"{loop.period} segments" if loop.period else "a few characters"
    reason = f"a cycle of {cycle} comes {loop.times} times; nothing new after {loop.start}"
    return _cuts(analysis.segments, inside, reason, LOOPS)


def _repeats(analysis: Analysis) -> list[Cut]:
    cuts: list[Cut] = []
    for index, first in sorted(analysis.repeats.items()):
        if _may_cut(analysis, index) and analysis.segments[index].kind != kinds.FINAL_ANSWER:
            where = analysis.segments[first].start
            reason = f"repeats the segment at {where} word for word"
            cuts += _cuts(analysis.segments, [index], reason, REPEATS)
    return cuts


def _may_cut(analysis: Analysis, index: int) -> bool:
    """A leaf of the reasoning that is no tag and belongs to no part that is always kept."""
    segment, split = analysis.segments[index], analysis.split
    if segment.kind == kinds.TAG or segment.path[:1] in ((QUESTION,), (CONCLUSION,)):
        return False
    if split.style == "none":
        return segment.path[:1] == (VERIFY,) or analysis.loop is not None
    return split.reasoning_start <= segment.start and segment.end <= split.reasoning_end


def _cuts(segments: Sequence[Segment], indexes: list[int], reason: str, policy: str) -> list[Cut]:
    """Cuts over runs of neighbouring leaves."""
    cuts: list[Cut] = []
    for index in indexes:
        segment = segments[index]
        if cuts and cuts[-1].end == segment.start:
            cuts[-1] = Cut(cuts[-1].start, segment.end, reason, policy)
        else:
            cuts.append(Cut(segment.start, segment.end, reason, policy))
    return cuts


def _short(value: str) -> str:
    return value if len(value) <= 40 else value[:39] + "…"


POLICIES: dict[str, Policy] = {
    AFTER_FIRST_CORRECT: _after_first_correct,
    LOOPS: _loops,
    REPEATS: _repeats,
}
