"""SEAL's three thought types by its keyword lists, kept as versioned data.

Reflection is tested first, then transition, else the step is execution; both sides are compared
in lower case (upstream lower-cases only the text, so its capitalised entries never match).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

DATA = Path(__file__).parent / "data"
VERBATIM, CORRECTED = "seal-verbatim-1", "seal-corrected-1"
EXECUTION, REFLECTION, TRANSITION = "execution", "reflection", "transition"


@dataclass(frozen=True, slots=True)
class SealLists:
    """Keywords of one version: a step is of a type when it holds a word or begins with a prefix."""

    version: str
    words: dict[str, tuple[str, ...]]
    prefixes: dict[str, tuple[str, ...]]


@lru_cache(maxsize=8)
def load_lists(version: str) -> SealLists:
    """The lists of ``version``; KeyError for a version that does not exist."""
    if version not in (VERBATIM, CORRECTED):
        raise KeyError(version)
    raw = json.loads((DATA / f"{version}.json").read_text(encoding="utf-8"))
    types = (REFLECTION, TRANSITION)
    return SealLists(
        version=raw["version"],
        words={name: tuple(word.lower() for word in raw[name]["words"]) for name in types},
        prefixes={name: tuple(word.lower() for word in raw[name]["prefixes"]) for name in types},
    )


def seal_type(step: str, version: str = VERBATIM) -> str:
    """``reflection``, ``transition`` or ``execution`` for one step of a trace."""
    lists = load_lists(version)
    lowered = step.strip().lower().replace("’", "'")
    for name in (REFLECTION, TRANSITION):
        if lowered.startswith(lists.prefixes[name]):
            return name
        if any(word in lowered for word in lists.words[name]):
            return name
    return EXECUTION
