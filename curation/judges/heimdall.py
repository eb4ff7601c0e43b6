"""Heimdall: rank answers by N solutions with M verifications each, pessimistically. Pure.

The choice is ``argmax r(a) - penalty``, ``r`` the mean verdict over the verifications of the
solutions that gave answer ``a``. The paper's penalty was not read: ours is ``alpha ln(N M) /
(N_a M + 1)``, so that an answer few solutions gave must be verified the better. ``alpha`` is a
parameter; 0 is the plain mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ALPHA = 0.1


@dataclass(frozen=True, slots=True)
class Ranked:
    """One answer: how many solutions gave it, over how many verifications, mean and bound."""

    answer: str
    solutions: int
    verifications: int
    mean: float
    bound: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "answer": self.answer,
            "solutions": self.solutions,
            "verifications": self.verifications,
            "mean": round(self.mean, 6),
            "bound": round(self.bound, 6),
        }


def rank(scores: Mapping[str, Sequence[Sequence[float]]], alpha: float = ALPHA) -> list[Ranked]:
    """Answers by falling bound. ``scores``: answer -> for each solution its verdicts (1 or 0).

    Solutions without a verdict are left out, and answers without a solution. Equal bounds: more
    solutions first, then by text.
    """
    if not 0 <= alpha <= 100:
        raise ValueError("alpha is a number from 0 to 100")
    kept = {answer: [one for one in of if one] for answer, of in scores.items()}
    total = sum(len(one) for of in kept.values() for one in of)
    found = []
    for answer, of in kept.items():
        verdicts = [value for one in of for value in one]
        if not verdicts:
            continue
        mean = math.fsum(verdicts) / len(verdicts)
        bound = mean - alpha * math.log(total) / (len(verdicts) + 1)
        found.append(Ranked(answer, len(of), len(verdicts), mean, bound))
    return sorted(found, key=lambda one: (-one.bound, -one.solutions, one.answer))
