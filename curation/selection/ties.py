"""Which of several equally good traces is taken: named, seeded, the same on every machine. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from curation.selection.candidates import Candidate
from curation.selection.recipe import Recipe


def _first(c: Candidate, _: Recipe) -> tuple[Any, ...]:
    return (c.sample_no, c.model, c.trace_id)


def _shortest(c: Candidate, r: Recipe) -> tuple[Any, ...]:
    return (c.chars, *_first(c, r))


def _random(c: Candidate, r: Recipe) -> tuple[Any, ...]:
    """Order by a hash of seed and texts: unchanged when other problems come or go."""
    text = f"tie:{r.seed}:{c.problem_sha256}:{c.text_sha256}"
    return (hashlib.sha256(text.encode()).hexdigest(), *_first(c, r))


TIES: dict[str, Callable[[Candidate, Recipe], tuple[Any, ...]]] = {
    "shortest": _shortest,
    "first": _first,
    "random": _random,
}


def ranked(candidates: Sequence[Candidate], recipe: Recipe) -> list[Candidate]:
    """``candidates`` with the best first, by the recipe's tie rule."""
    return sorted(candidates, key=lambda c: TIES[recipe.tie](c, recipe))
