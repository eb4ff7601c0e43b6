"""Prefixes of a trace for proof by continuation, and what their pass rates say. Pure.

The prefix ends before the leaf in which the answer is stated for the first time, so that a model
that continues has to arrive at it. ``pruned`` lacks the cuts of a policy, ``random`` lacks as much
elsewhere (whole leaves), ``empty`` is nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from curation.segmentation import kinds
from curation.segmentation.analysis import Analysis
from curation.segmentation.joins import apply_cuts
from curation.segmentation.policies import POLICIES
from curation.segmentation.turns import find_turns, reasoning_leaves
from curation.segmentation.types import Cut

ORIGINAL, PRUNED, RANDOM, EMPTY = "original", "pruned", "random", "empty"
ARMS = (ORIGINAL, PRUNED, RANDOM, EMPTY)
Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prefix to continue from: its text, where it ends in the trace, what it holds of it."""

    arm: str
    text: str
    position: int
    kept: tuple[tuple[int, int], ...]


def before_answer(analysis: Analysis) -> int | None:
    """Start of the first leaf of the reasoning that states the answer in any way; None without.

    Guesses count too: a prefix that already says "maybe 42" proves nothing.
    """
    low, high = reasoning_leaves(analysis)
    for mention in analysis.answers:
        if mention.matches and low <= mention.leaf < high:
            return analysis.segments[mention.leaf].start
    return None


def arms_of(analysis: Analysis, policy: str, seed: int) -> dict[str, Prefix] | None:
    """The four prefixes of a trace; None where the policy cuts nothing before the answer."""
    position = before_answer(analysis)
    if position is None:
        return None
    cuts = [cut for cut in POLICIES[policy](analysis) if cut.end <= position]
    size = sum(cut.end - cut.start for cut in cuts)
    if not cuts:
        return None
    elsewhere = random_cuts(analysis, position, size, seed, without=cuts)
    return {
        ORIGINAL: _prefix(analysis.text, ORIGINAL, position, []),
        PRUNED: _prefix(analysis.text, PRUNED, position, cuts),
        RANDOM: _prefix(analysis.text, RANDOM, position, elsewhere),
        EMPTY: Prefix(EMPTY, "", 0, ()),
    }


def _prefix(text: str, arm: str, position: int, cuts: Sequence[Cut]) -> Prefix:
    derived = apply_cuts(text[:position], cuts)
    return Prefix(arm, derived.text, position, derived.kept)


def span_of(analysis: Analysis, policy: str, seed: int) -> Prefix | None:
    """A prefix that lacks one span of code points, drawn by ``seed``, as long as what the policy
    cuts before the answer; it may begin and end within a leaf. None where ``arms_of`` is None."""
    position = before_answer(analysis)
    if position is None:
        return None
    size = sum(c.end - c.start for c in POLICIES[policy](analysis) if c.end <= position)
    low = analysis.segments[reasoning_leaves(analysis)[0]].start
    if not size:
        return None
    start = random.Random(seed).randint(low, position - size)  # noqa: S311 not secret
    kept = ((0, start), (start + size, position))
    text = analysis.text[:start] + analysis.text[start + size : position]
    return Prefix(RANDOM, text, position, kept)


def random_cuts(
    analysis: Analysis, position: int, size: int, seed: int, without: Sequence[Cut] = ()
) -> list[Cut]:
    """Whole leaves drawn by ``seed``, about ``size`` code points of them, before ``position``.

    Of the draws the one whose size is nearest is taken, at least one leaf. A draw that drops the
    same as ``without`` is drawn again: it would compare the policy with itself.
    """
    low, high = reasoning_leaves(analysis)
    free = [i for i in range(low, high) if analysis.segments[i].end <= position]
    draw = random.Random(seed)  # noqa: S311 reproducible, not secret
    best: list[int] = []
    for _ in range(20):
        draw.shuffle(free)
        chosen = _up_to(analysis, free, size)
        if _inside(analysis, chosen, without):
            continue
        if not best or _gap(analysis, chosen, size) < _gap(analysis, best, size):
            best = chosen
    return [
        Cut(analysis.segments[i].start, analysis.segments[i].end, "at random", "random")
        for i in sorted(best)
    ]


def _up_to(analysis: Analysis, order: Sequence[int], size: int) -> list[int]:
    chosen: list[int] = []
    total = 0
    for index in order:
        length = analysis.segments[index].end - analysis.segments[index].start
        if not chosen or abs(total + length - size) < abs(total - size):
            chosen.append(index)
            total += length
    return chosen


def _inside(analysis: Analysis, chosen: Sequence[int], cuts: Sequence[Cut]) -> bool:
    """Whether all of these leaves are dropped by the cuts anyway."""
    leaves = [analysis.segments[i] for i in chosen]
    return all(any(c.start <= leaf.start and leaf.end <= c.end for c in cuts) for leaf in leaves)


def _gap(analysis: Analysis, chosen: Sequence[int], size: int) -> int:
    return abs(sum(analysis.segments[i].end - analysis.segments[i].start for i in chosen) - size)


def cut_points(analysis: Analysis) -> list[int]:
    """Ends of leaves of the reasoning, rising: where a search may end a prefix; first is its start.

    The leaf that states the answer first is the last that a search needs.
    """
    low, high = reasoning_leaves(analysis)
    if low >= high:
        return []
    last = analysis.first_correct.leaf + 1 if analysis.first_correct else high
    ends = [analysis.segments[i].end for i in range(low, max(low, min(last, high)))]
    return [analysis.segments[low].start, *ends]


def chunk_points(analysis: Analysis) -> list[int]:
    """Ends of the turns of the reasoning, for the value of each (Long(x)Short) or a truncation at
    each (JET); the first point is the start of the reasoning."""
    turns = find_turns(analysis)
    return [turns[0].start, *(turn.end for turn in turns)] if turns else []


def switch_points(analysis: Analysis) -> list[int]:
    """Starts of leaves that change the approach: where Retro-Search goes on without the change."""
    low, high = reasoning_leaves(analysis)
    return [
        analysis.segments[i].start
        for i in range(low, high)
        if analysis.segments[i].kind == kinds.CHANGE
    ]


@dataclass(frozen=True, slots=True)
class Search:
    """Binary search for the shortest sufficient prefix among rising ``points``.

    Validity need not be monotone (Efficient Long CoT does not say how it deals with that): every
    probe is kept, and the shortest point that was found sufficient is taken.
    """

    points: tuple[int, ...]
    low: int = 0
    high: int = 0
    best: int | None = None

    @classmethod
    def over(cls, points: Sequence[int]) -> Search:
        return cls(tuple(points), 0, len(points) - 1)

    @property
    def asks(self) -> int | None:
        """The position to probe next; None when the search has ended."""
        return self.points[(self.low + self.high) // 2] if self.low <= self.high else None

    def told(self, sufficient: bool) -> Search:
        """The search after the probe it asked for."""
        middle = (self.low + self.high) // 2
        if sufficient:
            return Search(self.points, self.low, middle - 1, self.points[middle])
        return Search(self.points, middle + 1, self.high, self.best)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Pass rate of an arm, and its difference to the original with a 95 % interval.

    The interval is that of the mean of the differences per trace: samples of one trace are not
    independent. ``compare`` may take another arm than the original to compare with.
    """

    arm: str
    n: int
    correct: int
    rate: float
    difference: float
    low: float
    high: float


def compare(
    results: Mapping[int, Mapping[str, tuple[int, int]]],
    arms: Sequence[str] = ARMS,
    against: str = ORIGINAL,
) -> list[Comparison]:
    """``results``: trace -> arm -> (correct, judged); a trace that lacks an arm is not in it."""
    found = []
    for arm in arms:
        pairs = [
            (row[arm], row[against])
            for row in results.values()
            if arm in row and against in row and row[arm][1] and row[against][1]
        ]
        if pairs:
            found.append(_compared(arm, pairs))
    return found


def _compared(arm: str, pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> Comparison:
    differences = [one[0] / one[1] - two[0] / two[1] for one, two in pairs]
    mean = sum(differences) / len(differences)
    spread = sum((value - mean) ** 2 for value in differences) / max(1, len(differences) - 1)
    error = Z95 * math.sqrt(spread / len(differences))
    correct, n = sum(one[0] for one, _ in pairs), sum(one[1] for one, _ in pairs)
    return Comparison(arm, n, correct, correct / n, mean, mean - error, mean + error)


@dataclass(frozen=True, slots=True)
class ChunkValue:
    """Long(x)Short's value of a chunk in the form that could be established: the change of the
    pass rate over it, and per 100 of its tokens."""

    start: int
    end: int
    tokens: int
    before: float
    after: float
    value: float
    per_100_tokens: float


def chunk_values(
    points: Sequence[int], rates: Mapping[int, float], tokens: Callable[[int, int], int]
) -> list[ChunkValue]:
    """One value per chunk between neighbouring points that both were probed."""
    found = []
    for start, end in pairwise(points):
        if start in rates and end in rates:
            size, value = tokens(start, end), rates[end] - rates[start]
            per = 100 * value / size if size else 0.0
            found.append(ChunkValue(start, end, size, rates[start], rates[end], value, per))
    return found
