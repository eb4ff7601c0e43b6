"""Ranges of a text that a page marks: what two texts share, and where they differ."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

TOKEN = re.compile(r"\w+|[^\w\s]")
MOST_TOKENS = 600  # comparing takes the product of both lengths
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, marked or not; the pieces in order are the text."""

    text: str
    marked: bool


def pieces(text: str, ranges: Iterable[Range]) -> list[Piece]:
    """``text`` cut at ``ranges``, which are (start, end) in code points, ascending and apart."""
    found, at = [], 0
    for start, end in ranges:
        found += [Piece(text[at:start], False), Piece(text[start:end], True)]
        at = end
    return [piece for piece in [*found, Piece(text[at:], False)] if piece.text]


def differences(text: str, other: str) -> list[Range]:
    """The (start, end) of words and signs of ``text`` that stand elsewhere or not in ``other``.

    Case does not count. Nothing is compared when either has over ``MOST_TOKENS`` of them.
    """
    own, theirs = list(TOKEN.finditer(text)), TOKEN.findall(other.lower())
    if max(len(own), len(theirs)) > MOST_TOKENS:
        return []
    words = [token.group().lower() for token in own]
    matcher = SequenceMatcher(None, words, theirs, autojunk=False)
    return [
        (own[start].start(), own[end - 1].end())
        for kind, start, end, _, _ in matcher.get_opcodes()
        if kind != "equal" and end > start
    ]
