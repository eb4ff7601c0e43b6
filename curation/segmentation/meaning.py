"""Leaves that say again what an earlier leaf said, in other words: by vectors of a model.

Repeats by words and by equations need no model (``repeats``, ``equations``). Vectors find
paraphrases, and also sentences that only look alike: "12 + 30 = 42" is near "12 + 31 = 43". So a
leaf counts only if it is near an earlier one and has the same numbers, names, relations and words
of contrast ("not", "second") in the same order. Leaves that have none ("Substituting these back:")
are not compared: what they speak of stands elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from curation.segmentation import kinds
from curation.segmentation.analysis import Analysis
from curation.segmentation.clusters import Embed, cluster_attempts, cosine, find_attempts
from curation.segmentation.cutting import (
    cuts_over,
    is_right,
    keeps_answer,
    may_cut,
    with_clean_edges,
)
from curation.segmentation.equations import find_redone
from curation.segmentation.seams import reads_on
from curation.segmentation.types import Cut, Evidence, Segment

REWORDED = "reworded"
# Cosine of MiniLM vectors from which two leaves say the same; chosen by reading real pairs
# (docs/segmentation.md).
NEAR = 0.9
# Shorter leaves ("So, that is it.") say too little to be compared, longer ones too much.
LEAST, MOST = 40, 1_000
# Of the leaves that speak of the same so many, the first ones, are compared with.
_COMPARED = 16
# What a sentence is about and says of it: numbers, names, relations, and words that turn it round.
_THINGS = re.compile(
    r"\d+(?:\.\d+)?[A-Za-z]?\b|\d+(?:\.\d+)?|\\[A-Za-z]+|\b[A-Za-z]{1,3}_\{?\w+"
    r"|\b[A-Za-z]\d*\b|[-+*/^=<>≤≥≠|·×÷()]"
    r"|\b(?:not|no|never|cannot|\w+n't|first|second|third|fourth|last|next|odd|even|left|right"
    r"|positive|negative|minimum|maximum|smallest|largest|more|less|before|after|true|false"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|all|both|only|either|neither|every|any"
    r"|must|can|could|may|might|should|exactly|least|most)\b"
)
_SPACING = re.compile(r"\\[()\[\],;!: ]|\\(?:left|right|quad|qquad|text|cdot|times)(?![A-Za-z])")
_PLAIN = frozenset(("a", "A", "I", "s", "t"))


def things(body: str) -> tuple[str, ...]:
    """Numbers, names, relations and words of contrast of a leaf, in their order."""
    found = _THINGS.findall(_SPACING.sub(" ", body.replace("’", "'")))
    return tuple(thing for thing in found if thing not in _PLAIN)


def find_reworded(
    text: str,
    segments: Sequence[Segment],
    embed: Embed,
    known: AbstractSet[int] = frozenset(),
    near: float = NEAR,
) -> dict[int, tuple[int, float]]:
    """Leaf -> (the nearest earlier leaf that says it, their cosine).

    ``known`` are leaves that repeat by other signs: they are neither found nor compared with. Only
    leaves that speak of the same as another one are given to ``embed``, all in one call.
    """
    groups = _alike(text, segments, known)
    index = sorted(i for group in groups for i in group)
    if not index:
        return {}
    bodies = [text[segments[i].start : segments[i].end].strip() for i in index]
    vectors = {i: list(map(float, v)) for i, v in zip(index, embed(bodies), strict=True)}
    found: dict[int, tuple[int, float]] = {}
    for group in groups:
        for number, leaf in enumerate(group[1:], 1):
            earlier = group[: min(number, _COMPARED)]
            place, near_by = max(
                ((other, cosine(vectors[leaf], vectors[other])) for other in earlier),
                key=lambda pair: pair[1],
            )
            if near_by >= near:
                found[leaf] = (place, near_by)
    return found


def _alike(text: str, segments: Sequence[Segment], known: AbstractSet[int]) -> list[list[int]]:
    """Leaves that speak of the same, in groups of two and more."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, leaf in enumerate(segments):
        settled = leaf.kind in (kinds.TAG, kinds.FINAL_ANSWER)
        if index in known or settled or not LEAST <= leaf.end - leaf.start <= MOST:
            continue
        if about := things(text[leaf.start : leaf.end]):
            groups.setdefault(about, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def with_meaning(analysis: Analysis, embed: Embed) -> Analysis:
    """The analysis with what vectors add to it: reworded leaves, and clusters of attempts."""
    text, segments = analysis.text, analysis.segments
    known = {*analysis.repeats, *find_redone(text, segments, analysis.repeats)}
    found = find_reworded(text, segments, embed, known)
    attempts = find_attempts(segments, analysis.answers)
    clusters = tuple(cluster.members for cluster in cluster_attempts(text, attempts, embed))
    reworded = tuple((index, *place) for index, place in sorted(found.items()))
    return replace(analysis, evidence=Evidence(clusters=clusters, reworded=reworded))


def reworded_cuts(analysis: Analysis) -> list[Cut]:
    """Reworded leaves as cuts: of right traces, where the text reads on and the answer stays."""
    if not is_right(analysis):
        return []
    stating = {mention.leaf for mention in analysis.answers if mention.matches is not False}
    cuts: list[Cut] = []
    for index, first, near_by in analysis.evidence.reworded:
        if may_cut(analysis, index) and index not in stating:
            where = analysis.segments[first].start
            reason = f"says again what the segment at {where} says (cosine {near_by:.2f})"
            cuts += cuts_over(analysis.segments, [index], reason, REWORDED)
    edged = with_clean_edges(analysis, cuts)
    kept = [cut for cut in edged if reads_on(analysis.text, cut, concluding=False)]
    return kept if keeps_answer(analysis, kept) else []
