"""From the verdicts of attempts to what one problem's difficulty row holds. Pure.

An attempt is one trace. Its verdicts are never mixed across families of evidence: a policy names
the families that count (the same names as a recipe's policies).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.difficulty.stats import Tally, coefficient_of_variation

CORRECT, INCORRECT, UNVERIFIABLE, ERROR = "correct", "incorrect", "unverifiable", "error"
DISAGREE = "disagree"  # two verifiers of the counted families contradict each other
NOT_VERIFIED = "not_verified"
FAMILIES = {"code": "execution", "judge": "judge", "consensus": "consensus"}
POLICIES: dict[str, frozenset[str]] = {
    "checked": frozenset({"rule", "execution"}),
    "rule": frozenset({"rule"}),
    "execution": frozenset({"execution"}),
    "judge": frozenset({"judge"}),
    "consensus": frozenset({"consensus"}),
}
PASS_AT = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Attempt:
    """One trace: its newest verdict by each verifier, and what bounded it."""

    verdicts: tuple[tuple[str, str], ...] = ()  # (verifier, verdict)
    truncated: bool = False
    source: str = ""
    max_tokens: int | None = None


def family_of(verifier: str) -> str:
    """Kind of evidence by the first word of a verifier's name; everything else is a rule."""
    return FAMILIES.get(re.split(r"[-:]", verifier, maxsplit=1)[0], "rule")


def decide(verdicts: Iterable[tuple[str, str]], policy: str) -> str:
    """One decision for one attempt. What could not be decided never outvotes a decision."""
    families = POLICIES[policy]
    found = {verdict for verifier, verdict in verdicts if family_of(verifier) in families}
    decided = found & {CORRECT, INCORRECT}
    if len(decided) > 1:
        return DISAGREE
    if decided:
        return decided.pop()
    if not found:
        return NOT_VERIFIED
    return UNVERIFIABLE if UNVERIFIABLE in found else ERROR


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
    decisions = [decide(attempt.verdicts, policy) for attempt in attempts]
    if all(decision == NOT_VERIFIED for decision in decisions):
        return None
    tally = Tally(
        correct=decisions.count(CORRECT),
        incorrect=decisions.count(INCORRECT),
        unverifiable=decisions.count(UNVERIFIABLE) + decisions.count(DISAGREE),
        error=decisions.count(ERROR),
    )
    return Grade(tally, _beside(tally, decisions) | _bounds(attempts))


def _beside(tally: Tally, decisions: Sequence[str]) -> dict[str, Any]:
    signs = {CORRECT: 1, INCORRECT: 0}
    scores = [float(signs[decision]) for decision in decisions if decision in signs]
    return {
        "sequence": [signs.get(decision) for decision in decisions],
        "disagree": decisions.count(DISAGREE),
        "not_verified": decisions.count(NOT_VERIFIED),
        "pass_at": {str(k): tally.pass_at(k) for k in PASS_AT if k <= tally.graded},
        "cv": {
            "population": coefficient_of_variation(scores, ddof=0),
            "sample": coefficient_of_variation(scores, ddof=1),
        },
        "band": {variant: tally.band(variant) for variant in ("code", "paper")},
    }


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
