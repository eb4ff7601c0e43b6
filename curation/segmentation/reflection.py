"""The head that tells reflection (uncertainty or self-checking) from the rest of a trace.

A weighted mean of two linear heads: one on the features of ``features.matrix``, one on the n-grams
of characters of the leaf. Needs numpy; the n-grams also scikit-learn (demo extra).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

# Inverse strength of the penalty of each head, and how much the features weigh against the n-grams:
# chosen by leaving one problem out in one half of the problems of thought-anchors.
C_FEATURES, C_GRAMS, WEIGHT = 0.0005, 1.0, 2.0
_ARRAYS = ("weights", "bias", "grams", "idf", "gram_weights", "gram_bias")
_HEAD = 600


@dataclass(frozen=True)
class ReflectionHead:
    """``weights`` (features,), ``grams`` the n-grams as text, ``idf`` and ``gram_weights`` of
    each; the biases are arrays of one number."""

    weights: Any = field(repr=False)
    bias: Any = field(repr=False)
    grams: Any = field(repr=False)
    idf: Any = field(repr=False)
    gram_weights: Any = field(repr=False)
    gram_bias: Any = field(repr=False)

    def probabilities(self, scaled: Any, leaves: Sequence[str]) -> Any:
        """(leaves,) from standardised rows of ``features.matrix`` and the leaves' texts."""
        import numpy as np

        logits = WEIGHT * (scaled @ self.weights + self.bias[0])
        logits += self._vectors(leaves) @ self.gram_weights + self.gram_bias[0]
        return 1 / (1 + np.exp(-np.clip(logits / (WEIGHT + 1), -30, 30)))

    def _vectors(self, leaves: Sequence[str]) -> Any:
        vectorizer = _vectorizer(vocabulary={gram: at for at, gram in enumerate(self.grams)})
        vectorizer.idf_ = self.idf
        return vectorizer.transform([leaf[:_HEAD] for leaf in leaves])

    def arrays(self) -> dict[str, Any]:
        """What is saved, by names of its own."""
        return {f"reflection_{name}": getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Any]) -> ReflectionHead:
        """From what ``arrays`` gave; KeyError where one is missing."""
        return cls(**{name: arrays[f"reflection_{name}"] for name in _ARRAYS})


def fit(scaled: Any, leaves: Sequence[str], wanted: Any) -> ReflectionHead | None:
    """Both heads of labelled leaves; None where all or none of them reflect."""
    import numpy as np

    if not 0 < wanted.sum() < len(wanted):
        return None
    linear = import_module("sklearn.linear_model").LogisticRegression
    one = linear(C=C_FEATURES, max_iter=500).fit(scaled, wanted)
    vectorizer = _vectorizer(min_df=2)
    rows = vectorizer.fit_transform([leaf[:_HEAD] for leaf in leaves])
    two = linear(C=C_GRAMS, max_iter=500, class_weight="balanced").fit(rows, wanted)
    return ReflectionHead(
        one.coef_[0],
        one.intercept_,
        np.array(vectorizer.get_feature_names_out(), dtype=np.str_),
        vectorizer.idf_,
        two.coef_[0],
        two.intercept_,
    )


def _vectorizer(**given: Any) -> Any:
    text = import_module("sklearn.feature_extraction.text")
    return text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, **given)
