"""Anchors: labels and ranges that find their place again by what they quote.

A label is a range of code points with the hash of what it quotes. In the same text it stays where
it is whatever the segmenter says; what can change is which leaf it stands on. In another text (a
derived trace, an edited copy) it is looked for by its quote, nearest to where it was.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from curation.segmentation.types import Segment

SAME, MOVED, FOUND, LOST = "same", "moved", "found", "lost"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A range, the SHA-256 of what it quotes, and (for another text) the quote itself."""

    start: int
    end: int
    quote_sha256: str
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an anchor stands now.

    ``same``: one leaf is exactly its range. ``moved``: its text is where it was, the leaves are cut
    otherwise; ``first`` to ``last`` (exclusive) are those it touches. ``found``: its quote stands
    elsewhere, at ``start``. ``lost``: its quote is not in the text; ``start`` is where it was.
    """

    anchor: Anchor
    status: str
    start: int
    end: int
    first: int = 0
    last: int = 0


def anchor_of(text: str, start: int, end: int) -> Anchor:
    """An anchor with its quote."""
    quote = text[start:end]
    return Anchor(start, end, _sha256(quote), quote)


def reanchor(anchors: Sequence[Anchor], text: str, segments: Sequence[Segment]) -> list[Placed]:
    """Each anchor with its place in ``text`` and its leaves among ``segments``; linear in both."""
    starts = [leaf.start for leaf in segments]
    return [_place(anchor, text, segments, starts) for anchor in anchors]


def _place(anchor: Anchor, text: str, segments: Sequence[Segment], starts: Sequence[int]) -> Placed:
    start, status = anchor.start, SAME
    if _sha256(text[start : anchor.end]) != anchor.quote_sha256 or anchor.end > len(text):
        at = _nearest(text, anchor.quote, anchor.start) if anchor.quote else None
        if at is None:
            return Placed(anchor, LOST, anchor.start, anchor.end)
        start, status = at, FOUND
    end = start + anchor.end - anchor.start
    first = max(0, bisect_right(starts, start) - 1)
    last = first
    while last < len(segments) and segments[last].start < max(end, start + 1):
        last += 1
    exact = last - first == 1 and (segments[first].start, segments[first].end) == (start, end)
    return Placed(anchor, status if exact or status == FOUND else MOVED, start, end, first, last)


def _nearest(text: str, quote: str, position: int) -> int | None:
    """Start of the occurrence of ``quote`` that is nearest to ``position``."""
    behind = text.find(quote, max(0, position))
    before = text.rfind(quote, 0, max(0, position) + len(quote))
    found = [place for place in (before, behind) if place >= 0]
    return min(found, key=lambda place: abs(place - position)) if found else None


def _sha256(quote: str) -> str:
    return hashlib.sha256(quote.encode()).hexdigest()
