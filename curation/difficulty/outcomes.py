"""From the verdicts of attempts to what one problem's difficulty row holds. Pure.

An attempt is one trace. Its verdicts are never mixed across families of evidence but by a named
policy (``curation.policies``, the same as a recipe's).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.difficulty.lengths import lengths_of
from curation.difficulty.stats import Tally, coefficient_of_variation
from curation.difficulty.tiers import skywork
from curation.policies import (
    CORRECT,
    DISAGREE,
    ERROR,
    INCORRECT,
    UNVERIFIABLE,
    Evidence,
    policy_of,
)
from curation.policies import MISSING as NOT_VERIFIED

PASS_AT = (1, 2, 4, 8, 16, 32, 64)
# DeepDistill's equation divides by n, its worked example by n - 1: both, by name.
DDOF = {"population": 0, "sample": 1}


@dataclass(frozen=True)
class Attempt:
    """One trace: its newest verdict by each verifier, and what bounded it.

    ``labels`` are the problem's category and kind. ``length`` is in tokens where the server
    counted them, in ``chars`` (code points) always.
    """

    verdicts: tuple[tuple[Any, ...], ...] = ()  # (verifier, verdict[, score])
    truncated: bool = False
    source: str = ""
    max_tokens: int | None = None
    labels: tuple[str, ...] = ()
    tokens: int | None = None
    chars: int = 0


def decide(verdicts: Iterable[tuple[Any, ...]], policy: str, labels: Sequence[str] = ()) -> str:
    """One decision for one attempt. What could not be decided never outvotes a decision."""
    return policy_of(policy)([Evidence(*verdict) for verdict in verdicts], *labels)


@dataclass(frozen=True)
class Grade:
    """The tally of a group of attempts and what stands beside it."""

    tally: Tally
    detail: dict[str, Any] = field(default_factory=dict)


def grade(attempts: Sequence[Attempt], policy: str) -> Grade | None:
    """Difficulty of one problem for one model and sampling, attempts in order of their number.

    None when no attempt has a verdict that the policy counts. Contradicting verdicts count as
    unverifiable; attempts without a verdict stand in the detail alone.
    """
    decisions = [decide(attempt.verdicts, policy, attempt.labels) for attempt in attempts]
    if all(decision == NOT_VERIFIED for decision in decisions):
        return None
    tally = Tally(
        correct=decisions.count(CORRECT),
        incorrect=decisions.count(INCORRECT),
        unverifiable=decisions.count(UNVERIFIABLE) + decisions.count(DISAGREE),
        error=decisions.count(ERROR),
    )
    beside = _beside(tally, decisions) | _scores(attempts, policy)
    return Grade(tally, beside | _lengths(attempts, decisions) | _bounds(attempts))


def _beside(tally: Tally, decisions: Sequence[str]) -> dict[str, Any]:
    signs = {CORRECT: 1, INCORRECT: 0}
    scores = [float(signs[decision]) for decision in decisions if decision in signs]
    return {
        "sequence": [signs.get(decision) for decision in decisions],
        "disagree": decisions.count(DISAGREE),
        "not_verified": decisions.count(NOT_VERIFIED),
        "pass_at": {str(k): tally.pass_at(k) for k in PASS_AT if k <= tally.graded},
        "cv": {name: coefficient_of_variation(scores, ddof) for name, ddof in DDOF.items()},
        "band": {variant: tally.band(variant) for variant in ("code", "paper")},
        "skywork": _skywork(tally),
    }


def _skywork(tally: Tally) -> dict[str, Any] | None:
    found = skywork(tally.correct, tally.graded)
    if found is None:
        return None
    return {"failed": found.difficulty, "of": found.of, "excluded": found.excluded}


def _scores(attempts: Sequence[Attempt], policy: str) -> dict[str, Any]:
    """Spread of the scores with their partial credit, where verifiers gave any (DeepDistill)."""
    families = policy_of(policy).families
    found = [[Evidence(*verdict) for verdict in attempt.verdicts] for attempt in attempts]
    best = [
        max((e.score for e in one if e.score is not None and e.family in families), default=None)
        for one in found
    ]
    scores = [score for score in best if score is not None]
    if not scores:
        return {}
    spread = {name: coefficient_of_variation(scores, ddof) for name, ddof in DDOF.items()}
    return {"score_cv": spread, "best_score": max(scores)}


def _lengths(attempts: Sequence[Attempt], decisions: Sequence[str]) -> dict[str, Any]:
    """Lengths of the decided attempts; in tokens only where each of them was counted."""
    decided = [(a, d == CORRECT) for a, d in zip(attempts, decisions, strict=True)
               if d in (CORRECT, INCORRECT)]  # fmt: skip
    counted = all(attempt.tokens is not None for attempt, _ in decided)
    sized = [(right, (a.tokens or 0) if counted else a.chars) for a, right in decided]
    found = lengths_of(sized, "tokens" if counted else "chars")
    return (
        {} if found is None or not any(size for _, size in sized) else {"lengths": found.as_dict()}
    )


def _bounds(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """What limited the attempts. Imports seldom say; then several sources may mean several token
    budgets, and the row says so instead of hiding it."""
    budgets = {attempt.max_tokens for attempt in attempts}
    sources = sorted({attempt.source for attempt in attempts})
    return {
        "truncated": sum(attempt.truncated for attempt in attempts),
        "token_budgets": sorted(b for b in budgets if b is not None),
        "token_budget_known": None not in budgets,
        "sources": sources,
        "mixed_budgets": len(budgets) > 1 or (None in budgets and len(sources) > 1),
    }
