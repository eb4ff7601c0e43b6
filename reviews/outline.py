"""The outline of a trace: its parts, how long each is, how each ends; a long one in groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reviews.screen import Piece

FLAT = 40  # parts that are shown as one list
GROUP = 20  # numbered parts of one group
NUMBERED = re.compile(r"(.+) (\d+)")
End = Literal["", "matches", "differs", "stated"]


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring boxes under one heading. ``index`` (from 0) and ``number`` (from 1) are those of
    its first box, ``size`` is in code points, ``share`` says how much of the text that is; ``end``
    is what its last stated answer is beside the reference, "stated" where that cannot be told."""

    label: str
    index: int
    start: int
    size: int
    share: str
    end: End

    @property
    def number(self) -> int:
        return self.index + 1


@dataclass(frozen=True, slots=True)
class Group:
    """Some neighbouring parts under a title, "Attempts 21–40"."""

    title: str
    share: str
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Outline:
    """The parts in order: in ``groups`` if they are more than ``FLAT``, else in ``parts`` only."""

    parts: list[Part]
    groups: list[Group]


def outline(pieces: Sequence[Piece], answers: Sequence[dict[str, Any]], judged: bool) -> Outline:
    """The outline of the boxes. ``answers`` are the stated ones ({"start", "matches"}); they are
    used only where ``judged``: while verdicts are hidden, no part has an ``end``."""
    total = sum(p.end - p.start for p in pieces)
    heads = [i for i, p in enumerate(pieces) if p.heading or i == 0]
    stated = sorted(answers, key=lambda a: int(a["start"])) if judged else []
    parts = []
    for first, stop in zip(heads, [*heads[1:], len(pieces)], strict=False):
        low, high = pieces[first].start, pieces[stop - 1].end
        inside = [a["matches"] for a in stated if low <= a["start"] < high]
        label = pieces[first].heading or "Text"
        share = share_of(high - low, total)
        parts.append(Part(label, first, low, high - low, share, end_of(inside)))
    return Outline(parts, groups_of(parts, total) if len(parts) > FLAT else [])


def end_of(matches: Sequence[bool | None]) -> End:
    """What the last of a part's answers is."""
    if not matches:
        return ""
    return "stated" if matches[-1] is None else "matches" if matches[-1] else "differs"


def share_of(size: int, total: int) -> str:
    """In percent: "12 %", "0.4 %", "<0.1 %"."""
    percent = 100 * size / max(1, total)
    if percent >= 0.95:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 0.05 else "<0.1 %"


def groups_of(parts: Sequence[Part], total: int) -> list[Group]:
    """Groups of ``GROUP`` numbered parts; what has no number goes with those before it."""
    groups: list[list[Part]] = []
    room = 0
    for part in parts:
        numbered = NUMBERED.fullmatch(part.label) is not None
        if not groups or (numbered and room == 0) or len(groups[-1]) >= 2 * GROUP:
            groups.append([])
            room = GROUP
        groups[-1].append(part)
        room -= numbered
    return [Group(title_of(g), share_of(sum(p.size for p in g), total), g) for g in groups]


def title_of(parts: Iterable[Part]) -> str:
    """ "Attempts 21–40", "Attempts 1–3, Checks 1–17", or the first name where none is numbered."""
    spans: dict[str, tuple[int, int]] = {}
    first = ""
    for part in parts:
        first = first or part.label
        found = NUMBERED.fullmatch(part.label)
        if found:
            number = int(found[2])
            spans[found[1]] = (spans.get(found[1], (number, 0))[0], number)
    named = [
        f"{name} {low}" if low == high else f"{name}s {low}–{high}"
        for name, (low, high) in spans.items()
    ]
    return ", ".join(named) or f"{first} …"
