"""A trace as the reader shows it: its leaves as pieces of text, with what is proposed for them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from curation import charts
from curation.charts import Svg
from curation.models import CutProposal, Segment, Segmentation, Trace
from curation.segmentation.boxes import boxes, first_numbers, slices
from curation.segmentation.components import find_components
from curation.templatetags.whittle import hue

PAGE_LEAVES = 400
PAGE_CHARACTERS = 150_000
LEAF_CHARACTERS = 40_000
MAP_SPANS = 1_500


@dataclass(slots=True)
class Piece:
    """One box on the page: a leaf or a part of a long one. Positions are code points of the text.

    ``leaf`` is the stored index of its leaf; ``number`` is what the page shows and links to.
    """

    number: int
    leaf: int
    start: int
    end: int
    kind: str
    hue: str
    text: str
    clipped: bool = False
    cut: bool = False
    first_correct: bool = False
    proposals: list[CutProposal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Branch:
    """A run of leaves under one parent, for the outline; it begins at ``number`` on ``page``.

    ``parts`` names the components of an attempt with their number.
    """

    label: str
    number: int
    page: int
    characters: int
    depth: int
    parts: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One page of a trace with its outline and map."""

    pieces: list[Piece]
    outline: list[Branch]
    minimap: Svg
    page: int
    pages: int
    kinds: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Leaf:
    """What the reader needs of a stored segment, or of a plain slice where there is none."""

    start: int
    end: int
    kind: str
    path: tuple[str, ...] = ()


def leaves_of(trace: Trace, segmentation: Segmentation | None) -> list[Leaf]:
    """The stored leaves in order; slices of the text when it is not segmented yet."""
    if segmentation is not None:
        rows = Segment.objects.filter(segmentation=segmentation).order_by("index")
        found = rows.values_list("start", "end", "kind", "path")
        return [Leaf(start, end, kind, tuple(path)) for start, end, kind, path in found]
    return [Leaf(start, end, "text") for start, end in slices(trace.text)]


def page_starts(leaves: Sequence[Leaf]) -> list[int]:
    """Index of the first leaf of each page: bounded in leaves and in characters."""
    starts, characters = [0], 0
    for i, leaf in enumerate(leaves):
        if i - starts[-1] >= PAGE_LEAVES or (characters and characters > PAGE_CHARACTERS):
            starts.append(i)
            characters = 0
        characters += leaf.end - leaf.start
    return starts


def _inside(leaf: Leaf, cuts: Sequence[CutProposal]) -> bool:
    """Whether a proposal covers most of the leaf."""
    size = leaf.end - leaf.start
    return any(2 * (min(c.end, leaf.end) - max(c.start, leaf.start)) > size for c in cuts)


def _pieces(index: int, leaf: Leaf, number: int, text: str) -> list[Piece]:
    """The boxes of one leaf; of a very long one the first ``LEAF_CHARACTERS`` only."""
    found = [
        Piece(number + n, index, start, end, leaf.kind, hue(leaf.kind), text[start:end])
        for n, (start, end) in enumerate(boxes(leaf.start, leaf.end))
        if start < leaf.start + LEAF_CHARACTERS
    ]
    if found:
        found[-1].clipped = found[-1].end < leaf.end
    return found


def outline(
    leaves: Sequence[Leaf], starts: Sequence[int], depth: int = 2, text: str = ""
) -> list[Branch]:
    """Where each part and attempt begins, with its length in characters and its components."""
    parts = components(text, leaves)
    numbers = first_numbers((leaf.start, leaf.end) for leaf in leaves)
    heads: list[list[int | str]] = []
    open_path: tuple[str, ...] = ()
    for i, leaf in enumerate(leaves):
        path = leaf.path[:depth]
        common = 0
        while common < min(len(path), len(open_path)) and path[common] == open_path[common]:
            common += 1
        for level in range(common, len(path)):
            heads.append([path[level], i, level, 0])
        open_path = path
    for n, head in enumerate(heads):
        later = (h for h in heads[n + 1 :] if int(h[2]) <= int(head[2]))
        stop = next((int(h[1]) for h in later), len(leaves))
        head[3] = leaves[stop - 1].end - leaves[int(head[1])].start
    return [
        Branch(
            str(name),
            numbers[int(i)],
            bisect_right(starts, int(i)),
            int(size),
            int(level),
            parts.get((str(name), int(i)), ""),
        )
        for name, i, level, size in heads[:300]
    ]


def components(text: str, leaves: Sequence[Leaf]) -> dict[tuple[str, int], str]:
    """(attempt, its first leaf) -> what it consists of: "approach · calculation 3 · answer"."""
    counted: dict[tuple[str, int], dict[str, int]] = {}
    key, behind = ("", -1), -1
    for part in find_components(text, leaves):
        if part.first != behind or part.attempt != key[0]:
            key = (part.attempt, part.first)
        behind = part.last
        names = counted.setdefault(key, {})
        names[part.name] = names.get(part.name, 0) + 1
    return {
        key: " · ".join(name if n == 1 else f"{name} {n}" for name, n in names.items())
        for key, names in counted.items()
    }


def minimap(leaves: Sequence[Leaf], cuts: Sequence[CutProposal], size: int) -> Svg:
    """The whole trace as one strip; neighbours of one colour are drawn together."""
    spans: list[tuple[int, int, str]] = []
    for leaf in leaves:
        css = hue(leaf.kind)
        if spans and (spans[-1][2] == css or len(spans) >= MAP_SPANS):
            spans[-1] = (spans[-1][0], leaf.end, spans[-1][2])
        else:
            spans.append((leaf.start, leaf.end, css))
    return charts.minimap(spans, [(c.start, c.end) for c in cuts[:MAP_SPANS]], size)


def read(
    trace: Trace,
    segmentation: Segmentation | None,
    cuts: Sequence[CutProposal],
    wanted_page: int,
) -> Reading:
    """One page of the trace; ``wanted_page`` counts from 1 and is brought into range."""
    leaves = leaves_of(trace, segmentation)
    starts = page_starts(leaves)
    number = min(max(1, wanted_page), len(starts))
    low = starts[number - 1]
    high = starts[number] if number < len(starts) else len(leaves)
    numbers = first_numbers((leaf.start, leaf.end) for leaf in leaves)
    shown = range(low, high)
    pieces = [p for i in shown for p in _pieces(i, leaves[i], numbers[i], trace.text)]
    mark(pieces, leaves, cuts, segmentation.first_correct if segmentation else None)
    tally: dict[str, int] = {}
    for leaf in leaves:
        tally[leaf.kind] = tally.get(leaf.kind, 0) + leaf.end - leaf.start
    kinds = [(k, hue(k), n) for k, n in sorted(tally.items(), key=lambda item: -item[1])]
    return Reading(
        pieces,
        outline(leaves, starts, text=trace.text),
        minimap(leaves, cuts, len(trace.text)),
        number,
        len(starts),
        kinds,
    )


def mark(
    pieces: Sequence[Piece],
    leaves: Sequence[Leaf],
    cuts: Sequence[CutProposal],
    first_correct: int | None,
) -> None:
    """Put proposals and the first correct answer onto the pieces they begin in."""
    for piece in pieces:
        piece.cut = _inside(leaves[piece.leaf], cuts)
        piece.proposals = [c for c in cuts if piece.start <= c.start < piece.end]
        if first_correct is not None:
            piece.first_correct = piece.start <= first_correct < piece.end
