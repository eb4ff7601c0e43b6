"""What policies share: which leaves may go, runs of leaves as cuts, and their clean edges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from curation.segmentation import kinds
from curation.segmentation.analysis import Analysis
from curation.segmentation.attempts import CONCLUSION, QUESTION, VERIFY
from curation.segmentation.cues import self_talk
from curation.segmentation.statements import BOXED, HEDGED, STATED
from curation.segmentation.types import Cut, Segment

# Words that announce what a cut then drops: "Wait, let me double-check that.", "as follows:".
_ANNOUNCES = re.compile(
    r"(?::|,|\b(?:let me|let's|i should|i need to|i'll|to be (?:sure|thorough|safe))\b"
    r"[^.!?\n]{0,80}"
    r"\b(?:check|verify|confirm|recheck|think|see|try|consider|make sure|re-?examine|recalculate"
    r"|formalize|compute|calculate|list|count|write|go through|start over|look at)\b"
    r"[^.!?\n]{0,80}[.!?]?"
    r"|\b(?:another|a different|an alternative|some other)\s(?:way|approach|method|path|idea)\b"
    r"[^.!?\n]{0,80}[.!?]?"
    r"|^(?:\W*(?:wait|hmm+|hold on|alternatively|actually)\b[^.!?\n]{0,30}[.!?,]?))\s*$",
    re.IGNORECASE,
)
_OPEN_END = re.compile(
    r"(?:^|[\s.!?])(?:wait|hmm+|but|alternatively|however|hold on|actually|and|or|because|so)$"
    r"|[:,=]$",
    re.IGNORECASE,
)
_EDGE_LEAVES, _EDGE_LIMIT = 3, 220


def may_cut(analysis: Analysis, index: int) -> bool:
    """A leaf of the reasoning that is no tag and belongs to no part that is always kept."""
    segment, split = analysis.segments[index], analysis.split
    if segment.kind == kinds.TAG or segment.path[:1] in ((QUESTION,), (CONCLUSION,)):
        return False
    if split.style == "none":
        return segment.path[:1] == (VERIFY,) or analysis.loop is not None
    return split.reasoning_start <= segment.start and segment.end <= split.reasoning_end


def is_right(analysis: Analysis) -> bool:
    """A closed reasoning whose trace ends with the verified answer."""
    firm = [mention for mention in analysis.answers if mention.strength in (BOXED, STATED)]
    return analysis.split.closed and bool(firm) and firm[-1].matches is True


def cuts_over(
    segments: Sequence[Segment], indexes: Iterable[int], reason: str, policy: str
) -> list[Cut]:
    """Cuts over runs of neighbouring leaves; ``indexes`` rise."""
    cuts: list[Cut] = []
    for index in indexes:
        segment = segments[index]
        if cuts and cuts[-1].end == segment.start:
            cuts[-1] = Cut(cuts[-1].start, segment.end, reason, policy)
        else:
            cuts.append(Cut(segment.start, segment.end, reason, policy))
    return cuts


def merged(cuts: Iterable[Cut]) -> list[Cut]:
    """The same ranges in order; neighbours of one reason become one cut."""
    found: list[Cut] = []
    for cut in sorted(cuts, key=lambda cut: (cut.start, cut.end)):
        if found and cut.start <= found[-1].end:
            last = found[-1]
            found[-1] = Cut(last.start, max(last.end, cut.end), last.reason, last.policy)
        else:
            found.append(cut)
    return found


def with_clean_edges(analysis: Analysis, cuts: Sequence[Cut]) -> list[Cut]:
    """Cuts that leave no announcement of what they drop, and no "Yes, that is right." behind it.

    A short leaf before a cut that only announces it goes too; where it may not go, what it
    announces stays. A cut that neither mends is left out. Leaves behind a cut that only affirm or
    doubt what it drops go with it.
    """
    at = {leaf.start: index for index, leaf in enumerate(analysis.segments)}
    stating = {mention.leaf for mention in analysis.answers if mention.matches}
    grown: list[Cut] = []
    for cut in cuts:
        start = _grown(analysis, at, stating, cut.start, grown[-1].end if grown else 0)
        start = _shrunk(analysis, at, start, cut.end)
        if start < cut.end:
            end = _answered(analysis, at, stating, cut.end)
            grown.append(Cut(start, end, cut.reason, cut.policy))
    return merged(grown)


def _answered(analysis: Analysis, at: dict[int, int], stating: set[int], end: int) -> int:
    """The end of the leaves behind a cut that only answer it ("Yes, that is right.")."""
    for _ in range(_EDGE_LEAVES):
        index = at.get(end)
        if index is None or not may_cut(analysis, index) or index in stating:
            break
        leaf = analysis.segments[index]
        if self_talk(analysis.text[leaf.start : leaf.end]) is None:
            break
        end = leaf.end
    return end


def _grown(
    analysis: Analysis, at: dict[int, int], stating: set[int], start: int, floor: int
) -> int:
    index = at.get(start)
    for _ in range(_EDGE_LEAVES):
        if not index or not may_cut(analysis, index - 1) or index - 1 in stating:
            break
        leaf = analysis.segments[index - 1]
        if leaf.start < floor or not _announces(analysis, leaf):
            break
        start, index = leaf.start, index - 1
    return start


def _shrunk(analysis: Analysis, at: dict[int, int], start: int, end: int) -> int:
    """The end of the announced leaf where the announcement before ``start`` stays; or ``end``."""
    for _ in range(_EDGE_LEAVES):
        index = at.get(start)
        if not index or not _ends_open(analysis.text, start):
            return start
        start = analysis.segments[index].end
        if start >= end:
            return end
    return end


def _announces(analysis: Analysis, leaf: Segment) -> bool:
    body = analysis.text[leaf.start : leaf.end]
    if len(body) > _EDGE_LIMIT or ("=" in body and not body.rstrip().endswith(":")):
        return False  # it works something out
    return _ANNOUNCES.search(body.rstrip()) is not None


def _ends_open(text: str, place: int) -> bool:
    """The text before ``place`` ends with a colon, a comma or an opening word."""
    return _OPEN_END.search(text[max(0, place - 60) : place].rstrip()) is not None


def keeps_answer(analysis: Analysis, cuts: Sequence[Cut]) -> bool:
    """What is left of the reasoning still states the verified answer, and not as a guess."""
    end = len(analysis.text) if analysis.split.style == "none" else analysis.split.reasoning_end
    return any(
        mention.matches
        and mention.strength != HEDGED
        and mention.end <= end
        and not any(cut.start < mention.end and mention.start < cut.end for cut in cuts)
        for mention in analysis.answers
    )
