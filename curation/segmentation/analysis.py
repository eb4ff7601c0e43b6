"""One pass over a trace: split, leaves, kinds, answers on the way, repeats, loop, paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from curation.segmentation import attempts, kinds
from curation.segmentation.answers import (
    final_value,
    find_answers,
    first_correct,
    with_matches,
)
from curation.segmentation.leaves import Leaf, split_leaves
from curation.segmentation.repeats import find_loop, find_repeats, leaf_ids
from curation.segmentation.statements import BOXED, CONCLUDED, HEDGED, STATED
from curation.segmentation.tags import ReasoningSplit, find_tags
from curation.segmentation.types import (
    NO_EVIDENCE,
    AnswerMention,
    Equal,
    Evidence,
    Loop,
    Segment,
)

# Gives the same leaves other kinds.
Relabel = Callable[[str, Sequence[Segment]], Sequence[Segment]]
# Puts other leaves in the place of those of the rules; they partition the text as well.
Resplit = Callable[[str, Sequence[Leaf]], Sequence[Leaf]]


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that the rules find in a trace.

    ``repeats`` maps a leaf to the earlier leaf it repeats; ``first_correct`` is the first statement
    of the reference answer (None without a reference). ``evidence`` is what others know of it.
    """

    text: str = field(repr=False)
    split: ReasoningSplit
    segments: tuple[Segment, ...]
    answers: tuple[AnswerMention, ...]
    first_correct: AnswerMention | None
    repeats: dict[int, int]
    loop: Loop | None
    evidence: Evidence = NO_EVIDENCE


def analyse(
    text: str,
    reference: str | None = None,
    equal: Equal | None = None,
    relabel: Relabel | None = None,
    resplit: Resplit | None = None,
) -> Analysis:
    """Segment a trace and keep what was found on the way.

    ``relabel`` is a trained classifier that takes the place of the rules of ``kinds``, ``resplit``
    a model that takes the place of the rules of ``leaves``.

    Raises ValueError for text with lone surrogates, which no database or file can hold.
    """
    _refuse_surrogates(text)
    found = find_tags(text)
    parts: Sequence[Leaf] = split_leaves(text, found.tags)
    if resplit is not None:
        parts = resplit(text, parts)
    leaves = _classified(text, parts, found.split)
    mentions = find_answers(text, leaves, reference, equal)
    leaves = _with_answers(leaves, mentions)
    if relabel is not None:
        leaves = list(relabel(text, leaves))
    obtained = _obtained(text, leaves, mentions, reference, equal)
    placed = attempts.place(leaves, found.split, obtained, mentions)
    return _complete(text, found.split, placed, mentions, reference)


def segment(text: str, reference: str | None = None, equal: Equal | None = None) -> list[Segment]:
    """The leaves of a trace: ranges that partition ``text``, each with its kind and its path."""
    return list(analyse(text, reference, equal).segments)


def study(
    text: str,
    segments: Sequence[Segment],
    reference: str | None = None,
    equal: Equal | None = None,
    evidence: Evidence | None = None,
) -> Analysis:
    """The analysis of given segments (ValueError when they do not partition ``text``)."""
    ends = [0, *(part.end for part in segments)]
    if [part.start for part in segments] != ends[:-1] or ends[-1] != len(text):
        raise ValueError("the segments do not partition the text")
    mentions = find_answers(text, segments, reference, equal)
    found = _complete(text, find_tags(text).split, segments, mentions, reference)
    return replace(found, evidence=evidence) if evidence else found


def _complete(
    text: str,
    split: ReasoningSplit,
    segments: Sequence[Segment],
    mentions: Sequence[AnswerMention],
    reference: str | None,
) -> Analysis:
    ids = leaf_ids(text, segments)
    end = len(text) if split.style == "none" else split.reasoning_end
    return Analysis(
        text=text,
        split=split,
        segments=tuple(segments),
        answers=tuple(mentions),
        first_correct=first_correct(text, segments, mentions, reference) if reference else None,
        repeats=find_repeats(text, segments, ids),
        loop=find_loop(text, segments, ids, end),
    )


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"lone surrogate at {error.start}: not text") from None


def _classified(text: str, leaves: Sequence[Leaf], split: ReasoningSplit) -> list[Segment]:
    known: dict[str, str] = {}
    segments: list[Segment] = []
    opening = True
    for leaf in leaves:
        if leaf.is_tag:
            segments.append(Segment(leaf.start, leaf.end, kinds.TAG, ()))
            continue
        part = text[leaf.start : leaf.end]
        first = opening and leaf.end > split.reasoning_start
        kind = kinds.classify(part, first=True) if first else known.get(part)
        if kind is None:
            kind = known[part] = kinds.classify(part)
        opening = opening and not first
        segments.append(Segment(leaf.start, leaf.end, kind, ()))
    return segments


def _with_answers(leaves: list[Segment], mentions: Sequence[AnswerMention]) -> list[Segment]:
    """A leaf that firmly states an answer is a final answer, whatever its words look like."""
    for mention in mentions:
        if mention.strength in (BOXED, STATED):
            leaves[mention.leaf] = replace(leaves[mention.leaf], kind=kinds.FINAL_ANSWER)
    return leaves


def _obtained(
    text: str,
    leaves: Sequence[Segment],
    mentions: Sequence[AnswerMention],
    reference: str | None,
    equal: Equal | None,
) -> AnswerMention | None:
    """The answer at which exploring ends.

    The first correct one where the reference is known (DLCoT's completeness repair: a wrong first
    answer does not end the exploration); else the first statement of what the trace itself ends
    with; else the first firm statement.
    """
    if reference and (found := first_correct(text, leaves, mentions, reference)):
        return found
    value = final_value(mentions)
    if value is None:
        return None
    own = with_matches(mentions, value, equal)
    firm = (m for m in mentions if m.strength not in (CONCLUDED, HEDGED))
    return first_correct(text, leaves, own, value) or next(firm, None)
