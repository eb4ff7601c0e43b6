"""The identity of a selection: a hash over its recipe and the ids and hashes of its rows. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from curation.selection.candidates import SelectedRow
from curation.selection.recipe import Recipe

SCHEMA = 1


def canonical(value: Any) -> bytes:
    """One spelling per JSON value: sorted keys, no spaces, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def row_key(row: SelectedRow) -> dict[str, Any]:
    """What a row freezes: which problem and traces, and what their texts were."""
    key: dict[str, Any] = {
        "problem_id": row.chosen.problem_id,
        "problem_sha256": row.chosen.problem_sha256,
        "chosen_id": row.chosen.trace_id,
        "chosen_sha256": row.chosen.text_sha256,
    }
    if row.rejected is not None:
        key["rejected_id"] = row.rejected.trace_id
        key["rejected_sha256"] = row.rejected.text_sha256
    return key


class SelectionDigest:
    """SHA-256 over the recipe and the rows in their order, fed row by row."""

    def __init__(self, recipe: Recipe) -> None:
        """Start with the recipe: the same rows by another rule are another selection."""
        self._hash = hashlib.sha256(canonical({"schema": SCHEMA, "recipe": recipe.essence()}))

    def add(self, row: SelectedRow) -> None:
        """Take in the next row."""
        self._hash.update(b"\n" + canonical(row_key(row)))

    def hexdigest(self) -> str:
        """The selection's SHA-256 so far, in hex."""
        return self._hash.hexdigest()


def selection_sha256(rows: Iterable[SelectedRow], recipe: Recipe) -> str:
    """The SHA-256 of a selection that is at hand as a whole."""
    digest = SelectionDigest(recipe)
    for row in rows:
        digest.add(row)
    return digest.hexdigest()


def recipe_sha256(recipe: Recipe) -> str:
    """The identity of what a recipe says, whatever its version number."""
    return hashlib.sha256(canonical(recipe.essence())).hexdigest()
