"""Lengths of attempts: the shortest correct one (SOL) and how it fell over time (HAPO). Pure.

Nothing here ranks by length where no attempt is correct: without a correct attempt the published
rewards push towards short answers whatever they say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Sized = tuple[bool, int]  # correct, length


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of one problem's decided attempts, all in ``unit`` (``tokens`` or ``chars``).

    ``shortest`` is ShorterBetter's SOL: the shortest correct one, None where none is correct
    (there the paper falls back on ``mean_all``, which stands beside it and is not used to rank).
    ``history`` holds HAPO's running minimum after each correct attempt, in order.
    """

    unit: str
    shortest: int | None
    mean_correct: float | None
    mean_all: float
    longest_ratio: float | None
    history: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            "shortest_correct": self.shortest,
            "mean_correct": self.mean_correct,
            "mean_all": self.mean_all,
            "longest_ratio": self.longest_ratio,
            "history": list(self.history),
        }


def lengths_of(attempts: Sequence[Sized], unit: str) -> Lengths | None:
    """Summary of (correct, length) attempts in the order they were made; None without any."""
    if not attempts:
        return None
    right = [length for correct, length in attempts if correct]
    history: list[int] = []
    for length in right:
        history.append(min(length, history[-1]) if history else length)
    shortest = min(right, default=None)
    return Lengths(
        unit,
        shortest,
        round(math.fsum(right) / len(right), 2) if right else None,
        round(math.fsum(length for _, length in attempts) / len(attempts), 2),
        round(max(right) / shortest, 4) if shortest else None,
        tuple(history),
    )


def shorter_better(correct: bool, length: int, target: float, alpha: float, beta: float) -> float:
    """ShorterBetter's reward: ``alpha [correct] - beta |length - target|``, target = SOL."""
    return alpha * correct - beta * abs(length - target)


def over_long(attempts: Sequence[Sized], ratio: float) -> list[int]:
    """Indices of correct attempts at least ``ratio`` times as long as the shortest correct one."""
    right = [length for correct, length in attempts if correct]
    if not right:
        return []
    limit = ratio * min(right)
    return [i for i, (correct, length) in enumerate(attempts) if correct and length >= limit > 0]
