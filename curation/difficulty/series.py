"""Scores from reward series: how an item's reward went over a training run. Pure.

A series holds one reward per epoch (or per measurement), None where it is missing. Rewards are in
[0, 1], 1 for solved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Series = Sequence[float | None]
# LIMR keeps items above 0.6 in its paper; the default of its code is 0.2.
LIM_PAPER, LIM_CODE = 0.6, 0.2


@dataclass(frozen=True, slots=True)
class Filled:
    """Series of one length; ``dropped`` says why an item has none."""

    values: dict[str, list[float]]
    dropped: dict[str, str]


def fill(series: Mapping[str, Series]) -> Filled:
    """LIMR's treatment of gaps: values missing at the start take the first known one, an item
    with a gap anywhere else, or of another length, is dropped and named."""
    epochs = max((len(one) for one in series.values()), default=0)
    values: dict[str, list[float]] = {}
    dropped: dict[str, str] = {}
    for item, one in series.items():
        known = next((index for index, value in enumerate(one) if value is not None), None)
        if known is None:
            dropped[item] = "no_values"
            continue
        first = one[known]
        whole = [first if index < known else value for index, value in enumerate(one)]
        if len(whole) < epochs:
            dropped[item] = "too_short"
        elif any(value is None or not math.isfinite(value) for value in whole):
            dropped[item] = "gap"
        else:
            values[item] = [float(value) for value in whole if value is not None]
    return Filled(values, dropped)


def lim_scores(series: Mapping[str, Series]) -> dict[str, float | None]:
    """LIMR's alignment of each item with the mean learning curve (LIMR, section 3).

    ``1 - sum((r_k - mean_k)^2) / sum((1 - mean_k)^2)``; None for all where every mean is 1, because
    the denominator is 0 then and the score undefined. Items that ``fill`` drops are left out.
    """
    values = fill(series).values
    if not values:
        return {}
    means = [math.fsum(column) / len(values) for column in zip(*values.values(), strict=True)]
    bound = math.fsum((1 - mean) ** 2 for mean in means)
    if bound == 0:
        return dict.fromkeys(values)
    return {
        item: 1 - math.fsum((r - m) ** 2 for r, m in zip(one, means, strict=True)) / bound
        for item, one in values.items()
    }


def historical_variance(series: Series, ddof: int = 0) -> float | None:
    """Variance of the known rewards with ``n - ddof`` below (1-shot RLVR says variance, its code
    ranks by ``numpy.std``: the same order with ddof 0). None without enough values."""
    known = [value for value in series if value is not None]
    if len(known) <= ddof:
        return None
    mean = math.fsum(known) / len(known)
    return math.fsum((value - mean) ** 2 for value in known) / (len(known) - ddof)


def slope(series: Series) -> float | None:
    """Least-squares slope per epoch; None with fewer than two known values."""
    points = [(float(at), value) for at, value in enumerate(series) if value is not None]
    if len(points) < 2:
        return None
    middle = math.fsum(at for at, _ in points) / len(points)
    mean = math.fsum(value for _, value in points) / len(points)
    spread = math.fsum((at - middle) ** 2 for at, _ in points)
    return math.fsum((at - middle) * (value - mean) for at, value in points) / spread


def is_weakness(series: Series, bar: float = 0.5) -> bool | None:
    """SwS: never at ``bar`` or above in any epoch, and falling. None where it cannot be said."""
    falling = slope(series)
    if falling is None:
        return None
    return max(value for value in series if value is not None) < bar and falling < 0


def ranked(scores: Mapping[str, float | None]) -> list[str]:
    """Items by falling score, ties by name; items without a score are left out."""
    known = [(item, score) for item, score in scores.items() if score is not None]
    return [item for item, _ in sorted(known, key=lambda pair: (-pair[1], pair[0]))]
