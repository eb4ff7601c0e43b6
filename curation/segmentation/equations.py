"""Equations of a text in a form in which the same ones are equal, and leaves that redo others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from curation.segmentation import kinds
from curation.segmentation.types import Segment

# So many equations of one earlier leaf make a leaf a repetition of it; one alone is a reminder.
REDONE_EQUATIONS = 2
_LEAF_LIMIT = 2_000
# Of the leaves that hold one equation this many are remembered.
_HOLDERS = 16
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
    holders: dict[str, list[int]] = {}
    redone: dict[int, int] = {}
    for index, leaf in enumerate(segments):
        body = text[leaf.start : leaf.end]
        if leaf.kind == kinds.TAG or index in repeats or "=" not in body or len(body) > _LEAF_LIMIT:
            continue
        equations = normalised_equations(body)
        first = _holder_of_all(equations, holders)
        if first is not None and _brings_nothing(text, segments[first], body):
            redone[index] = first
            continue
        for equation in equations:
            places = holders.setdefault(equation, [])
            if len(places) < _HOLDERS:
                places.append(index)
    return redone


def _holder_of_all(equations: frozenset[str], holders: Mapping[str, Sequence[int]]) -> int | None:
    """The earliest leaf that holds all of these equations."""
    if len(equations) < REDONE_EQUATIONS:
        return None
    places = [set(holders.get(equation, ())) for equation in equations]
    return min(set.intersection(*places), default=None)


def _brings_nothing(text: str, earlier: Segment, body: str) -> bool:
    known = _NUMBER.findall(text[earlier.start : earlier.end])
    return set(_NUMBER.findall(body)) <= set(known)
