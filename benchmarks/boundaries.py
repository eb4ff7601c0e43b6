"""Boundary F1 of leaves and of the tree against expected trees, beside a plain regex split.

    python -m benchmarks.boundaries

``made``: the made traces of the tests, which define the rules. ``unseen``: made traces that no rule
was tuned on. ``solver``: traces of the demo teacher's simulated solver, whose steps are known
because it wrote them one by one. ``sentences``: the sentence chunks of thought-anchors
(``WHITTLE_REAL_DATA``), finer than leaves by design. A boundary is the place between two leaves;
``tree`` counts those at which the part changes (of ``unseen``: the part or the attempt).
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curation.segmentation import Segment, segment
from tests.curation.made_traces import MADE
from tests.curation.made_unseen import UNSEEN
from workers.demo_teacher.problems import make_problem
from workers.demo_teacher.working import Habits, Solver

_PLAIN = re.compile(r"\n\s*\n|(?<=[.!?])\s+")
SOLVER_TRACES, SEED = 300, 5


@dataclass
class Tally:
    """Boundaries that were right, said and wanted."""

    right: int = 0
    said: int = 0
    wanted: int = 0

    def add(self, said: set[int], wanted: set[int]) -> None:
        self.right += len(said & wanted)
        self.said += len(said)
        self.wanted += len(wanted)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.said)

    @property
    def recall(self) -> float:
        return self.right / max(1, self.wanted)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(1, self.said + self.wanted)


@dataclass(frozen=True)
class Expected:
    """A text with the ends of its leaves and the places where its part or attempt changes."""

    text: str
    reference: str | None
    leaves: set[int]
    parts: set[int] | None = None


def ends(pieces: Iterable[str]) -> list[int]:
    found = [0]
    for piece in pieces:
        found.append(found[-1] + len(piece))
    return found[1:]


def changes(places: Iterable[tuple[int, str]]) -> set[int]:
    """Ends at which the name of what follows is another one."""
    return {end for (end, name), (_, following) in pairwise(places) if name != following}


def expected_of(pairs: list[tuple[str, str]], reference: str | None) -> Expected:
    stops = ends(leaf for leaf, _ in pairs)
    named = list(zip(stops, (part for _, part in pairs), strict=True))
    text = "".join(leaf for leaf, _ in pairs)
    return Expected(text, reference, set(stops[:-1]), changes(named))


def made() -> Iterator[Expected]:
    for trace in MADE:
        yield expected_of([(leaf, part) for leaf, _, part in trace.leaves], trace.reference)


def unseen() -> Iterator[Expected]:
    for _, reference, pairs in UNSEEN:
        yield expected_of(pairs, reference)


def solved() -> Iterator[Expected]:
    """The solver's paragraphs are its steps."""
    rng = random.Random(SEED)
    for _ in range(SOLVER_TRACES):
        problem = make_problem(rng)
        solver = Solver(rng, problem, Habits())
        text = solver.write()
        head = "<think>\n"
        stops = [len(head), *(len(head) + end for end in ends(f"{p}\n\n" for p in solver.parts))]
        stops[-1] -= 1  # one line end stands before the closing tag
        stops.append(stops[-1] + len("</think>\n\n"))
        yield Expected(text, str(problem.answer), set(stops))


def chunks(folder: str | None) -> Iterator[Expected]:
    for path in (
        sorted(Path(folder).glob("thought-anchors/**/chunks_labeled.json")) if folder else []
    ):
        text = json.loads((path.parent / "base_solution.json").read_text("utf-8"))["full_cot"]
        stops, cursor = set(), 0
        for chunk in json.loads(path.read_text("utf-8")):
            bare = chunk["chunk"].strip()
            at = text.find(bare, cursor)
            if at < 0 or not bare:
                continue
            stops.add(at)
            cursor = at + len(bare)
        yield Expected(text, None, stops)


def plain(text: str) -> set[int]:
    return {match.end() for match in _PLAIN.finditer(text)} - {0, len(text)}


def tree(text: str, leaves: list[Segment], deep: bool) -> set[int]:
    name = "/".join if deep else (lambda path: path[0])
    return changes((leaf.end, name(leaf.path)) for leaf in leaves)


def figures_of(name: str, given: Iterable[Expected], deep: bool = False) -> dict[str, float]:
    """Print one row for the leaves, for the plain split and for the tree; F1 of each."""
    rows = {"leaves": Tally(), "plain split": Tally(), "tree": Tally()}
    for want in given:
        leaves = segment(want.text, want.reference)
        rows["leaves"].add({leaf.end for leaf in leaves[:-1]}, want.leaves - {0, len(want.text)})
        rows["plain split"].add(plain(want.text), want.leaves - {0, len(want.text)})
        if want.parts is not None:
            rows["tree"].add(tree(want.text, leaves, deep), want.parts)
    found = {}
    for what, row in rows.items():
        if row.wanted:
            print(
                f"{name:<10} {what:<12} {row.wanted:>7} {row.precision:>10.3f} {row.recall:>7.3f}"
                f" {row.f1:>6.3f}"
            )
            found[f"{name}_{what.replace(' ', '_')}_f1"] = round(row.f1, 4)
    return found


def main() -> None:
    print(f"{'texts':<10} {'what':<12} {'wanted':>7} {'precision':>10} {'recall':>7} {'F1':>6}")
    figures = figures_of("made", made())
    figures |= figures_of("unseen", unseen(), deep=True)
    figures |= figures_of("solver", solved())
    figures |= figures_of("sentences", chunks(os.environ.get("WHITTLE_REAL_DATA")))
    print(json.dumps({"name": "boundaries", "figures": figures}))


if __name__ == "__main__":
    main()
