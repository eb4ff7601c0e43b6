"""Which parts of a text were on screen, and for how long: pure functions over read ranges."""

from __future__ import annotations

from collections.abc import Sequence

PARTS = 20  # equal parts of a text that a picture shows


def profile(
    read: Sequence[Sequence[float]], chars: int, parts: int = PARTS
) -> tuple[list[float], list[float]]:
    """For each of ``parts`` equal parts of a text of ``chars`` code points: (shares, seconds).

    ``read`` holds [start, end, seconds on screen], code points. A share is that of the part's
    characters that were on screen at all; the seconds of a range go to the parts that it touches,
    by length.
    """
    width = chars / parts
    shares, seconds = [0.0] * parts, [0.0] * parts
    for start, end in merged(read, chars):
        for part, length in touched(start, end, width, parts):
            shares[part] += length / width
    for start, end, time in read:
        high = min(end, chars)
        if high <= start:
            continue
        for part, length in touched(start, high, width, parts):
            seconds[part] += time * length / (high - start)
    return [min(1.0, share) for share in shares], seconds


def merged(read: Sequence[Sequence[float]], chars: int) -> list[tuple[float, float]]:
    """Ranges with some time on screen, joined where they touch, inside of the text."""
    found: list[tuple[float, float]] = []
    for start, end, time in sorted(map(tuple, read)):
        high = min(end, chars)
        if time <= 0 or high <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((start, high))
    return found


def touched(start: float, end: float, width: float, parts: int) -> list[tuple[int, float]]:
    """(part, characters of the range in it)."""
    first, last = int(start / width), min(parts - 1, int((end - 1e-9) / width))
    return [
        (part, min(end, (part + 1) * width) - max(start, part * width))
        for part in range(first, last + 1)
    ]
