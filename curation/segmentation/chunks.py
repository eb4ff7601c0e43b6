"""What probes at the ends of turns say: keep long, make short or drop; and where to truncate. Pure.

Long(x)Short marks important thoughts by a joint measure of effectiveness and efficiency from
rollouts; its formula could not be read. Here effectiveness is the change of the pass rate over a
turn, efficiency that change per 100 tokens, and the decision a rule with named thresholds. JET
truncates a model's own trajectories and checks the answer at each point; here the shortest point
from which the pass rate is enough is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation.segmentation.analysis import Analysis
from curation.segmentation.cutting import (
    cuts_over,
    is_right,
    keeps_answer,
    may_cut,
    with_clean_edges,
)
from curation.segmentation.joins import Derived, Problem, apply_cuts, check_derived
from curation.segmentation.multiturn import NotDerived, reasoning_end
from curation.segmentation.prefixes import ChunkValue, chunk_points
from curation.segmentation.types import Cut, Equal

KEEP_LONG, MAKE_SHORT, DROP = "keep long", "make short", "drop"
DECISIONS = (KEEP_LONG, MAKE_SHORT, DROP)
TRUNCATED, LONG_SHORT = "truncated", "long-short"
# (correct, judged) continuations of a prefix
Rate = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Parameters of the decision; all are ours.

    ``gain``: change of the pass rate from which a turn matters (it lowers it by as much: harm).
    ``efficiency``: least gain per 100 tokens of a turn that stays long; 0 asks for none.
    ``enough``: pass rate from which the model is held to know the answer already.
    """

    gain: float = 0.1
    efficiency: float = 0.0
    enough: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.gain <= 1 and 0 < self.enough <= 1 and self.efficiency >= 0):
            raise ValueError("gain and enough lie above 0 and up to 1, efficiency is not negative")


@dataclass(frozen=True, slots=True)
class Decision:
    """A turn with its value, what to do with it, and why."""

    chunk: ChunkValue
    action: str
    reason: str


def decide(values: Sequence[ChunkValue], limits: Thresholds | None = None) -> list[Decision]:
    """One decision per valued turn, in their order."""
    limits = limits or Thresholds()
    return [Decision(chunk, *_decided(chunk, limits)) for chunk in values]


def _decided(chunk: ChunkValue, limits: Thresholds) -> tuple[str, str]:
    points = f"{abs(chunk.value):.0%} of the continuations"
    if chunk.value >= limits.gain and chunk.per_100_tokens >= limits.efficiency:
        return KEEP_LONG, f"sets right {points}"
    if chunk.value >= limits.gain:
        return MAKE_SHORT, f"sets right {points}, but takes {chunk.tokens} tokens for it"
    if chunk.value <= -limits.gain:
        return DROP, f"leads {points} astray"
    if chunk.before >= limits.enough:
        return DROP, f"{chunk.before:.0%} are right without it"
    return MAKE_SHORT, "sets nothing right by itself; later turns may rest on it"


def drop_cuts(analysis: Analysis, decisions: Sequence[Decision]) -> list[Cut]:
    """The turns to drop as cuts of whole leaves with clean edges.

    Nothing where the trace is not right or what is left would no longer state the answer.
    """
    if not is_right(analysis):
        return []
    cuts = [
        cut
        for decision in decisions
        if decision.action == DROP
        for cut in _leaves_of(analysis, decision)
    ]
    cleaned = with_clean_edges(analysis, cuts)
    return cleaned if keeps_answer(analysis, cleaned) else []


def _leaves_of(analysis: Analysis, decision: Decision) -> list[Cut]:
    chunk = decision.chunk
    inside = [
        index
        for index, leaf in enumerate(analysis.segments)
        if chunk.start <= leaf.start and leaf.end <= chunk.end and may_cut(analysis, index)
    ]
    return cuts_over(analysis.segments, inside, decision.reason, LONG_SHORT)


def truncation_point(
    analysis: Analysis, rates: Mapping[int, Rate], enough: float = 0.5, least: int = 1
) -> int:
    """The shortest end of a turn from which the pass rate is enough (JET).

    ``rates`` are by position, each of at least ``least`` judged continuations. The start of the
    reasoning and its end are no truncation. Raises NotDerived: ``not_probed``, ``not_enough``
    (from no point is the pass rate enough).
    """
    points = chunk_points(analysis)
    inside = [at for at in points[1:-1] if rates.get(at, (0, 0))[1] >= least]
    if not inside:
        raise NotDerived("not_probed")
    for at in inside:
        right, judged = rates[at]
        if right / judged >= enough:
            return at
    raise NotDerived("not_enough")


def truncate(analysis: Analysis, position: int) -> tuple[Derived, Cut]:
    """The trace without its reasoning behind ``position``: the answer part follows at once."""
    end = reasoning_end(analysis)
    reason = f"the model answers right from the first {position} characters"
    cut = Cut(position, end, reason, TRUNCATED)
    return apply_cuts(analysis.text, [cut]), cut


def check_truncated(
    parent: str, derived: Derived, reference: str | None, equal: Equal | None = None
) -> list[Problem]:
    """``check_derived`` without ``no_answer``: that the model answers right from there stands for
    the statement that was cut off with the rest."""
    found = check_derived(parent, derived, reference, equal)
    return [problem for problem in found if problem.code != "no_answer"]


def continued(analysis: Analysis, position: int, continuation: str) -> Derived:
    """The trace up to ``position``, and then what a model wrote from there as one insertion."""
    text = analysis.text[:position] + continuation
    return Derived(text, ((0, position),), ((position, continuation),))


def check_continued(
    parent: str, derived: Derived, reference: str | None, equal: Equal | None = None
) -> list[Problem]:
    """``check_derived`` without ``answer_part``: the answer part is the model's own."""
    found = check_derived(parent, derived, reference, equal)
    return [problem for problem in found if problem.code != "answer_part"]
