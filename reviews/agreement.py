"""Agreement between reviewers: pure functions over labels, steps, positions and cut masks.

Cohen 1960 (Educ. Psychol. Meas. 20:37), Fleiss 1971 (Psychol. Bull. 76:378); Krippendorff's alpha
by the library ``krippendorff``. Each is None where it is not defined: no two people on one item,
or nobody ever chose a second value.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

Level = Literal["nominal", "ordinal", "interval", "ratio"]
Ranges = Sequence[tuple[int, int]]
# Rows are units, in a row one value per person; None: this person did not judge it.
Table = Sequence[Sequence[Hashable | None]]


def percent(table: Table) -> float | None:
    """Share of pairs of judgements of one unit that are equal."""
    equal = pairs = 0
    for row in table:
        given = [v for v in row if v is not None]
        for a, b in combinations(given, 2):
            pairs += 1
            equal += a == b
    return equal / pairs if pairs else None


def cohen(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa of two people over the same units."""
    n = len(first)
    if n == 0 or n != len(second):
        return None
    seen = sum(a == b for a, b in zip(first, second, strict=True)) / n
    one, two = Counter(first), Counter(second)
    chance = sum(one[value] * two[value] for value in one) / (n * n)
    return None if chance == 1 else (seen - chance) / (1 - chance)


def fleiss(table: Table) -> float | None:
    """Fleiss' kappa; units with another number of judgements than the most usual are left out."""
    rows = [Counter(v for v in row if v is not None) for row in table]
    sizes = Counter(row.total() for row in rows if row.total() > 1)
    if not sizes:
        return None
    n = max(sizes, key=lambda size: (sizes[size], size))
    rows = [row for row in rows if row.total() == n]
    seen = sum(sum(k * (k - 1) for k in row.values()) for row in rows) / (len(rows) * n * (n - 1))
    totals = sum(rows, Counter[Hashable | None]())
    chance = sum((k / (len(rows) * n)) ** 2 for k in totals.values())
    return None if chance == 1 else (seen - chance) / (1 - chance)


def alpha(table: Table, level: Level = "nominal") -> float | None:
    """Krippendorff's alpha; ``level`` is nominal, ordinal, interval or ratio."""
    rows = [Counter(v for v in row if v is not None) for row in table]
    return alpha_of_counts([row for row in rows if row.total() > 1], level)


def alpha_of_counts(
    rows: Sequence[Mapping[Hashable, int]], level: Level = "nominal"
) -> float | None:
    """The same from {value: how many people chose it} for each unit."""
    import krippendorff
    import numpy as np

    values = sorted({v for row in rows for v in row}, key=lambda v: (str(type(v)), v))
    if len(values) < 2 or not rows:
        return None
    numeric = all(isinstance(v, int | float) for v in values)
    domain: Any = values if numeric else list(range(len(values)))
    counts = np.array([[row.get(v, 0) for v in values] for row in rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = krippendorff.alpha(
            value_counts=counts, value_domain=domain, level_of_measurement=level
        )
    return float(found)


def mask(tokens: Sequence[int], cuts: Ranges) -> list[int]:
    """1 for each token (given by where it starts) that stands in a cut."""
    found = [0] * len(tokens)
    for start, end in cuts:
        low, high = bisect_left(tokens, start), bisect_right(tokens, end - 1)
        found[low:high] = [1] * (high - low)
    return found


def mask_alpha(tokens: Sequence[int], people: Sequence[Ranges]) -> float | None:
    """Alpha of cut masks token by token; None when nobody cut, or everybody everything."""
    masks = [mask(tokens, cuts) for cuts in people]
    return alpha(list(zip(*masks, strict=True))) if len(masks) > 1 and tokens else None


def mask_overlap(tokens: Sequence[int], first: Ranges, second: Ranges) -> float | None:
    """Tokens that both cut among those that one of them cut (Jaccard)."""
    one, two = mask(tokens, first), mask(tokens, second)
    either = sum(a | b for a, b in zip(one, two, strict=True))
    both = sum(a & b for a, b in zip(one, two, strict=True))
    return both / either if either else None


def position_agreement(pairs: Sequence[tuple[int | None, int | None]], tolerance: int) -> float:
    """Share of pairs of first-error positions that are both unset, or at most so far apart."""
    if not pairs:
        return 0.0
    good = sum(
        (a is None and b is None) or (a is not None and b is not None and abs(a - b) <= tolerance)
        for a, b in pairs
    )
    return good / len(pairs)


def differing_ranges(people: Sequence[Ranges]) -> list[tuple[int, int]]:
    """Where some cut and others do not, by a sweep over the ends."""
    change: Counter[int] = Counter()
    for cuts in people:
        for start, end in cuts:
            change[start] += 1
            change[end] -= 1
    found: list[tuple[int, int]] = []
    depth, since = 0, None
    for at in sorted(change):
        depth += change[at]
        differs = 0 < depth < len(people)
        if differs and since is None:
            since = at
        elif not differs and since is not None:
            found.append((since, at))
            since = None
    return found
