"""Dataset families. To add one: copy the nearest file, and give it a line here."""

from __future__ import annotations

from curation.sources.adapters import (
    am_distilled,
    generic,
    gsm8k,
    humaneval,
    kodcode,
    livecodebench,
    mbpp,
    numina,
    olymmath,
    open_thoughts,
    openr1,
    prm800k,
    qwen_math_eval,
    reasoning_gym,
    skythought,
    stepped,
    synlogic,
    thought_anchors,
)
from curation.sources.adapters.base import Adapter, Sample

__all__ = ["ADAPTERS", "Adapter", "Sample", "best"]

ADAPTERS: dict[str, Adapter] = {
    "skythought": skythought.ADAPTER,
    "gsm8k": gsm8k.ADAPTER,
    "thought_anchors": thought_anchors.ADAPTER,
    "openr1": openr1.ADAPTER,
    "open_thoughts": open_thoughts.ADAPTER,
    "am_distilled": am_distilled.ADAPTER,
    "numina": numina.ADAPTER,
    "qwen_math_eval": qwen_math_eval.ADAPTER,
    "olymmath": olymmath.ADAPTER,
    "humaneval": humaneval.ADAPTER,
    "mbpp": mbpp.ADAPTER,
    "kodcode": kodcode.ADAPTER,
    "livecodebench": livecodebench.ADAPTER,
    "stepped": stepped.ADAPTER,
    "prm800k": prm800k.ADAPTER,
    "reasoning_gym": reasoning_gym.ADAPTER,
    "synlogic": synlogic.ADAPTER,
    "generic": generic.ADAPTER,
}


def best(sample: Sample) -> Adapter:
    """The adapter that is surest of a sample; the generic one where none is."""
    surest = max(ADAPTERS.values(), key=lambda adapter: adapter.score(sample))
    return surest if surest.score(sample) else ADAPTERS["generic"]
