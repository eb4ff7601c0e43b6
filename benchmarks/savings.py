"""What the policies would save of real traces, loops, and redundancy against chunk importance.

    WHITTLE_REAL_DATA=FOLDER python -m benchmarks.savings [--every 1]

``skythought``: correct, complete, tagged traces; shares of a trace in tokens of the tokenizer
``wordpiece`` (1.0 is the whole trace; a trace without a proposal counts as 0), and what
``check_derived`` says of every derived text. ``thought-anchors``: the mean change of accuracy that
resampling finds for a sentence (counterfactual importance, its sign dropped) in leaves that the
rules call repeated, redone, self-talk or cut behind the first correct answer, and in the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, quantiles, stdev

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curation.segmentation import POLICIES, Analysis, Cut, analyse, apply_cuts, check_derived
from curation.segmentation.cues import self_talk
from curation.segmentation.equations import find_redone
from curation.segmentation.policies import AFTER_FIRST_CORRECT
from curation.segmentation.tokens import load, tokens_in

STYLE = "begin_of_thought"


@dataclass(frozen=True)
class Real:
    text: str
    reference: str
    right: bool
    analysis: Analysis


def traces(folder: Path, every: int) -> Iterator[Real]:
    rows = [
        (text, str(row["gt"]), bool(score))
        for path in sorted(folder.glob("skythought/*.jsonl"))
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
        for text, score in zip(row["code"], row["score"], strict=True)
    ]
    for text, reference, right in rows[::every]:
        yield Real(text, reference, right, analyse(text, reference))


def spread(shares: Sequence[float]) -> tuple[float, float, float, float]:
    """Quartiles and 90th percentile."""
    low, middle, high = quantiles(shares, n=4)
    return low, middle, high, quantiles(shares, n=10)[8]


def savings(found: Sequence[Real]) -> dict[str, float]:
    counter = load("wordpiece", Path("/nonexistent"))
    figures: dict[str, float] = {}
    broken = derived = 0
    print(
        f"{'policy':<28} {'of':>4} {'n':>4} {'25 %':>6} {'median':>7} {'75 %':>6} {'90 %':>6} mean"
    )
    starts = [counter.starts(trace.text) for trace in found]
    for name, propose in POLICIES.items():
        shares = []
        for trace, begins in zip(found, starts, strict=True):
            cuts = propose(trace.analysis)
            shares.append(sum(tokens_in(begins, c.start, c.end) for c in cuts) / len(begins))
            if cuts and trace.right:
                derived += 1
                broken += is_broken(trace, cuts)
        if any(shares):
            low, middle, high, top = spread(shares)
            n = sum(share > 0 for share in shares)
            print(
                f"{name:<28} {len(shares):>4} {n:>4} {low:>6.1%} {middle:>7.1%} {high:>6.1%}"
                f" {top:>6.1%} {mean(shares):.1%}"
            )
            figures |= {f"{name}_median": round(middle, 4), f"{name}_mean": round(mean(shares), 4)}
    print(f"{broken} of {derived} derived texts are broken")
    return figures | {"derived": derived, "broken": broken}


def is_broken(trace: Real, cuts: Sequence[Cut]) -> bool:
    problems = check_derived(trace.text, apply_cuts(trace.text, cuts), trace.reference)
    return bool(problems)


def loops(found: Sequence[Real]) -> dict[str, float]:
    tagged = [trace.analysis for trace in found if trace.analysis.split.style == STYLE]
    figures: dict[str, float] = {}
    for name, closed in (("cut_off", False), ("complete", True)):
        some = [a for a in tagged if a.split.closed == closed]
        looping = [a for a in some if a.loop]
        shares = [1 - a.loop.start / len(a.text) for a in looping if a.loop]
        print(f"{name}: {len(looping)} of {len(some)} loop; share of the text behind the first"
              f" cycle {median(shares or [0]):.1%}")  # fmt: skip
        figures |= {f"{name}": len(some), f"{name}_loops": len(looping)}
    return figures


def importance(folder: Path) -> dict[str, float]:
    groups: dict[str, list[float]] = defaultdict(list)
    for path in sorted(folder.glob("thought-anchors/**/chunks_labeled.json")):
        solution = json.loads((path.parent / "base_solution.json").read_text("utf-8"))
        problem = json.loads((path.parent / "problem.json").read_text("utf-8"))
        text = solution["full_cot"]
        analysis = analyse(text, str(problem["gt_answer"]))
        redone = find_redone(text, analysis.segments, analysis.repeats)
        behind = [(c.start, c.end) for c in POLICIES[AFTER_FIRST_CORRECT](analysis)]
        starts, cursor = [leaf.start for leaf in analysis.segments], 0
        for chunk in json.loads(path.read_text("utf-8")):
            at = text.find(chunk["chunk"].strip(), cursor)
            value = chunk.get("counterfactual_importance_accuracy")
            if at < 0 or value is None:
                continue
            cursor = at + 1
            leaf = bisect_right(starts, at) - 1
            name = "rest"
            if leaf in analysis.repeats or leaf in redone:
                name = "repeated or redone"
            elif self_talk(chunk["chunk"]):
                name = "self-talk"
            elif any(start <= at < end for start, end in behind):
                name = "behind the first correct answer"
            groups[name].append(abs(float(value)))
    figures: dict[str, float] = {}
    print(f"{'sentences that are':<34} {'n':>5} {'importance':>10}  standard error")
    for name, values in sorted(groups.items()):
        error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
        print(f"{name:<34} {len(values):>5} {mean(values):>10.4f}  {error:.4f}")
        figures[f"importance_{name.replace(' ', '_')}"] = round(mean(values), 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="every n-th trace")
    options = parser.parse_args()
    given = os.environ.get("WHITTLE_REAL_DATA")
    if not given:
        sys.exit("WHITTLE_REAL_DATA names no folder with skythought/ and thought-anchors/")
    found = list(traces(Path(given), options.every))
    closed = [t for t in found if t.analysis.split.closed and t.analysis.split.style == STYLE]
    figures = savings([trace for trace in closed if trace.right])
    print("cut off while thinking:")
    figures |= {
        f"cut_off_{name}": value
        for name, value in savings(
            [t for t in found if not t.analysis.split.closed and t.analysis.split.style == STYLE]
        ).items()
        if name.startswith("loops")
    }
    figures |= loops(found) | importance(Path(given))
    print(json.dumps({"name": "savings", "figures": figures}))


if __name__ == "__main__":
    main()
