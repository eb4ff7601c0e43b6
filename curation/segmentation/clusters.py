"""Attempts (solutions and checks) of a trace, whether each is right, and which share a method.

Two attempts share a method when they speak in the same words and formulas: the cosine of their
words, weighted by how rare each is within the trace, and the share of equations they have in
common, whichever says more. With an ``embed`` function the cosine of the attempts' vectors is
taken beside the words. DLCoT asks a model whether a solution is new by five criteria (another
method, other intermediate steps, other assumptions, general or special, much simpler); the rules
see the first two.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curation.segmentation.attempts import EXPLORE, VERIFY
from curation.segmentation.equations import normalised_equations
from curation.segmentation.statements import HEDGED
from curation.segmentation.types import AnswerMention, Segment

CORRECT, INCORRECT, INCOMPLETE = "Correct", "Incorrect", "Incomplete"
# An attempt joins a cluster when it is this similar to the cluster's first member. Chosen by
# reading clusters of real traces; the paper's come from a model and have no threshold.
SAME_METHOD = 0.5
SAME_VECTORS = 0.9
# An equation that both share counts from this many on; one alone is the problem's own.
SHARED_EQUATIONS = 2
_TEXT_LIMIT = 20_000
_WORD = re.compile(r"[a-z]{3,20}")
_COMMON = frozenset(
    [
        *("the", "and", "that", "this", "with", "for", "are", "have", "which", "from", "not"),
        *("but", "let", "then", "can", "was", "will", "would", "wait", "maybe", "alternatively"),
        *("check", "again", "now", "also", "just", "perhaps", "since", "because", "frac", "cdot"),
        *("text", "left", "right", "sqrt", "times", "think", "another", "approach", "way"),
    ]
)
Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Leaves ``first`` to ``last`` (exclusive) of one solution or check, and DLCoT's label1.

    ``name`` is that of the path ("Solution 2", "Check 1"); ``number`` counts all attempts from 1.
    """

    number: int
    name: str
    part: str
    first: int
    last: int
    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """Numbers of the attempts that share a method, the first one first, and why."""

    members: tuple[int, ...]
    reason: str


def find_attempts(segments: Sequence[Segment], mentions: Sequence[AnswerMention]) -> list[Attempt]:
    """Solutions and checks in their order, each with its label against the reference.

    ``Correct``: the last answer it states is the reference; ``Incorrect``: it is not;
    ``Incomplete``: it states none, or nobody knows.
    """
    runs: list[tuple[tuple[str, ...], int, int]] = []
    for index, leaf in enumerate(segments):
        if leaf.path[:1] not in ((EXPLORE,), (VERIFY,)):
            continue
        if runs and runs[-1][0] == leaf.path and runs[-1][2] == index:
            runs[-1] = (leaf.path, runs[-1][1], index + 1)
        else:
            runs.append((leaf.path, index, index + 1))
    labels = _labels(runs, mentions)
    return [
        Attempt(
            number,
            path[-1],
            path[0],
            low,
            high,
            segments[low].start,
            segments[high - 1].end,
            label,
        )
        for number, ((path, low, high), label) in enumerate(zip(runs, labels, strict=True), 1)
    ]


def _labels(
    runs: Sequence[tuple[tuple[str, ...], int, int]], mentions: Sequence[AnswerMention]
) -> list[str]:
    labels = [INCOMPLETE] * len(runs)
    at = 0
    for mention in mentions:
        while at < len(runs) and runs[at][2] <= mention.leaf:
            at += 1
        if at == len(runs):
            break
        if mention.leaf < runs[at][1] or mention.strength == HEDGED or mention.matches is None:
            continue
        labels[at] = CORRECT if mention.matches else INCORRECT
    return labels


def cluster_attempts(
    text: str, attempts: Sequence[Attempt], embed: Embed | None = None
) -> list[Cluster]:
    """Clusters by method, in the order of their first members; members in numeric order.

    Each attempt joins the earliest cluster whose first member it resembles. Cost: attempts times
    clusters.
    """
    bodies = [text[attempt.start : attempt.end][:_TEXT_LIMIT] for attempt in attempts]
    words = _weighted([Counter(_words(body)) for body in bodies])
    equations = [normalised_equations(body) for body in bodies]
    vectors = [list(map(float, vector)) for vector in embed(bodies)] if embed and bodies else []
    groups: list[list[int]] = []
    reasons: list[str] = []
    for index in range(len(attempts)):
        for group, found in enumerate(groups):
            reason = _resembles(index, found[0], words, equations, vectors)
            if reason:
                found.append(index)
                reasons[group] = reasons[group] or reason
                break
        else:
            groups.append([index])
            reasons.append("")
    return [
        Cluster(tuple(attempts[i].number for i in group), reason or "no other attempt is like it")
        for group, reason in zip(groups, reasons, strict=True)
    ]


def _resembles(
    one: int,
    other: int,
    words: Sequence[dict[str, float]],
    equations: Sequence[frozenset[str]],
    vectors: Sequence[Sequence[float]],
) -> str:
    """Why two attempts have the same method; empty when they have not."""
    shared = equations[one] & equations[other]
    least = min(len(equations[one]), len(equations[other]))
    if len(shared) >= SHARED_EQUATIONS and len(shared) >= SAME_METHOD * least:
        return f"{len(shared)} equations in common"
    if (same := _dot(words[one], words[other])) >= SAME_METHOD:
        return f"the same words (cosine {same:.2f})"
    if vectors and (near := cosine(vectors[one], vectors[other])) >= SAME_VECTORS:
        return f"near in meaning (cosine {near:.2f})"
    return ""


def _words(body: str) -> list[str]:
    return [word for word in _WORD.findall(body.lower()) if word not in _COMMON]


def _weighted(counts: Sequence[Counter[str]]) -> list[dict[str, float]]:
    """TF-IDF within one trace, each vector of length 1."""
    spread = Counter(word for count in counts for word in count)
    total = len(counts)
    found = []
    for count in counts:
        raw = {
            word: (1 + math.log(times)) * (1 + math.log((1 + total) / (1 + spread[word])))
            for word, times in count.items()
        }
        norm = math.sqrt(sum(value * value for value in raw.values())) or 1.0
        found.append({word: value / norm for word, value in raw.items()})
    return found


def _dot(one: dict[str, float], other: dict[str, float]) -> float:
    small, large = (one, other) if len(one) < len(other) else (other, one)
    return sum(value * large.get(word, 0.0) for word, value in small.items())


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of two vectors of one length; 0 where one has no length."""
    norms = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / norms if norms else 0.0
