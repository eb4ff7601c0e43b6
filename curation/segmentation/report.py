"""The figures of one trace that lists, plots and the review screen need without its leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from curation.segmentation.analysis import Analysis
from curation.segmentation.clusters import Attempt, cluster_attempts, find_attempts
from curation.segmentation.cues import CUES_VERSION, changes_of_mind, find_cues
from curation.segmentation.joins import apply_cuts
from curation.segmentation.kinds import KINDS_VERSION
from curation.segmentation.meaning import REWORDED, reworded_cuts
from curation.segmentation.policies import POLICIES
from curation.segmentation.tokens import TokenCounter, tokens_in
from curation.segmentation.turns import Turn, find_repair, find_turns, find_waste, reasoning_leaves
from curation.segmentation.types import AnswerMention, Cut

# Entries kept of each list; a looping trace can state its answer thousands of times.
MOST = 100


def summarise(
    analysis: Analysis, starts: Sequence[int] | None = None, kinds_version: str = KINDS_VERSION
) -> dict[str, Any]:
    """A JSON object; positions are code points.

    ``starts`` are the starts of the text's tokens: with them kinds and savings are counted in
    tokens as well.
    """
    turns = find_turns(analysis)
    return {
        "kinds_version": kinds_version,
        "style": analysis.split.style,
        "closed": analysis.split.closed,
        "kinds": dict(Counter(segment.kind for segment in analysis.segments)),
        "kind_tokens": _kind_tokens(analysis, starts) if starts is not None else None,
        "repeats": len(analysis.repeats),
        "reworded": len(analysis.evidence.reworded),
        "loop": _loop(analysis),
        "mentions": len(analysis.answers),
        "open": sum(mention.matches is None for mention in analysis.answers),
        "answers": [_mention(mention) for mention in analysis.answers[:MOST]],
        **_attempts(analysis),
        **_turns(analysis, turns),
        **_signs(analysis),
        "savings": _savings(analysis, starts),
    }


def policy_savings(
    analysis: Analysis, cuts: Sequence[Cut], starts: Sequence[int] | None
) -> dict[str, int]:
    """What cuts take: ``characters`` by the derived text, ``tokens`` that begin in them."""
    saved = {"characters": len(analysis.text) - len(apply_cuts(analysis.text, cuts).text)}
    if starts is not None:
        saved["tokens"] = sum(tokens_in(starts, cut.start, cut.end) for cut in cuts)
    return saved


def token_starts(counter: TokenCounter | None, text: str) -> list[int] | None:
    """Starts of the tokens of a text; None without a tokenizer."""
    return counter.starts(text) if counter else None


def _savings(analysis: Analysis, starts: Sequence[int] | None) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    if cuts := reworded_cuts(analysis):
        found[REWORDED] = policy_savings(analysis, cuts, starts)
    for name, propose in POLICIES.items():
        if cuts := propose(analysis):
            found[name] = policy_savings(analysis, cuts, starts)
    return found


def _kind_tokens(analysis: Analysis, starts: Sequence[int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for leaf in analysis.segments:
        counts[leaf.kind] += tokens_in(starts, leaf.start, leaf.end)
    return dict(counts)


def _loop(analysis: Analysis) -> dict[str, int] | None:
    loop = analysis.loop
    if loop is None:
        return None
    return {"start": loop.start, "period": loop.period, "times": loop.times}


def _attempts(analysis: Analysis) -> dict[str, Any]:
    attempts = find_attempts(analysis.segments, analysis.answers)
    given = analysis.evidence.clusters
    clusters = (
        given
        if given is not None
        else [cluster.members for cluster in cluster_attempts(analysis.text, attempts)]
    )
    solutions = [attempt for attempt in attempts if attempt.part == "Solution_Explore"]
    return {
        "attempts": len(solutions),
        "checks": len(attempts) - len(solutions),
        "attempt_labels": dict(Counter(attempt.label for attempt in attempts)),
        "methods": len(clusters),
        "same_method": [
            [_named(attempts[number - 1]) for number in members]
            for members in clusters
            if len(members) > 1
        ][:MOST],
    }


def _named(attempt: Attempt) -> dict[str, Any]:
    return {"name": attempt.name, "start": attempt.start, "end": attempt.end}


def _turns(analysis: Analysis, turns: Sequence[Turn]) -> dict[str, Any]:
    waste, repair = find_waste(analysis, turns), find_repair(analysis)
    low, high = reasoning_leaves(analysis)
    size = analysis.segments[high - 1].end - analysis.segments[low].start if high > low else 0
    return {
        "reasoning_chars": size,
        "turns": [
            {"start": t.start, "end": t.end, "answer": (t.answer or "")[:80], "matches": t.matches}
            for t in turns[:MOST]
        ],
        "turn_count": len(turns),
        "turns_after": waste.turns_after if waste else None,
        "after_first_correct": waste.characters_after if waste else _after(analysis),
        "waste": round(waste.share, 4) if waste else None,
        "repaired": repair.moved if repair.correct is False else 0,
    }


def _after(analysis: Analysis) -> int | None:
    return 0 if analysis.first_correct else None


def _signs(analysis: Analysis) -> dict[str, Any]:
    end = len(analysis.text) if analysis.split.style == "none" else analysis.split.reasoning_end
    cues = find_cues(analysis.text, analysis.segments, analysis.answers, end)
    at = [leaf.start for leaf in analysis.segments]
    changes = [m for m in changes_of_mind(analysis.answers) if m.start < end]
    return {
        "cues_version": CUES_VERSION,
        "changes_of_mind": [mention.start for mention in changes[:MOST]],
        "affirmations": len(cues.affirmations),
        "negations": len(cues.negations),
        "guess": None if cues.guess is None else at[cues.guess],
        "spiral": None if cues.spiral is None else at[cues.spiral],
        "switches": [
            {"start": at[s.leaf], "from": s.before, "to": s.script} for s in cues.switches[:MOST]
        ],
    }


def _mention(mention: AnswerMention) -> dict[str, Any]:
    return {
        "start": mention.start,
        "end": mention.end,
        "value": mention.value[:80],
        "strength": mention.strength,
        "matches": mention.matches,
    }
