"""Statistics of attempts. Pure functions; each names its formula and where it is undefined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

Z95 = 1.96  # two-sided 95 % of the normal distribution, as commonly rounded


class Interval(NamedTuple):
    low: float
    high: float


def wilson(successes: int, trials: int, z: float = Z95) -> Interval | None:
    """Wilson score interval of a proportion (Wilson 1927); None without trials.

    Unlike the normal approximation it stays inside [0, 1] and is not empty at 0 or ``trials``.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return None
    p, z2 = successes / trials, z * z
    middle = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    # At the ends the exact bound is 0 or 1; rounding may miss it by an ulp.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == trials else min(1.0, middle + half)
    return Interval(low, high)


def pass_at_k(trials: int, successes: int, k: int) -> float | None:
    """Unbiased estimate of pass@k: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, "Codex").

    None when fewer than ``k`` trials were made: it cannot be estimated without bias then.
    """
    if not 0 <= successes <= trials or k < 1:
        raise ValueError(f"pass@{k} of {successes} successes in {trials} trials")
    if k > trials:
        return None
    if trials - successes < k:
        return 1.0
    missed = math.prod(1 - k / i for i in range(trials - successes + 1, trials + 1))
    return 1 - missed


def coefficient_of_variation(values: Sequence[float], ddof: int) -> float | None:
    """Standard deviation over mean of scores, with ``n - ddof`` in the denominator.

    DeepDistill's equation 6 is ``ddof=0``, its worked example ``ddof=1``; so there is no default.
    None when the mean is 0 or there are not more than ``ddof`` values.
    """
    count = len(values)
    if count <= ddof or (mean := math.fsum(values) / count) == 0:
        return None
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - ddof)
    return math.sqrt(variance) / mean


def kodcode_band(successes: int, trials: int, variant: str = "code") -> str | None:
    """KodCode's difficulty band from a pass rate: ``easy``, ``medium``, ``hard`` or ``fail``.

    Paper: easy above 2/3, code: easy from 2/3 on; both: hard below 1/3. A rate of 0 is ``fail``
    (its pipeline discards such items; whether they are hard or wrong is for people to say).
    Compared as whole numbers, since 2/3 has no exact float. None without trials.
    """
    if variant not in {"code", "paper"}:
        raise ValueError(f"unknown variant {variant!r}")
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    if trials == 0:
        return None
    if successes == 0:
        return "fail"
    twice = 2 * trials
    if 3 * successes > twice or (variant == "code" and 3 * successes == twice):
        return "easy"
    return "hard" if 3 * successes < trials else "medium"


class Fit(NamedTuple):
    """A least-squares line and the share of the variance that it explains."""

    slope: float
    intercept: float
    r2: float


def linear_fit(points: Sequence[tuple[float, float]]) -> Fit | None:
    """The line through (x, y) points; None with fewer than three, or where x or y does not vary.

    SATURN's script draws it through formula difficulty and measured pass rate and prints R^2.
    """
    count = len(points)
    if count < 3:
        return None
    mean_x = math.fsum(x for x, _ in points) / count
    mean_y = math.fsum(y for _, y in points) / count
    xx = math.fsum((x - mean_x) ** 2 for x, _ in points)
    yy = math.fsum((y - mean_y) ** 2 for _, y in points)
    if xx == 0 or yy == 0:
        return None
    xy = math.fsum((x - mean_x) * (y - mean_y) for x, y in points)
    return Fit(xy / xx, mean_y - xy / xx * mean_x, xy * xy / (xx * yy))


@dataclass(frozen=True)
class Tally:
    """Verdicts of one problem, model and sampling. Only the first two decide the pass rate."""

    correct: int = 0
    incorrect: int = 0
    unverifiable: int = 0
    error: int = 0

    @property
    def graded(self) -> int:
        """Attempts that can be counted: correct + incorrect."""
        return self.correct + self.incorrect

    @property
    def pass_rate(self) -> float | None:
        """correct / (correct + incorrect); None when nothing could be graded."""
        return self.correct / self.graded if self.graded else None

    @property
    def interval(self) -> Interval | None:
        """Wilson 95 % interval of the pass rate."""
        return wilson(self.correct, self.graded)

    def pass_at(self, k: int) -> float | None:
        return pass_at_k(self.graded, self.correct, k)

    def band(self, variant: str = "code") -> str | None:
        return kodcode_band(self.correct, self.graded, variant)
