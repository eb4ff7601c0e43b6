"""Equations of a text in a form in which the same ones are equal, and leaves that redo others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from curation.segmentation import kinds
from curation.segmentation.types import Segment

# So many equations of one earlier leaf make a leaf a repetition of it; one alone is a reminder.
REDONE_EQUATIONS = 2
_LEAF_LIMIT = 2_000
_BREAK = re.compile(r"[\n.,;:!?$]|\\[()\[\]]|\b(?:so|then|and|where|gives|is)\b")
_SPACE = re.compile(r"[\s{}\\]|cdot|times|left|right")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def normalised_equations(body: str) -> frozenset[str]:
    """Equations without white space, braces and ways to write a product."""
    pieces = (piece for piece in _BREAK.split(body.lower()) if "=" in piece[:200])
    found = (_SPACE.sub("", piece[:200]) for piece in pieces)
    return frozenset(equation for equation in found if 4 <= len(equation) <= 80)


def find_redone(
    text: str, segments: Sequence[Segment], repeats: Mapping[int, int]
) -> dict[int, int]:
    """Leaf -> the earlier leaf whose calculation it does again, in other words.

    All its equations stand in that leaf, at least ``REDONE_EQUATIONS`` of them, and it brings no
    number that is not there. Leaves of ``repeats`` (word for word) are left out.
    """
    holders: dict[str, int] = {}
    known: dict[int, frozenset[str]] = {}
    redone: dict[int, int] = {}
    for index, leaf in enumerate(segments):
        body = text[leaf.start : leaf.end]
        if leaf.kind == kinds.TAG or index in repeats or "=" not in body or len(body) > _LEAF_LIMIT:
            continue
        equations = normalised_equations(body)
        if not equations:
            continue
        first = min(holders.get(equation, index) for equation in equations)
        if _is_redone(text, segments, body, equations, known.get(first, frozenset()), first):
            redone[index] = first
            continue
        known[index] = equations
        for equation in equations:
            holders.setdefault(equation, index)
    return redone


def _is_redone(
    text: str,
    segments: Sequence[Segment],
    body: str,
    equations: frozenset[str],
    before: frozenset[str],
    first: int,
) -> bool:
    if len(equations) < REDONE_EQUATIONS or not equations <= before:
        return False
    earlier = text[segments[first].start : segments[first].end]
    return set(_NUMBER.findall(body)) <= set(_NUMBER.findall(earlier))
