"""What a trained classifier sees of each leaf: words, shape, rules, and what stands around it.

Every feature of a leaf comes with those of the leaf before and behind it, because what a sentence
does is decided by its context: "12 + 30 = 42" is a calculation or a check. The vector of its text,
if an encoder is given, comes beside them; those of its neighbours made it worse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from curation.segmentation import kinds, seal

FEATURES_VERSION = "2"
Encode = Callable[[Sequence[str]], Any]
_WORDS = (
    *("wait", "hmm", "maybe", "perhaps", "not sure", "but", "alternatively", "actually"),
    *("mistake", "wrong", "check", "verif", "confirm", "make sure", "correct", "match"),
    *("consistent", "right", "same", "indeed", "yes", "no", "double", "again", "earlier"),
    *("previously", "before", "think", "seem", "might", "could", "if", "so", "then", "now", "let"),
    *("i", "is that", "does", "not", "can't", "cannot", "makes sense", "miss", "got", "hold on"),
    *("because", "since", "how", "why", "problem", "given", "answer", "therefore", "need to"),
    *("should", "approach", "formula", "recall", "means", "total", "first", "next", "example"),
)
_PATTERNS = [re.compile(r"\b" + re.escape(word)) for word in _WORDS]
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CHECKS = re.compile(
    r"check|verif|confirm|make sure|correct|consistent|match|makes sense|plug", re.I
)
_DOUBTS = re.compile(r"\bwait\b|\bhmm|mistake|wrong|alternatively", re.I)
_STATES = re.compile(r"answer|boxed|therefore|so the", re.I)
_HEAD = 600


def matrix(leaves: Sequence[str], encode: Encode | None = None) -> Any:
    """One row of floats per leaf of one trace, in its order (numpy array)."""
    import numpy as np

    own = np.array([list(_of_leaf(leaf[:_HEAD])) for leaf in leaves], dtype=np.float32)
    blocks = [own, _shifted(own, -1), _shifted(own, 1), np.array(_course(leaves), np.float32)]
    if encode is not None:
        vectors = np.asarray(encode([leaf[:_HEAD] for leaf in leaves]), dtype=np.float32)
        blocks.append(vectors)
    return np.hstack(blocks)


def _shifted(values: Any, by: int) -> Any:
    """Row i becomes row i + ``by``; zeros outside."""
    import numpy as np

    out = np.zeros_like(values)
    if by > 0:
        out[:-by] = values[by:]
    else:
        out[-by:] = values[:by]
    return out


@lru_cache(maxsize=8192)
def _of_leaf(leaf: str) -> tuple[float, ...]:
    lowered = leaf.lower().replace("’", "'")
    rule = kinds.classify(leaf)
    size = max(1, len(leaf))
    return (
        *(float(pattern.search(lowered) is not None) for pattern in _PATTERNS),
        *(float(rule == kind) for kind in kinds.KINDS),
        float(seal.seal_type(leaf, seal.CORRECTED) == seal.REFLECTION),
        min(size, 400) / 200,
        float("?" in leaf),
        float("=" in leaf),
        sum(char.isdigit() for char in leaf) / size,
        float("\\boxed" in leaf),
        float("✓" in leaf or "✔" in leaf or "✅" in leaf),
        *(float(lowered.startswith(word)) for word in ("wait", "but", "so", "let", "hmm", "yes")),
    )


def _course(leaves: Sequence[str]) -> list[list[float]]:
    """Where in the trace a leaf stands, and how long ago something was checked or doubted.

    The share of its numbers that were seen before tells a check from a new calculation.
    """
    rows: list[list[float]] = []
    seen: set[str] = set()
    checked = doubted = 99
    stated = 0
    for index, leaf in enumerate(leaves):
        head = leaf[:_HEAD]
        numbers = _NUMBER.findall(head)
        old = sum(number in seen and len(number) > 1 for number in numbers)
        rows.append(
            [
                index / max(1, len(leaves)),
                old / max(1, len(numbers)),
                min(len(numbers), 10) / 10,
                math.exp(-checked / 3),
                math.exp(-doubted / 3),
                min(stated, 10) / 10,
            ]
        )
        seen.update(numbers)
        checked = 0 if _CHECKS.search(head) else checked + 1
        doubted = 0 if _DOUBTS.search(head) else doubted + 1
        stated += _STATES.search(head) is not None
    return rows
