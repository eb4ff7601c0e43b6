"""What an attempt consists of: runs of leaves that do the same, with names.

DLCoT lets a model name the components of each solution and the steps of each check, with self-talk
set apart as ``self-affirmation`` and ``self-negation``; of its names only these two could be read.
Here the kinds of the leaves name them. Components stand beside the path of a leaf, not in it: a
path is stored, and components follow from kinds that a person may correct.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from curation.segmentation import kinds
from curation.segmentation.attempts import EXPLORE, VERIFY
from curation.segmentation.cues import self_talk

APPROACH, PREMISE, CALCULATION = "approach", "premise", "calculation"
CHECK, DOUBT = "check", "doubt"
INTERMEDIATE, ANSWER = "intermediate conclusion", "answer"
AFFIRMS, NEGATES = "self-affirmation", "self-negation"
COMPONENT_OF = {
    kinds.PLAN: APPROACH,
    kinds.CHANGE: APPROACH,
    kinds.PROBLEM_SETUP: PREMISE,
    kinds.FACT: PREMISE,
    kinds.COMPUTATION: CALCULATION,
    kinds.SELF_CHECKING: CHECK,
    kinds.UNCERTAINTY: DOUBT,
    kinds.BACKTRACK: DOUBT,
    kinds.CONSOLIDATION: INTERMEDIATE,
    kinds.FINAL_ANSWER: ANSWER,
}


class LeafLike(Protocol):
    """A segment, stored or not."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def path(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Component:
    """Leaves ``first`` to ``last`` (exclusive) of one attempt ("Solution 2", "Check 1")."""

    attempt: str
    name: str
    first: int
    last: int
    start: int
    end: int


def find_components(text: str, segments: Sequence[LeafLike]) -> list[Component]:
    """The components of all attempts in their order; each attempt is the sum of its own."""
    found: list[Component] = []
    for first, last in _attempts(segments):
        names = _joined([_name(text, leaf) for leaf in segments[first:last]])
        begin = first
        for index in range(first + 1, last + 1):
            if index == last or names[index - first] != names[begin - first]:
                start, end = segments[begin].start, segments[index - 1].end
                attempt = segments[first].path[1]
                found.append(Component(attempt, names[begin - first], begin, index, start, end))
                begin = index
    return found


def _attempts(segments: Sequence[LeafLike]) -> Iterator[tuple[int, int]]:
    """Runs of leaves with the path of one solution or check."""
    first = 0
    for index in range(1, len(segments) + 1):
        if index == len(segments) or segments[index].path != segments[first].path:
            path = segments[first].path
            if len(path) > 1 and path[0] in (EXPLORE, VERIFY):
                yield first, index
            first = index


def _name(text: str, leaf: LeafLike) -> str:
    if talk := self_talk(text[leaf.start : leaf.end]):
        return AFFIRMS if talk == "affirmation" else NEGATES
    return COMPONENT_OF.get(leaf.kind, PREMISE)


def _joined(names: Sequence[str]) -> list[str]:
    """A premise that is taken up in the middle of a calculation or a check is part of it."""
    joined = list(names)
    for index in range(1, len(names) - 1):
        before = joined[index - 1]
        if (
            names[index] == PREMISE
            and before == names[index + 1]
            and before in (CALCULATION, CHECK)
        ):
            joined[index] = before
    return joined
