"""The longest chain of points that go forward in every coordinate."""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby

Point = tuple[int, ...]


def before(one: Point, other: Point) -> bool:
    """Whether ``one`` is smaller than ``other`` in every coordinate."""
    return all(a < b for a, b in zip(one, other, strict=True))


def longest_chain(points: Collection[Point]) -> list[Point]:
    """As many of ``points`` (of one length) as can be put in a row where each is smaller than the
    next in every coordinate; ascending, and the same for every order of ``points``.

    Patience sorting, for any number of coordinates. Points are taken by their first coordinate; a
    point's level is the length of the longest chain that ends in it. A chain that ends on a level
    has a smaller point on each level below, so the level is found by bisection. Of a level only the
    points are kept that no other of it undercuts: with two coordinates that is one point, and n
    points take O(n log n); with three and four it is the front of the level, of f points, and they
    take O(n f log n).
    """
    fronts: list[list[Point]] = []
    link: dict[Point, Point | None] = {}
    for _, group in groupby(sorted(set(points)), key=lambda point: point[0]):
        # Points of one first coordinate cannot follow each other: placed first, then stored.
        placed = [(*level_of(point, fronts), point) for point in group]
        for level, previous, point in placed:
            link[point] = previous
            if level == len(fronts):
                fronts.append([])
            add(point, fronts[level])
    chain: list[Point] = []
    at = fronts[-1][0] if fronts else None
    while at is not None:
        chain.append(at)
        at = link[at]
    return chain[::-1]


def level_of(point: Point, fronts: list[list[Point]]) -> tuple[int, Point | None]:
    """The level of a point, from 0, and a point of the level below that is before it."""
    low, high, found = 0, len(fronts), None
    while low < high:
        middle = (low + high) // 2
        hit = next((p for p in fronts[middle] if before(p, point)), None)
        if hit is None:
            high = middle
        else:
            low, found = middle + 1, hit
    return low, found


def add(point: Point, front: list[Point]) -> None:
    """Put a point, of a first coordinate not smaller than any there, into the front of its level,
    unless another undercuts it there; those that it undercuts itself go."""
    rest = point[1:]
    if any(all(a <= b for a, b in zip(p[1:], rest, strict=True)) for p in front):
        return
    front[:] = [p for p in front if not all(a <= b for a, b in zip(rest, p[1:], strict=True))]
    front.append(point)
