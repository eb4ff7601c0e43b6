"""Votes of a judge on one trace: both orders, k each, made into one verdict. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curation.policies import CORRECT, ERROR, INCORRECT, UNVERIFIABLE
from curation.verifiers.base import Verdict

CANNOT_TELL = "cannot_tell"
# Skywork-OR1 wants 9 valid votes of 16; a share serves any number.
MIN_VALID = 9 / 16


@dataclass(frozen=True, slots=True)
class Vote:
    """One readable or failed answer (``reading.Reading``) and where it was asked."""

    order: int
    number: int
    verdict: str
    score: float | None = None
    location: int | None = None
    reason: str = ""


def combine(votes: Sequence[Vote], min_valid: float = MIN_VALID) -> Verdict:
    """Majority of an ``answer`` or ``solution`` judgement.

    ``error``: too few valid votes (``no_valid_votes``) or the orders disagree
    (``orders_disagree``: a verdict that hangs on the order is none), or a tie (``tied``).
    ``unverifiable`` where most say that it cannot be told. The score is the share of ``correct``
    among the votes that decided.
    """
    valid = [vote for vote in votes if vote.verdict in (CORRECT, INCORRECT, CANNOT_TELL)]
    detail = _detail(votes, valid)
    if not valid or len(valid) < min_valid * len(votes):
        return Verdict(ERROR, None, "judge", "no_valid_votes", None, detail)
    sides = {order: _majority(of) for order, of in _by_order(valid).items()}
    if None in sides.values():
        return Verdict(ERROR, None, "judge", "tied", None, detail)
    if len(set(sides.values())) > 1 or len(sides) < len({vote.order for vote in votes}):
        return Verdict(ERROR, None, "judge", "orders_disagree", None, detail)
    return _verdict(str(next(iter(sides.values()))), valid, detail)


def _verdict(side: str, valid: Sequence[Vote], detail: dict[str, Any]) -> Verdict:
    if side == CANNOT_TELL:
        return Verdict(UNVERIFIABLE, None, "judge", CANNOT_TELL, None, detail)
    decided = [vote for vote in valid if vote.verdict != CANNOT_TELL]
    share = sum(vote.verdict == CORRECT for vote in decided) / len(decided)
    verdict: Any = side
    return Verdict(verdict, round(share, 6), "judge", "", None, detail)


def _by_order(votes: Sequence[Vote]) -> dict[int, list[Vote]]:
    found: dict[int, list[Vote]] = defaultdict(list)
    for vote in votes:
        found[vote.order].append(vote)
    return found


def _majority(votes: Sequence[Vote]) -> str | None:
    """The most frequent verdict; None for a tie."""
    counts = Counter(vote.verdict for vote in votes).most_common(2)
    if len(counts) == 2 and counts[0][1] == counts[1][1]:
        return None
    return counts[0][0]


def _detail(votes: Sequence[Vote], valid: Sequence[Vote]) -> dict[str, Any]:
    by_order = {
        str(order): dict(Counter(vote.verdict for vote in of))
        for order, of in sorted(_by_order(votes).items())
    }
    failures = dict(Counter(vote.reason for vote in votes if vote.verdict == ERROR))
    return {"votes": len(votes), "valid": len(valid), "orders": by_order, "failures": failures}


def combine_scores(
    votes: Sequence[Vote], threshold: float, min_valid: float = MIN_VALID
) -> Verdict:
    """Mean of the scores of a rubric or a reward model; ``correct`` above ``threshold``."""
    scores = [vote.score for vote in votes if vote.score is not None]
    detail = _detail(votes, [vote for vote in votes if vote.score is not None])
    if not scores or len(scores) < min_valid * len(votes):
        return Verdict(ERROR, None, "judge", "no_valid_votes", None, detail)
    mean = min(1.0, max(0.0, math.fsum(scores) / len(scores)))
    detail |= {"scores": [round(score, 6) for score in scores], "threshold": threshold}
    return Verdict(CORRECT if mean > threshold else INCORRECT, mean, "judge", "", None, detail)


def winner(votes: Sequence[Vote]) -> str:
    """The better of a pair: ``A``, ``B`` (as the blocks were first named), ``tie``, or ``error``.

    Votes of order 1 saw the two swapped; the caller has named them back. A side wins only if it
    wins in both orders.
    """
    valid = [vote for vote in votes if vote.verdict in ("A", "B", "tie")]
    if not valid:
        return ERROR
    sides = {_majority(of) or "tie" for of in _by_order(valid).values()}
    return sides.pop() if len(sides) == 1 else "tie"


def named_back(verdict: str, order: int) -> str:
    """``A`` and ``B`` of a swapped pair under their first names."""
    return {"A": "B", "B": "A"}.get(verdict, verdict) if order == 1 else verdict


def squash(value: float) -> float:
    """The logistic function: a reward without bounds as a score in (0, 1)."""
    if value >= 0:
        return 1 / (1 + math.exp(-min(value, 700.0)))
    power = math.exp(max(value, -700.0))
    return power / (1 + power)


def reward_score(scores: dict[str, float], attributes: Sequence[str], top: float) -> float | None:
    """A reward model's answer as a score in [0, 1].

    With ``attributes``: their mean over ``top`` (DeepDistill: coherence, correctness and
    helpfulness of 4 each, over 12), None where one is missing. Without: one reward, squashed.
    """
    if attributes:
        if any(name not in scores for name in attributes):
            return None
        mean = math.fsum(scores[name] for name in attributes) / (top * len(attributes))
        return min(1.0, max(0.0, mean))
    return squash(scores["reward"]) if "reward" in scores else None
