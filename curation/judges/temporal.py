"""Temporal Consistency: verifiers look again at their own verdict until they settle. Pure.

After "Temporal Consistency for LLM Reasoning Process Error Identification": K verifiers name the
first wrong step (-1: none); in each further round everyone sees its own last verdict and nobody
else's. It ends when over q rounds the majority stayed and its share did not fall, or after T.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

VERIFIERS, STABLE, ROUNDS = 5, 3, 10  # K, q, T of the paper


@dataclass(frozen=True, slots=True)
class Round:
    """Majority location and the share of the verifiers that support it."""

    location: int
    share: float


def tally(locations: Sequence[int | None]) -> Round | None:
    """The majority of a round; ties go to the earlier step with -1 last, so that a doubt about a
    step is not lost. Failed answers (None) count below the line. None without any answer."""
    counts = Counter(location for location in locations if location is not None)
    if not counts:
        return None
    best = max(counts.items(), key=lambda item: (item[1], item[0] >= 0, -item[0]))
    return Round(best[0], best[1] / len(locations))


def settled(rounds: Sequence[Round], stable: int = STABLE) -> bool:
    """Whether the last ``stable`` rounds agree and their shares do not fall.

    ``stable`` 0 or 1 means that the first round decides (the paper's q = 0 is plain majority).
    """
    if not rounds:
        return False
    if stable <= 1:
        return True
    if len(rounds) < stable:
        return False
    last = rounds[-stable:]
    same = len({one.location for one in last}) == 1
    return same and all(a.share <= b.share for a, b in pairwise(last))


def again(location: int) -> str:
    """What a verifier is told of its own last verdict."""
    if location == -1:
        said = "that every step is right"
    else:
        said = f"that step {location} is the first wrong one"
    return (
        f"In your last review you found {said}. Check that verdict again from the beginning, "
        "then give your verdict, changed or not."
    )


def error_f1(rows: Sequence[tuple[int, int]]) -> float | None:
    """ProcessBench's F1 over (predicted, true) locations: the harmonic mean of the accuracy on
    wrong samples (exact step) and on right ones. None unless both kinds are there."""
    wrong = [(p, t) for p, t in rows if t != -1]
    right = [(p, t) for p, t in rows if t == -1]
    if not wrong or not right:
        return None
    a = sum(p == t for p, t in wrong) / len(wrong)
    b = sum(p == t for p, t in right) / len(right)
    return 2 * a * b / (a + b) if a + b else 0.0
