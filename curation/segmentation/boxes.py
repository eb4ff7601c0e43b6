"""The boxes that a page shows a trace in; "segment 13", address ``#s13``, is the 13th of them.

Every page that shows a trace numbers the same boxes, from 1, so that a number or an address of one
page names the same characters on the other. A box is a leaf of the segmentation; a longer leaf
(code, display maths) is several, and a text without a segmentation is slices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

SLICE = 1500  # characters of a plain slice where a trace is not segmented
MOST = 6000  # characters of a box


def slices(text: str) -> list[tuple[int, int]]:
    """The text in slices of about ``SLICE`` characters, cut at a line end where there is one."""
    found, at = [], 0
    while at < len(text):
        end = min(at + SLICE, len(text))
        line = text.rfind("\n", at + SLICE // 3, end)
        if end < len(text) and line > at:
            end = line + 1
        found.append((at, end))
        at = end
    return found


def boxes(start: int, end: int) -> Iterator[tuple[int, int]]:
    """One leaf as (start, end) of its boxes, in code points; none of an empty leaf."""
    for low in range(start, end, MOST):
        yield low, min(end, low + MOST)


def first_numbers(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """The number, from 1, of the first box of each leaf, given as (start, end) in order."""
    found, number = [], 1
    for start, end in ranges:
        found.append(number)
        number += -((start - end) // MOST)
    return found
