"""The policies behind ``propose_cuts``: what each drops, and why.

All but ``loops`` want a reasoning that is complete and ends with the verified answer, and propose
nothing where what would be left no longer states it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from curation.segmentation import kinds
from curation.segmentation.analysis import Analysis
from curation.segmentation.attempts import QUESTION, UNDERSTAND
from curation.segmentation.clusters import (
    CORRECT,
    Attempt,
    Cluster,
    cluster_attempts,
    find_attempts,
)
from curation.segmentation.cues import self_talk
from curation.segmentation.cutting import (
    cuts_over,
    is_right,
    keeps_answer,
    may_cut,
    merged,
    with_clean_edges,
)
from curation.segmentation.equations import find_redone
from curation.segmentation.seams import reads_on
from curation.segmentation.types import Cut

AFTER_FIRST_CORRECT, REPEATS, FAILED = "after-first-correct", "repeats", "failed-attempts"
LOOPS, SELF_TALK, LAST_K = "loops", "self-talk", "last-k"
SHORTEST = "shortest-sufficient-prefix"
# Efficient Long CoT finds the answer in the last ten steps of 62 % of its traces.
K = 10
_WRONG = "a step known to be wrong"
_CONCLUDING = (kinds.CONSOLIDATION, kinds.FINAL_ANSWER, kinds.COMPUTATION)
Policy = Callable[[Analysis], list[Cut]]


def sound(propose: Policy, keep: Callable[[Analysis, Cut], bool] | None = None) -> Policy:
    """A policy for right and complete traces that leaves the answer stated, with clean edges.

    Of the cuts with their edges cleaned only those stay that ``keep`` is true of.
    """

    def checked(analysis: Analysis) -> list[Cut]:
        if not is_right(analysis):
            return []
        cuts = with_clean_edges(analysis, propose(analysis))
        if keep is not None:
            cuts = [cut for cut in cuts if keep(analysis, cut)]
        return cuts if keeps_answer(analysis, cuts) else []

    return checked


def after_first_correct(analysis: Analysis) -> list[Cut]:
    """What stands between the first statement of the verified answer and the conclusion."""
    first = analysis.first_correct
    if first is None:
        return []
    behind = range(_statement_end(analysis, first.leaf), len(analysis.segments))
    reason = f"the verified answer {_short(first.value)} is already stated at {first.start}"
    wanted = [index for index in behind if may_cut(analysis, index)]
    return cuts_over(analysis.segments, wanted, reason, AFTER_FIRST_CORRECT)


def _statement_end(analysis: Analysis, leaf: int) -> int:
    """The leaf behind the statement: "12 + 30 = 42." and "So the answer is 42." are one."""
    stating = {mention.leaf for mention in analysis.answers if mention.matches}
    end = leaf + 1
    while end in stating and analysis.segments[end].kind in _CONCLUDING:
        end += 1
    return end


def loops(analysis: Analysis) -> list[Cut]:
    """All of a loop behind its first cycle."""
    loop = analysis.loop
    if loop is None:
        return []
    inside = [
        index
        for index, segment in enumerate(analysis.segments)
        if segment.start >= loop.start and segment.end <= loop.end and may_cut(analysis, index)
    ]
    cycle = f"{loop.period} segments" if loop.period else "a few characters"
    reason = f"a cycle of {cycle} comes {loop.times} times; nothing new after {loop.start}"
    return cuts_over(analysis.segments, inside, reason, LOOPS)


def repeats(analysis: Analysis) -> list[Cut]:
    """Leaves that say an earlier one again, word for word or with the same calculation.

    They need no right answer, since nothing is lost. Only inside one attempt: where another one
    takes the same step, it needs that step.
    """
    cuts: list[Cut] = []
    for index, first in sorted(analysis.repeats.items()):
        if _goes_over(analysis, index, first) and (
            analysis.segments[index].kind != kinds.FINAL_ANSWER
        ):
            where = analysis.segments[first].start
            reason = f"repeats the segment at {where} word for word"
            cuts += cuts_over(analysis.segments, [index], reason, REPEATS)
    redone = find_redone(analysis.text, analysis.segments, analysis.repeats)
    stating = {mention.leaf for mention in analysis.answers if mention.matches is not False}
    for index, first in redone.items():
        if _goes_over(analysis, index, first) and index not in stating:
            reason = (
                f"does the calculation of the segment at {analysis.segments[first].start} again"
            )
            cuts += cuts_over(analysis.segments, [index], reason, REPEATS)
    edged = with_clean_edges(analysis, sorted(cuts, key=lambda cut: cut.start))
    return [cut for cut in edged if reads_on(analysis.text, cut, concluding=False)]


def _goes_over(analysis: Analysis, index: int, first: int) -> bool:
    same = analysis.segments[index].path == analysis.segments[first].path
    return same and may_cut(analysis, index)


def failed_attempts(analysis: Analysis) -> list[Cut]:
    """DLCoT's keep rule (its ``incorrectness_deduction``) over solutions and checks.

    With f the first correct solution: in clusters that touch 1..f, members other than the first go
    unless they are on 1..f and correct; beyond f all members other than the first go. A span known
    to be wrong goes alone where its solution is on 1..f or correct; elsewhere the whole solution
    goes. Upstream sorts members as strings (10 before 2) and never looks at the last solution's
    errors; here members are numbers and every solution is looked at.
    """
    attempts = find_attempts(analysis.segments, analysis.answers)
    first = next((a.number for a in attempts if a.label == CORRECT), None)
    if first is None:
        return []
    given = analysis.evidence.clusters
    clusters = (
        [Cluster(tuple(sorted(members)), "one method") for members in given]
        if given is not None
        else cluster_attempts(analysis.text, attempts)
    )
    dropped = keep_rule(attempts, clusters, first)
    cuts = [
        cut
        for number, reason in sorted(dropped.items())
        for cut in _attempt_cuts(analysis, attempts[number - 1], reason)
    ]
    return merged([*cuts, *_error_cuts(analysis, attempts, first, set(dropped))])


def keep_rule(
    attempts: Sequence[Attempt], clusters: Sequence[Cluster], first: int
) -> dict[int, str]:
    """Numbers of the attempts to drop, each with its reason; ``first`` is the first correct one."""
    dropped: dict[int, str] = {}
    for cluster in clusters:
        members = sorted(cluster.members)
        head = attempts[members[0] - 1].name
        for number in members[1:]:
            attempt = attempts[number - 1]
            on_path = number <= first
            if members[0] <= first and on_path and attempt.label == CORRECT:
                continue
            words = "tries" if on_path else "goes over"
            dropped[number] = f"{attempt.name} {words} the method of {head} again: {cluster.reason}"
    return dropped


def _attempt_cuts(analysis: Analysis, attempt: Attempt, reason: str) -> list[Cut]:
    wanted = [i for i in range(attempt.first, attempt.last) if may_cut(analysis, i)]
    return cuts_over(analysis.segments, wanted, reason, FAILED)


def _error_cuts(
    analysis: Analysis, attempts: Sequence[Attempt], first: int, dropped: set[int]
) -> list[Cut]:
    cuts: list[Cut] = []
    for start, end in analysis.evidence.errors:
        for attempt in attempts:
            if attempt.number in dropped or not attempt.start <= start < end <= attempt.end:
                continue
            if attempt.number <= first or attempt.label == CORRECT:
                cuts.append(Cut(start, end, f"{_WRONG} in {attempt.name}", FAILED))
            else:
                cuts += _attempt_cuts(analysis, attempt, f"{attempt.name} holds a wrong step")
    return cuts


def _wrong_or_reads_on(analysis: Analysis, cut: Cut) -> bool:
    return cut.reason.startswith(_WRONG) or reads_on(analysis.text, cut, concluding=True)


def self_talk_only(analysis: Analysis) -> list[Cut]:
    """Leaves that only affirm or doubt: no number, no formula, no answer."""
    stating = {mention.leaf for mention in analysis.answers}
    found: list[Cut] = []
    for index, leaf in enumerate(analysis.segments):
        if index in stating or not may_cut(analysis, index):
            continue
        if says := self_talk(analysis.text[leaf.start : leaf.end]):
            found += cuts_over(analysis.segments, [index], f"self-{says} alone", SELF_TALK)
    return found


def last_k(analysis: Analysis) -> list[Cut]:
    """All but the question, its understanding and the last ``K`` leaves: a baseline to compare."""
    inside = [i for i in range(len(analysis.segments)) if may_cut(analysis, i)]
    wanted = [
        index
        for index in inside[:-K]
        if analysis.segments[index].path[:1] not in ((QUESTION,), (UNDERSTAND,))
    ]
    return cuts_over(analysis.segments, wanted, f"not among the last {K} segments", LAST_K)


def shortest_prefix(analysis: Analysis) -> list[Cut]:
    """What follows the shortest prefix from which a student still answers right.

    The prefix is what probes found (``Evidence.sufficient``, a position); without probes nothing
    is proposed, for no rule can know what a student needs.
    """
    enough = analysis.evidence.sufficient
    if enough is None:
        return []
    wanted = [
        index
        for index, leaf in enumerate(analysis.segments)
        if leaf.start >= enough and may_cut(analysis, index)
    ]
    reason = f"the student answers right from the first {enough} characters"
    return cuts_over(analysis.segments, wanted, reason, SHORTEST)


def _short(value: str) -> str:
    return value if len(value) <= 40 else value[:39] + "…"


def only_right(propose: Policy) -> Policy:
    """For right traces; the statement of the answer may stand in the conclusion alone."""

    def checked(analysis: Analysis) -> list[Cut]:
        return with_clean_edges(analysis, propose(analysis)) if is_right(analysis) else []

    return checked


POLICIES: dict[str, Policy] = {
    AFTER_FIRST_CORRECT: sound(after_first_correct),
    REPEATS: repeats,
    FAILED: sound(failed_attempts, _wrong_or_reads_on),
    LOOPS: loops,
    SELF_TALK: sound(self_talk_only),
    LAST_K: sound(last_k),
    SHORTEST: only_right(shortest_prefix),
}
