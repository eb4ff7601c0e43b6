"""Traces: what is stored beside a text, what makes one unique, and traces made by cutting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from curation.models import Trace
from curation.segmentation import Cut, Derived, apply_cuts, split_reasoning

# Finish reasons that mean: the model was not done.
CUT_OFF = frozenset({"length", "max_tokens", "max_length"})


class BadCuts(ValueError):
    """Cuts that do not belong to the text: out of range, overlapping, or quoting another text."""


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def text_fields(text: str) -> dict[str, Any]:
    """The columns that follow from a trace's text; ranges are code points.

    No reasoning range without tags, and no answer range where the reasoning never ends.
    """
    split = split_reasoning(text)
    reasons = split.style != "none"
    return {
        "text": text,
        "text_sha256": sha256(text),
        "char_count": len(text),
        "reasoning_start": split.reasoning_start if reasons else None,
        "reasoning_end": split.reasoning_end if reasons else None,
        "answer_start": split.answer_start if split.closed else None,
        "answer_end": split.answer_end if split.closed else None,
        "tag_style": split.style,
        "reasoning_closed": split.closed,
    }


def import_identity(model: str, text_sha256: str, copy: int) -> str:
    """Identity of an imported trace: equal samples of one row are copies 0, 1, ..."""
    return _identity("imported", model, text_sha256, copy)


def derived_identity(parent_id: int, kept: Iterable[tuple[int, int]]) -> str:
    """Identity of a derived trace: its parent and what was kept of it."""
    return _identity("derived", parent_id, [list(span) for span in kept])


def _identity(*parts: Any) -> str:
    return sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")))


def derive(trace: Trace, cuts: list[dict[str, Any]]) -> Trace:
    """The trace without the cuts, stored with its parent and the ranges that were kept.

    A cut is ``{"start", "end", "reason", "quote_sha256"}``; where it carries a hash, it must be
    the hash of what the range quotes. Deriving the same again returns the row that exists.
    Raises BadCuts.
    """
    if not cuts:
        raise BadCuts("there is nothing to cut")
    return store_derived(trace, _apply(trace.text, cuts), cuts)


def store_derived(trace: Trace, derived: Derived, cuts: list[dict[str, Any]]) -> Trace:
    """The row of a derived text, the one that exists if it does.

    Where a cut put a shorter text in place of a range (``"action": "condense"``), what was put in
    is part of the identity.
    """
    row = unsaved_derived(trace, derived, cuts)
    with transaction.atomic():
        stored, _ = Trace.objects.get_or_create(
            problem_id=trace.problem_id,
            identity=row.identity,
            defaults=_derived_fields(trace, derived, cuts),
        )
    return stored


def unsaved_derived(trace: Trace, derived: Derived, cuts: list[dict[str, Any]]) -> Trace:
    """The row that ``store_derived`` would store, with its identity and not stored."""
    identity = derived_identity(trace.pk, derived.kept)
    if any(cut.get("action") == "condense" for cut in cuts):
        identity = _identity("condensed", trace.pk, derived.kept, derived.insertions)
    fields = _derived_fields(trace, derived, cuts)
    return Trace(problem_id=trace.problem_id, identity=identity, **fields)


def store_form(trace: Trace, derived: Derived, identity: str, **given: Any) -> tuple[Trace, bool]:
    """The row of another form of a trace under an identity of its own, and whether it is new.

    ``given`` are columns that differ from those of a trace with cuts.
    """
    return Trace.objects.get_or_create(
        problem_id=trace.problem_id,
        identity=identity,
        defaults=_derived_fields(trace, derived, []) | given,
    )


def _apply(text: str, cuts: list[dict[str, Any]]) -> Derived:
    for cut in cuts:
        quoted = text[cut["start"] : cut["end"]]
        if cut.get("quote_sha256") and cut["quote_sha256"] != sha256(quoted):
            raise BadCuts(f"the cut {cut['start']}-{cut['end']} quotes another text")
    try:
        ranges = [Cut(cut["start"], cut["end"], str(cut.get("reason", ""))) for cut in cuts]
        return apply_cuts(text, ranges)
    except ValueError as error:
        raise BadCuts(str(error)) from error


def _derived_fields(trace: Trace, derived: Derived, cuts: list[dict[str, Any]]) -> dict[str, Any]:
    kept = {"start", "end", "reason", "quote_sha256", "action", "text"}
    listed = [{key: value for key, value in cut.items() if key in kept} for cut in cuts]
    same = ("project_id", "source_id", "endpoint_id", "model", "messages", "finish_reason")
    copied = {name: getattr(trace, name) for name in (*same, "truncated", "sample_no")}
    return (
        text_fields(derived.text)
        | copied
        | {
            "origin": Trace.Origin.DERIVED,
            "parent": trace,
            "kept_ranges": [list(span) for span in derived.kept],
            "insertions": [list(item) for item in derived.insertions],
            "metadata": {"cuts": listed},
        }
    )
