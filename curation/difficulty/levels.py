"""LLM-adaptive difficulty: levels for a named student, and sampling to a target histogram. Pure.

After "LLM-adaptive difficulty grading" (arXiv 2504.11919): what the student solves is level 1
("Easy"); what it does not is graded by a process reward of its trajectory into levels 2 to 5. The
paper's cut points are not published: they are parameters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

LEVELS = (1, 2, 3, 4, 5)
CUTS = (0.75, 0.5, 0.25)  # ours: equal steps of the process score
WEIGHTS = (5.0, 4.0, 3.0, 2.0, 1.0)  # falling, as the paper's option 2 asks; the values are ours


@dataclass(frozen=True, slots=True)
class Level:
    """A level and what it stands on: ``solved``, ``process`` score or, lacking one, ``rate``."""

    level: int
    by: str


def level_of(
    correct: int, graded: int, process: float | None = None, cuts: Sequence[float] = CUTS
) -> Level | None:
    """The level of one problem for the student whose attempts these are; None without any.

    Solved means more than half of the attempts (the paper makes one). ``process`` is the mean
    process score of the wrong attempts, in [0, 1]; without one, the pass rate stands in for it and
    ``by`` says so. ``cuts`` are falling: at or above the first is level 2, below the last level 5.
    """
    if len(cuts) != 3 or list(cuts) != sorted(cuts, reverse=True):
        raise ValueError("cuts are three falling numbers")
    if not 0 <= correct <= graded:
        raise ValueError(f"{correct} correct of {graded}")
    if graded == 0:
        return None
    if 2 * correct > graded:
        return Level(1, "solved")
    score = correct / graded if process is None else process
    below = sum(score < cut for cut in cuts)
    return Level(2 + below, "rate" if process is None else "process")


def shares_of(weights: Sequence[float]) -> list[float]:
    """The target distribution ``w_i / sum(w)``; ValueError unless five non-rising weights."""
    if len(weights) != len(LEVELS) or any(w < 0 for w in weights) or sum(weights) <= 0:
        raise ValueError("five weights of at least 0, not all 0")
    if any(later > earlier for earlier, later in pairwise(weights)):
        raise ValueError("weights may not rise from a level to the next harder one")
    return [weight / sum(weights) for weight in weights]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn, by level, and what was wanted, available and short there."""

    chosen: dict[int, list[int]]
    wanted: dict[int, int]
    available: dict[int, int]

    @property
    def shortage(self) -> dict[int, int]:
        """Level -> how many are missing, levels without shortage left out."""
        short = {n: self.wanted[n] - len(self.chosen[n]) for n in LEVELS}
        return {level: missing for level, missing in short.items() if missing > 0}

    @property
    def ids(self) -> list[int]:
        return sorted(pk for of_level in self.chosen.values() for pk in of_level)


def sample_to(
    levels: Mapping[int, int], total: int, weights: Sequence[float] = WEIGHTS, seed: int = 0
) -> Sample:
    """Draw ``total`` problems (id -> level) in the proportions of ``weights``.

    A level with too few gives all it has: the shortage is reported, not filled from another level.
    The draw is a function of ids and seed. Counts are rounded by largest remainder.
    """
    if total < 0:
        raise ValueError("total is below 0")
    wanted = dict(zip(LEVELS, largest_remainder(shares_of(weights), total), strict=True))
    pools: dict[int, list[int]] = {level: [] for level in LEVELS}
    for pk, level in levels.items():
        pools[level].append(pk)
    chosen = {n: sorted(sorted(pools[n], key=_order(seed))[: wanted[n]]) for n in LEVELS}
    return Sample(chosen, wanted, {level: len(pool) for level, pool in pools.items()})


def _order(seed: int) -> Callable[[int], bytes]:
    return lambda pk: hashlib.sha256(f"{seed}:{pk}".encode()).digest()


def largest_remainder(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers in the proportions of ``shares`` (which add up to 1) with sum ``total``."""
    exact = [share * total for share in shares]
    counts = [int(value) for value in exact]
    by_rest = sorted(range(len(shares)), key=lambda i: (counts[i] - exact[i], i))
    for index in by_rest[: total - sum(counts)]:
        counts[index] += 1
    return counts
