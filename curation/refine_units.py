"""What a model is asked about one trace, part by part, and how its answers are put to use.

Leaves are asked about in stretches that a model can copy (``split``) or number (``label``), seams
of a policy's cuts one by one (``smooth``). An answer that was refused leaves its part as the rules
have it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from curation.models import Trace
from curation.segmentation import Analysis, analyse, apply_cuts, check_derived, cuts_of, llm
from curation.segmentation.joins import Derived, with_bridges
from curation.segmentation.kinds import FINAL_ANSWER, TAG
from curation.segmentation.leaves import Leaf
from curation.segmentation.turns import reasoning_leaves
from curation.segmentation.types import Cut, Segment

SPLIT, LABEL, SMOOTH = "split", "label", "smooth"
TASKS = (SPLIT, LABEL, SMOOTH)
# A stretch has so many characters and steps at most (one leaf is always taken).
STRETCH, STEPS = 3_000, 30
Key = tuple[int, str]


@dataclass(frozen=True)
class Unit:
    """One question about ``trace.text[start:end]``; ``read`` raises ``llm.BadAnswer``.

    ``number`` is that of the kept range behind a seam.
    """

    start: int
    end: int
    prompt: str = field(repr=False)
    read: Callable[[str], Any] = field(repr=False)
    number: int = 0

    @property
    def prompt_sha256(self) -> str:
        return hashlib.sha256(self.prompt.encode()).hexdigest()

    @property
    def key(self) -> Key:
        """What names it within its trace; the text of a loop is asked about at each place."""
        return self.start, self.prompt_sha256


@dataclass(frozen=True)
class Plan:
    """A trace with what is asked about it."""

    trace: Trace
    analysis: Analysis
    units: tuple[Unit, ...]
    derived: Derived | None = None
    cuts: tuple[Cut, ...] = ()


def plan_of(trace: Trace, task: str, policy: str) -> Plan | None:
    """What to ask about a trace; None where there is nothing to ask."""
    analysis = analyse(trace.text, trace.problem.reference_answer)
    if task == SMOOTH:
        return _seams(trace, analysis, policy)
    make = _split_unit if task == SPLIT else _label_unit
    units = tuple(make(trace.text, part) for part in stretches(analysis))
    return Plan(trace, analysis, units) if units else None


def stretches(analysis: Analysis) -> Iterator[Sequence[Segment]]:
    """The leaves of the reasoning in stretches of at most ``STRETCH`` characters, tags left out."""
    low, high = reasoning_leaves(analysis)
    part: list[Segment] = []
    for leaf in analysis.segments[low:high]:
        full = part and (leaf.end - part[0].start > STRETCH or len(part) == STEPS)
        if part and (full or leaf.kind == TAG):
            yield part
            part = []
        if leaf.kind != TAG:
            part.append(leaf)
    if part:
        yield part


def _split_unit(text: str, part: Sequence[Segment]) -> Unit:
    start, end = part[0].start, part[-1].end
    quoted = text[start:end]
    return Unit(start, end, llm.split_prompt(quoted), partial(llm.read_parts, quoted))


def _label_unit(text: str, part: Sequence[Segment]) -> Unit:
    steps = [text[leaf.start : leaf.end] for leaf in part]
    read = partial(llm.read_labels, tuple(part))
    return Unit(part[0].start, part[-1].end, llm.label_prompt(steps), read)


def _seams(trace: Trace, analysis: Analysis, policy: str) -> Plan | None:
    cuts = cuts_of(analysis, policy)
    if not cuts:
        return None
    derived = apply_cuts(trace.text, cuts)
    tags = {leaf.start for leaf in analysis.segments if leaf.kind == TAG}
    places = _places(derived)
    units = tuple(
        _seam_unit(derived, number, places[number])
        for number in range(1, len(derived.kept))
        if derived.kept[number][0] not in tags  # nothing follows that wants a bridge
    )
    return Plan(trace, analysis, units, derived, tuple(cuts)) if units else None


def _places(derived: Derived) -> list[int]:
    """Where each kept range, or what was put before it, begins in the derived text."""
    inserted = dict(derived.insertions)
    places, place = [], 0
    for start, end in derived.kept:
        places.append(place)
        place += len(inserted.get(place, "")) + end - start
    return places


def _seam_unit(derived: Derived, number: int, place: int) -> Unit:
    before, after = derived.text[:place], derived.text[place:]
    start, end = derived.kept[number - 1][1], derived.kept[number][0]
    read = partial(llm.read_bridge, before, after)
    return Unit(start, end, llm.smooth_prompt(before, after), read, number)


def read_again(plan: Plan, task: str, answers: Mapping[Key, str]) -> Analysis:
    """The analysis of a trace with the accepted answers about it (``split`` and ``label``)."""
    told = {unit.start: unit.read(answers[unit.key]) for unit in plan.units if unit.key in answers}
    text, reference = plan.trace.text, plan.trace.problem.reference_answer
    if task == SPLIT:
        ends = {unit.start: unit.end for unit in plan.units}
        return analyse(text, reference, resplit=partial(_with_parts, told, ends))
    kinds = {leaf.start: leaf.kind for leaves in told.values() for leaf in leaves}
    return analyse(text, reference, relabel=partial(_with_kinds, kinds))


def _with_parts(
    told: Mapping[int, Sequence[tuple[int, int]]],
    ends: Mapping[int, int],
    _: str,
    leaves: Sequence[Leaf],
) -> list[Leaf]:
    found: list[Leaf] = []
    behind = 0
    for leaf in leaves:
        if leaf.start in told:
            behind = ends[leaf.start]
            found += [Leaf(leaf.start + a, leaf.start + b) for a, b in told[leaf.start]]
        elif leaf.start >= behind:
            found.append(leaf)
    return found


def _with_kinds(kinds: Mapping[int, str], _: str, segments: Sequence[Segment]) -> list[Segment]:
    """Firm statements of an answer stay what they are: the tree hangs on them."""
    fixed = (TAG, FINAL_ANSWER)
    return [
        leaf if leaf.kind in fixed else replace(leaf, kind=kinds.get(leaf.start, leaf.kind))
        for leaf in segments
    ]


def bridged(plan: Plan, answers: Mapping[Key, str]) -> tuple[Derived, dict[int, str]]:
    """The derived text of a plan with its bridges, and these by the number of their kept range.

    Raises ``llm.BadAnswer`` with the code of ``check_derived`` where the whole may not be used.
    """
    assert plan.derived is not None
    bridges = {
        unit.number: sentence
        for unit in plan.units
        if unit.key in answers and (sentence := unit.read(answers[unit.key]))
    }
    derived = with_bridges(plan.trace.text, plan.derived, bridges)
    reference = plan.trace.problem.reference_answer
    if problems := check_derived(plan.trace.text, derived, reference):
        raise llm.BadAnswer(f"derived_{problems[0].code}", f"at {problems[0].place}")
    return derived, bridges
