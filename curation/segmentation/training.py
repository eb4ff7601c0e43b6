"""Train and measure a classifier of kinds on labelled leaves; needs scikit-learn (demo extra).

Labelled data is JSON lines, one leaf a line, traces in order: ``{"trace", "problem", "text",
"kinds": [...]}``. The folders of thought-anchors are read as they are. Training and test data
never share a problem.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from curation.segmentation import kinds
from curation.segmentation.features import Encode, matrix
from curation.segmentation.learned import REFLECTING, TRAINABLE, KindModel, decide

# Tags of thought-anchors and the kinds they mean.
THOUGHT_ANCHORS = {
    "problem_setup": kinds.PROBLEM_SETUP,
    "plan_generation": kinds.PLAN,
    "fact_retrieval": kinds.FACT,
    "active_computation": kinds.COMPUTATION,
    "uncertainty_management": kinds.UNCERTAINTY,
    "self_checking": kinds.SELF_CHECKING,
    "result_consolidation": kinds.CONSOLIDATION,
    "final_answer_emission": kinds.FINAL_ANSWER,
}
# Weight of the penalty (inverse, as scikit-learn has it); few labels want a strong one.
C = 0.002
_THRESHOLDS = tuple(x / 50 for x in range(8, 36))


@dataclass(frozen=True, slots=True)
class Labelled:
    """One leaf with the kinds people or models gave it (several may fit)."""

    trace: str
    problem: str
    text: str
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 of one kind, and how many leaves have it."""

    precision: float
    recall: float
    f1: float
    support: int


class BadLabels(ValueError):
    """Labelled data that cannot be used; the message names file and line."""


def read_labels(path: Path) -> list[Labelled]:
    """Leaves of a JSONL file, or of a folder of thought-anchors."""
    rows = list(_thought_anchors(path) if path.is_dir() else _lines(path))
    if not rows:
        raise BadLabels(f"{path}: no labelled leaves")
    return rows


def _lines(path: Path) -> Iterator[Labelled]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found = frozenset(row["kinds"])
            if unknown := found - set(TRAINABLE):
                raise ValueError(f"unknown kinds {sorted(unknown)}")
            trace = str(row["trace"])
            yield Labelled(trace, str(row.get("problem", trace)), str(row["text"]), found)
        except (ValueError, KeyError, TypeError) as error:
            raise BadLabels(f"{path}:{number}: {error}") from error


def _thought_anchors(folder: Path) -> Iterator[Labelled]:
    for path in sorted(folder.glob("**/chunks_labeled.json")):
        for chunk in json.loads(path.read_text(encoding="utf-8")):
            tags = chunk.get("function_tags") or []
            found = frozenset(THOUGHT_ANCHORS[tag] for tag in tags if tag in THOUGHT_ANCHORS)
            yield Labelled(str(path.parent), path.parent.name, str(chunk["chunk"]), found)


def features_of(rows: Sequence[Labelled], encode: Encode | None) -> Any:
    """Rows of ``features.matrix``, trace by trace."""
    import numpy as np

    return np.vstack(
        [matrix([row.text for row in part], encode) for _, part in groupby(rows, _trace_of)]
    )


def train(
    rows: Sequence[Labelled],
    name: str,
    encoder: str = "none",
    encode: Encode | None = None,
    features: Any = None,
) -> KindModel:
    """A classifier of the labelled rows; the threshold is set across their problems."""
    x = features_of(rows, encode) if features is None else features
    y = targets(rows)
    model = _fit(x, y, name, encoder)
    threshold = _threshold(rows, x, y, lambda a, b: _fit(a, b, name, encoder))
    return KindModel(
        name, encoder, model.weights, model.bias, model.mean, model.scale, threshold, encode
    )


def targets(rows: Sequence[Labelled]) -> Any:
    """(rows, kinds) of 0 and 1."""
    import numpy as np

    return np.array([[kind in row.kinds for kind in TRAINABLE] for row in rows], dtype=int)


def _fit(x: Any, y: Any, name: str, encoder: str) -> KindModel:
    import numpy as np

    linear = import_module("sklearn.linear_model")

    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale < 1e-6] = 1.0
    z = (x - mean) / scale
    weights = np.zeros((len(TRAINABLE), x.shape[1]))
    bias = np.full(len(TRAINABLE), -30.0)
    for index in range(len(TRAINABLE)):
        if not 0 < y[:, index].sum() < len(y):
            continue  # a kind without examples is never said
        head = linear.LogisticRegression(C=C, max_iter=300).fit(z, y[:, index])
        weights[index], bias[index] = head.coef_[0], head.intercept_[0]
    return KindModel(name, encoder, weights, bias, mean, scale)


def _threshold(
    rows: Sequence[Labelled], x: Any, y: Any, fit: Callable[[Any, Any], KindModel]
) -> float:
    """The threshold of best F1 on problems left out one after the other."""
    import numpy as np

    problems = np.array([row.problem for row in rows])
    names = sorted(set(problems))[:8]
    if len(names) < 2:
        return 0.4
    wanted = _reflects(y)
    said = np.zeros(len(rows))
    for problem in names:
        out = problems == problem
        found = fit(x[~out], y[~out]).of_features(x[out])
        said[out] = _either(found)
    known = np.isin(problems, names)
    return max(_THRESHOLDS, key=lambda t: _f1(said[known] >= t, wanted[known]).f1)


def _either(probabilities: Any) -> Any:
    import numpy as np

    index = [TRAINABLE.index(kind) for kind in REFLECTING]
    return 1 - np.prod(1 - probabilities[:, index], axis=1)


def _reflects(y: Any) -> Any:
    return y[:, [TRAINABLE.index(kind) for kind in REFLECTING]].any(axis=1)


def measure(said: Sequence[str], rows: Sequence[Labelled]) -> dict[str, Score]:
    """Per kind, and ``reflection`` (uncertainty or self-checking), of kinds said for rows.

    Backtracks count as uncertainty, which is where thought-anchors puts them.
    """
    import numpy as np

    names = np.array([kinds.UNCERTAINTY if kind == kinds.BACKTRACK else kind for kind in said])
    y = targets(rows)
    found = {
        kind: _f1(names == kind, y[:, index].astype(bool)) for index, kind in enumerate(TRAINABLE)
    }
    found["reflection"] = _f1(np.isin(names, REFLECTING), _reflects(y))
    return found


def classify_rows(model: KindModel, features: Any) -> list[str]:
    """Kinds of rows whose features are at hand."""
    return decide(model.of_features(features), model.threshold)


def confusion(said: Sequence[str], rows: Sequence[Labelled]) -> dict[str, dict[str, int]]:
    """Kind said -> kind wanted -> leaves. A leaf of several wanted kinds counts as the said one
    where that is among them, else as its first in the order of ``TRAINABLE`` ("none" without)."""
    table: dict[str, Counter[str]] = {kind: Counter() for kind in TRAINABLE}
    for kind, row in zip(said, rows, strict=True):
        first = next((name for name in TRAINABLE if name in row.kinds), "none")
        table.setdefault(kind, Counter())[kind if kind in row.kinds else first] += 1
    return {kind: dict(counts) for kind, counts in table.items()}


def _f1(said: Any, wanted: Any) -> Score:
    hits = int((said & wanted).sum())
    precision = hits / max(1, int(said.sum()))
    recall = hits / max(1, int(wanted.sum()))
    total = precision + recall
    return Score(
        precision, recall, 2 * precision * recall / total if total else 0.0, int(wanted.sum())
    )


def _trace_of(row: Labelled) -> str:
    return row.trace


def held_back(rows: Sequence[Labelled], share: float, seed: int) -> set[str]:
    """Problems for the test: ``share`` of them, drawn by ``seed``; at least one stays to learn."""
    problems = sorted({row.problem for row in rows})
    random.Random(seed).shuffle(problems)  # noqa: S311 a split, not a secret
    return set(problems[: min(round(share * len(problems)), len(problems) - 1)])


def table(trained: dict[str, Score], rules: dict[str, Score]) -> str:
    """Both sets of scores beside each other, for a terminal."""
    lines = [f"{'kind':<18} {'n':>5} {'precision':>9} {'recall':>7} {'F1':>6} {'rules F1':>9}"]
    lines += [
        f"{kind:<18} {s.support:>5} {s.precision:>9.2f} {s.recall:>7.2f} {s.f1:>6.2f}"
        f" {rules[kind].f1:>9.2f}"
        for kind, s in trained.items()
    ]
    return "\n".join(lines)


def confusion_table(said: Sequence[str], rows: Sequence[Labelled]) -> str:
    """``confusion`` for a terminal: a line per kind said, a column per kind wanted."""
    found = confusion(said, rows)
    columns = [*TRAINABLE, "none"]
    lines = [f"{'said / wanted':<15}" + "".join(f"{name[:9]:>10}" for name in columns)]
    lines += [
        f"{kind:<15}" + "".join(f"{counts.get(name, 0):>10}" for name in columns)
        for kind, counts in found.items()
    ]
    return "\n".join(lines)
