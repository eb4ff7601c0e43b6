"""Lengths in the student's own tokenizer, where the project names one.

``Project.settings["review"]["tokenizer"]`` is the name of a folder under
``WHITTLE_HOME/tokenizers/`` that holds a ``tokenizer.json``, or ``demo-teacher``. Without one the
screen shows estimates by characters and says so (``≈``).
"""

from __future__ import annotations

import bisect
import itertools
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from curation import paths
from reviews.schema import ReviewSchema

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def file_of(name: str) -> Path | None:
    """The tokenizer's file, when the name is a plain one and the file is there."""
    if not NAME.fullmatch(name):
        return None
    home = paths.home()
    places = [home / "tokenizers" / name / "tokenizer.json", home / "tokenizers" / f"{name}.json"]
    if name == "demo-teacher":
        places.append(paths.ROOT / "workers/demo_teacher/model/tokenizer.json")
    return next((place for place in places if place.is_file()), None)


@lru_cache(maxsize=4)
def _load(path: str, changed: float) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(path)


def tokenizer_of(schema: ReviewSchema) -> Any | None:
    """The project's tokenizer; None without one, or without the library that reads it."""
    path = file_of(schema.tokenizer) if schema.tokenizer else None
    if path is None:
        return None
    try:
        return _load(str(path), path.stat().st_mtime)
    except Exception:  # an unreadable file (the library raises bare Exception) is as none
        return None


def offsets(tokenizer: Any, text: str) -> list[int]:
    """Where each token of the text starts, in code points."""
    encoded = tokenizer.encode(text, add_special_tokens=False)
    return [start for start, _ in encoded.offsets]


def count_in(starts: list[int], bounds: list[int]) -> list[int]:
    """Tokens that start in each range between neighbouring ``bounds``."""
    places = [bisect.bisect_left(starts, bound) for bound in bounds]
    return [high - low for low, high in itertools.pairwise(places)]
