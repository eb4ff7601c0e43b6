"""Leaves that say again what an earlier leaf said, and the place where a trace starts to loop."""

from __future__ import annotations

import re
from collections.abc import Sequence

from curation.segmentation.kinds import TAG
from curation.segmentation.types import Loop, Segment

# Shorter leaves ("So,", "Yes.") come back by nature.
MIN_REPEAT = 20
# A loop: at least this often, over at least this much text.
MIN_TIMES, MIN_LOOP = 3, 200
# Novelty: in the stale end of a trace at least this share of the text was said before.
STALE_SHARE, STALE_LEAVES = 0.95, 12
# Loops inside one run of characters are looked for in the last characters of the text.
_TAIL = 4_000
_SPACE = re.compile(r"\s+")


def normalised(leaf: str) -> str:
    """The form in which leaves are compared: one space for white space, lower case."""
    return _SPACE.sub(" ", leaf).strip().lower()


def leaf_ids(text: str, segments: Sequence[Segment]) -> list[int]:
    """For each leaf the index of the first leaf that reads the same (its own when it is new)."""
    exact: dict[str, int] = {}
    seen: dict[str, int] = {}
    ids: list[int] = []
    for index, segment in enumerate(segments):
        leaf = text[segment.start : segment.end]
        if leaf not in exact:
            exact[leaf] = seen.setdefault(normalised(leaf), index)
        ids.append(exact[leaf])
    return ids


def find_repeats(text: str, segments: Sequence[Segment], ids: Sequence[int]) -> dict[int, int]:
    """Leaf -> the earlier leaf that it repeats; short leaves and tags are left out."""
    return {
        index: first
        for index, first in enumerate(ids)
        if first != index
        and segments[index].kind != TAG
        and segments[index].end - segments[index].start >= MIN_REPEAT
    }


def find_loop(
    text: str, segments: Sequence[Segment], ids: Sequence[int], end: int | None = None
) -> Loop | None:
    """The loop in which the text up to ``end`` (the end of its reasoning) runs out, or None.

    Three signs, the cheap ones first: the last leaves are periodic; the last leaves bring (almost)
    nothing new; the last characters are periodic inside one leaf. ``Loop.start`` lies behind the
    first whole cycle: what comes before it is said for the first time.
    """
    stop = len(text) if end is None else end
    last = sum(segment.start < stop for segment in segments)
    if last and segments[last - 1].kind == TAG:
        last -= 1
    found = _periodic(segments, ids, last) or _stale(segments, ids, last)
    return found or _characters(text, segments, stop)


def _periodic(segments: Sequence[Segment], ids: Sequence[int], last: int) -> Loop | None:
    """Periodic end of the leaves; the very last leaf may be cut off, so it is tried without it."""
    for stop in (last, last - 1):
        period, length = _periodic_suffix(list(ids[:stop]))
        if not period or length < MIN_TIMES * period:
            continue
        first = stop - length + period
        start, end = segments[first].start, segments[last - 1].end
        if end - segments[first - period].start >= MIN_LOOP:
            return Loop(start, end, first, period, length // period)
    return None


def _periodic_suffix(values: list[int]) -> tuple[int, int]:
    """Period and length of the longest periodic suffix that is repeated at least twice.

    The failure function of the reversed sequence gives, for each suffix, its smallest period.
    """
    backwards = values[::-1]
    failure = [0] * len(backwards)
    best = (0, 0)
    for index in range(1, len(backwards)):
        length = failure[index - 1]
        while length and backwards[index] != backwards[length]:
            length = failure[length - 1]
        failure[index] = length + (backwards[index] == backwards[length])
        size = index + 1
        period = size - failure[index]
        if size >= MIN_TIMES * period and size > best[1]:
            best = (period, size)
    return best


def _stale(segments: Sequence[Segment], ids: Sequence[int], last: int) -> Loop | None:
    """The longest end of the leaves in which ``STALE_SHARE`` of the text was said before."""
    stop = last - 1
    total = stale = 0
    best = None
    for index in range(stop - 1, -1, -1):
        size = segments[index].end - segments[index].start
        total += size
        stale += size if ids[index] != index else 0
        if ids[index] != index and stale >= STALE_SHARE * total:
            best = index
    if best is None or last - best < STALE_LEAVES:
        return None
    start, end = segments[best].start, segments[last - 1].end
    distinct = len(set(ids[best:stop]))
    times = (stop - best) // distinct
    if times < MIN_TIMES or end - start < MIN_LOOP:
        return None
    return Loop(start, end, best, distinct, times)


def _characters(text: str, segments: Sequence[Segment], stop: int) -> Loop | None:
    """A short string repeated to the end ("1212…"): the smallest period of the last characters."""
    tail = text[max(0, stop - _TAIL) : stop].rstrip()
    period, length = _periodic_suffix([ord(char) for char in tail])
    enough = period > 0 and length >= max(MIN_LOOP, 2 * MIN_TIMES * period)
    if not enough or tail[-period:].isspace():
        return None
    end = max(0, stop - _TAIL) + len(tail)
    unit, start = text[end - period : end], end - length
    while start >= period and text[start - period : start] == unit_at(unit, end - start):
        start -= period
    first = sum(segment.end <= start + period for segment in segments)
    first = min(first, len(segments) - 1)
    return Loop(start + period, stop, first, 0, (end - start) // period)


def unit_at(unit: str, distance: int) -> str:
    """The cycle of ``unit`` as it reads when it ends ``distance`` characters before its end."""
    shift = distance % len(unit)
    return unit[len(unit) - shift :] + unit[: len(unit) - shift] if shift else unit
